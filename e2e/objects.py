"""Builds the manifests of the tests: routers, targets, clients, Secrets."""

from __future__ import annotations

from typing import Any

from images import CLIENT

Manifest = dict[str, Any]
LONG_TIMEOUT = {"timeout": 60}
"""The timeout of the router model in seconds. On a busy CPU, a decision can take longer than the default of 10 s."""
_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
_POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def router(name: str, **spec: Any) -> Manifest:
    """Returns a RouterDeployment with this spec."""
    return {"apiVersion": "rlrouter.dev/v1alpha1", "kind": "RouterDeployment", "metadata": {"name": name}, "spec": spec}


def target(name: str, **fields: Any) -> Manifest:
    """Returns a target of a RouterDeployment. `serving(name)` returns the objects that serve the target."""
    return {
        "name": name,
        "baseUrl": f"http://{name}:8000/v1",
        "price": {"input": "1", "output": "10"},
        "description": f"Knows all about {name}.",
        **fields,
    }


def serving(name: str, keys: str | None = None, node: str | None = None) -> list[Manifest]:
    """Returns a Deployment and a Service that serve a target.

    With `keys`, the target accepts only the keys in that Secret.
    """
    labels = {"app": name}
    container = _container("target", ["target.py", name, *(["--keys", "/keys/keys"] if keys else [])])
    container |= {"readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1}}
    volumes = []
    if keys:
        container["volumeMounts"].append({"name": "keys", "mountPath": "/keys"})
        volumes.append({"name": "keys", "secret": {"secretName": keys}})
    pod = {"metadata": {"labels": labels}, "spec": _pod(container, volumes, node)}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": pod},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 8000}]},
        },
    ]


def client(name: str = "client", node: str | None = None) -> Manifest:
    """Returns an idle pod that contains the client programs."""
    container = _container("client", ["-c", "import signal; signal.pause()"])
    spec = {**_pod(container, [], node), "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def mounting(pod: Manifest, claim: str, path: str) -> Manifest:
    """Returns the pod with a PVC mounted into its only container."""
    spec = pod["spec"]
    (container,) = spec["containers"]
    changed = {**container, "volumeMounts": [*container["volumeMounts"], {"name": claim, "mountPath": path}]}
    volumes = [*spec["volumes"], {"name": claim, "persistentVolumeClaim": {"claimName": claim}}]
    security = {**spec["securityContext"], "fsGroup": 65532}
    return {**pod, "spec": {**spec, "containers": [changed], "volumes": volumes, "securityContext": security}}


def secret(name: str, **data: str) -> Manifest:
    """Returns a Secret with these keys and values."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def _container(name: str, arguments: list[str]) -> Manifest:
    return {
        "name": name,
        "image": CLIENT,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments,
        "securityContext": _SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def _pod(container: Manifest, volumes: list[Manifest], node: str | None) -> Manifest:
    selector = {"nodeSelector": {"kubernetes.io/hostname": node}} if node else {}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
        **selector,
    }
