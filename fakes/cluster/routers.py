"""Defines RouterDeployments for tests and the children of FULL_SPEC, and starts operators with RouterDeployments."""

from __future__ import annotations

from typing import Any

from rl_router_operator.objects.kinds import ROUTER
from rl_router_operator.objects.manifest import ref_of
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults

from .kube_client import Kube
from .running_operator import Start
from .waiting import eventually

FULL_SPEC: dict[str, Any] = {
    "model": {
        "source": "hf://org/name",
        "chatTemplate": {"text": "{{ messages }}"},
        "storage": {"size": "1Gi"},
        "serviceAccount": {"create": True},
        "resources": {"requests": {"cpu": "1000m"}, "limits": {"memory": "1024Mi"}},
        "podTemplate": {"volumes": [{"name": "extra", "configMap": {"name": "extra"}}]},
    },
    "api": {
        "replicas": 2,
        "resources": {"requests": {"cpu": 0.25, "memory": "1e8"}, "limits": {"cpu": "0.5001", "memory": ".5Gi"}},
        "auth": {"anonymous": True},
        "ingress": {"host": "router.example.com"},
        "networkPolicy": {"enabled": True, "from": [{"podSelector": {}}]},
        "serviceAccount": {"create": True},
    },
    "targets": [{"name": "one", "baseUrl": "https://one.example/v1", "apiKeySecretRef": {"name": "one", "key": "key"}}],
}
"""A spec whose children have all kinds except HorizontalPodAutoscaler, HTTPRoute and ServiceMonitor."""
FULL_CHILDREN = [
    ("ServiceAccount", "demo-api"),
    ("ServiceAccount", "demo-model"),
    ("ConfigMap", "demo-api"),
    ("ConfigMap", "demo-model"),
    ("Service", "demo-model"),
    ("Service", "demo-model-pods"),
    ("Service", "demo-api"),
    ("StatefulSet", "demo-model"),
    ("Deployment", "demo-api"),
    ("PodDisruptionBudget", "demo-api"),
    ("NetworkPolicy", "demo-model"),
    ("NetworkPolicy", "demo-api"),
    ("Ingress", "demo-api"),
]
"""The kind and name of each child of a RouterDeployment `demo` with FULL_SPEC."""


def router(name: str = "demo", **spec: Any) -> dict[str, Any]:
    """Returns the manifest of a RouterDeployment with the name `name` and the spec `spec`."""
    return {"apiVersion": ROUTER.api_version, "kind": ROUTER.kind, "metadata": {"name": name}, "spec": spec}


async def deployed(kube: Kube, start: Start, spec: dict[str, Any] | None = None) -> dict[tuple[str, str], Any]:
    """Starts an operator and creates the RouterDeployment `demo`, by default with the spec FULL_SPEC.

    When all children of `demo` exist, returns the children.
    """
    await start()
    body = await kube.create(router(**(FULL_SPEC if spec is None else spec)))
    refs = [ref_of(child) for child in desired(read(body), Defaults())]

    async def all_exist() -> dict[tuple[str, str], Any]:
        return {ref: await kube.existing(*ref) for ref in refs}

    children: dict[tuple[str, str], Any] = await eventually(all_exist)
    return children
