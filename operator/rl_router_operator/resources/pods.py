"""Builds the parts that model pods and API pods have in common, such as the writable volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..objects import naming
from ..objects.naming import Component
from ..objects.routerdeployment import RouterDeployment
from ..schema import PodTemplate, Resources
from ..schema.pods import Pods
from .defaults import Defaults
from .objects import keyed, without_empty

PRE_STOP_SECONDS = 5
"""The seconds between a pod's deletion and SIGTERM. Load balancers may still send requests during this time."""
HOME = "/home/rl-router"
_CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def template(
    router: RouterDeployment, component: Component, pods: Pods, spec: Mapping[str, Any], annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Returns a pod template with the pod spec `spec` and the labels and annotations of the user and the operator."""
    added = pods.pod_template
    metadata = {
        "labels": {**added.labels, **naming.labels(router.name, component)},
        "annotations": {**added.annotations, **annotations},
    }
    return {"metadata": without_empty(metadata), "spec": dict(spec)}


def pod_spec(
    router: RouterDeployment,
    component: Component,
    pods: Pods,
    defaults: Defaults,
    container: Mapping[str, Any],
    volumes: list[dict[str, Any]],
    grace: int,
) -> dict[str, Any]:
    """Returns the spec of a pod with one container. The spec meets the Pod Security Standard `restricted`.

    The parameter `grace` is the time in seconds that Kubernetes gives the pod to stop.
    """
    return without_empty(
        {
            "automountServiceAccountToken": False,
            # A Service named `vllm` would set VLLM_PORT to a value that vLLM rejects.
            "enableServiceLinks": False,
            "serviceAccountName": service_account_name(router, component, pods),
            "imagePullSecrets": _pull_secrets(pods, defaults),
            "securityContext": _pod_security(pods.pod_template),
            "terminationGracePeriodSeconds": grace,
            "containers": [container],
            "volumes": keyed("name", [*_writable_volumes(), *volumes], _users_volumes(pods.pod_template)),
            **_scheduling(pods.pod_template),
        }
    )


def container(
    name: str,
    image: str,
    pods: Pods,
    defaults: Defaults,
    *,
    env: list[dict[str, Any]],
    mounts: list[dict[str, Any]],
    resources: Mapping[str, Any],
    **further: Any,
) -> dict[str, Any]:
    """Returns the manifest of a pod's only container.

    A user's environment variable replaces the operator's variable of the same name. A user's volume mount replaces the
    operator's mount at the same path.
    """
    return without_empty(
        {
            "name": name,
            "image": image,
            "imagePullPolicy": pods.image_pull_policy or defaults.image_pull_policy,
            **further,
            "env": keyed("name", env, _users_env(pods)),
            "resources": resources,
            "securityContext": _CONTAINER_SECURITY,
            "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
            # After a crash, the status quotes the last lines of the log.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": keyed("mountPath", [*_writable_mounts(), *mounts], _users_mounts(pods.pod_template)),
        }
    )


def variables(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Returns environment variables as the entries of a container's `env`."""
    return [{"name": name, "value": value} for name, value in values.items()]


def proxy_variables(defaults: Defaults, *direct: str) -> dict[str, str]:
    """Returns the environment variables of the configured proxy, or an empty mapping if no variable is configured.

    The variable NO_PROXY contains the configured hosts, localhost, 127.0.0.1, the hosts in `direct`, and with IPv6 ::1.
    """
    if not defaults.proxy:
        return {}
    loopback = ["localhost", "127.0.0.1", *(["::1"] if defaults.has_ipv6 else [])]
    bypassed = [defaults.proxy.get("NO_PROXY", ""), *loopback, *direct]
    return {**defaults.proxy, "NO_PROXY": ",".join(host for host in bypassed if host)}


def requests_and_limits(resources: Resources, **minimum: str) -> dict[str, Any]:
    """Returns the resource requests and limits of a container.

    The parameter `minimum` contains default requests. A default request applies to a resource for which the user sets
    neither a request nor a limit.
    """
    requests = {name: str(value) for name, value in resources.requests.items()}
    limits = {name: str(value) for name, value in resources.limits.items()}
    added = {name: value for name, value in minimum.items() if name not in requests and name not in limits}
    return without_empty({"requests": {**added, **requests}, "limits": limits})


def probe(path: str, port: str, **settings: int) -> dict[str, Any]:
    """Returns the manifest of an HTTP probe.

    Kubernetes applies its own defaults to probe settings that the parameter `settings` does not contain.
    """
    return {"httpGet": {"path": path, "port": port}, **settings}


def port(name: str, number: int) -> dict[str, Any]:
    """Returns the manifest of a TCP port of a container."""
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def service_account_name(router: RouterDeployment, component: Component, pods: Pods) -> str | None:
    """Returns the name of the pods' service account, or None if the spec neither names nor requests one."""
    account = pods.service_account
    return account.name or (naming.child(router.name, component) if account.create else None)


def _pull_secrets(pods: Pods, defaults: Defaults) -> list[dict[str, Any]]:
    return keyed(
        "name",
        [{"name": name} for name in defaults.image_pull_secrets],
        [{"name": secret.name} for secret in pods.image_pull_secrets],
    )


def _pod_security(added: PodTemplate) -> dict[str, Any]:
    security = added.security_context
    return without_empty(
        {
            "runAsNonRoot": True,
            "runAsUser": security.run_as_user,
            "runAsGroup": security.run_as_user,
            "fsGroup": security.fs_group,
            "fsGroupChangePolicy": "OnRootMismatch" if security.fs_group else None,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    )


def _writable_volumes() -> list[dict[str, Any]]:
    return [{"name": "home", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]


def _writable_mounts() -> list[dict[str, Any]]:
    return [{"name": "home", "mountPath": HOME}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - in the pod


def _scheduling(added: PodTemplate) -> dict[str, Any]:
    return {
        "nodeSelector": added.node_selector,
        "tolerations": added.tolerations,
        "affinity": added.affinity,
        "topologySpreadConstraints": added.topology_spread_constraints,
        "priorityClassName": added.priority_class_name,
        "runtimeClassName": added.runtime_class_name,
    }


def _users_volumes(added: PodTemplate) -> list[dict[str, Any]]:
    return [volume.model_dump(by_alias=True, exclude_none=True) for volume in added.volumes]


def _users_mounts(added: PodTemplate) -> list[dict[str, Any]]:
    # The dump leaves out `readOnly: false`, which the API server would drop.
    return [mount.model_dump(by_alias=True, exclude_defaults=True) for mount in added.volume_mounts]


def _users_env(pods: Pods) -> list[dict[str, Any]]:
    # An empty value is left out, because the API server would drop it.
    return [
        without_empty({**variable.model_dump(by_alias=True), "value": variable.value or None}) for variable in pods.env
    ]
