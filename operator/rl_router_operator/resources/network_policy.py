"""Builds the NetworkPolicies, which define who may connect to the pods. They contain only ingress rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.naming import Component
from ..objects.routerdeployment import RouterDeployment
from .defaults import Defaults
from .objects import child

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def build(router: RouterDeployment, defaults: Defaults) -> Iterator[Manifest]:
    """Yields the model's policy unless it is disabled, and the API's policy if it is enabled.

    The model's policy is enabled by default, because vLLM requires no API key.
    """
    model, api = router.spec.model, router.spec.api
    if not model.external and model.network_policy.enabled is not False:
        yield _policy(router, "model", [_allow(naming.MODEL_PORT, _model_peers(router, defaults))])
    if api.network_policy.enabled:
        rules = [
            _allow(naming.API_PORT, api.network_policy.sources),
            _allow(naming.ADMIN_PORT, _namespaces(defaults.operator_namespace, defaults.monitoring_namespace)),
        ]
        yield _policy(router, "api", [rule for rule in rules if rule["from"]])


def _policy(router: RouterDeployment, component: Component, rules: list[dict[str, Any]]) -> Manifest:
    spec = {
        "podSelector": {"matchLabels": naming.selector(router.name, component)},
        "policyTypes": ["Ingress"],
        **({"ingress": rules} if rules else {}),
    }
    return child(router, "NetworkPolicy", component, spec=spec)


def _allow(number: int, peers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"from": peers, "ports": [{"protocol": "TCP", "port": number}]}


def _model_peers(router: RouterDeployment, defaults: Defaults) -> list[dict[str, Any]]:
    is_monitored = router.spec.monitoring.service_monitor.enabled
    return [
        {"podSelector": {"matchLabels": naming.selector(router.name, "api")}},
        *(_namespaces(defaults.monitoring_namespace) if is_monitored else ()),
        *router.spec.model.network_policy.sources,
    ]


def _namespaces(*names: str) -> list[dict[str, Any]]:
    distinct = dict.fromkeys(name for name in names if name)
    return [{"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: name}}} for name in distinct]
