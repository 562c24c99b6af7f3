"""Builds the NetworkPolicies, whose ingress rules define which clients may connect to the router's pods."""

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
    """Yields the enabled NetworkPolicies of the API pods and, unless the router model is external, of the model pods.

    By default, NetworkPolicies are enabled, because the model server and the API's admin port require no API key. The
    exception is the NetworkPolicy of the API pods if the operator runs outside the cluster and the field
    `api.networkPolicy.from` is empty. If the operator runs outside the cluster, the operator's namespace is unknown, so
    that a NetworkPolicy of the API pods would block the operator's health requests.
    """
    model, api = router.spec.model, router.spec.api
    if not model.external and model.network_policy.enabled is not False:
        yield _policy(router, "model", [_allow(naming.MODEL_PORT, _model_peers(router, defaults))])
    enabled = api.network_policy.enabled
    if enabled or (enabled is None and (defaults.operator_namespace or api.network_policy.sources)):
        yield _policy(router, "api", list(_api_rules(router, defaults)))


def _policy(router: RouterDeployment, component: Component, rules: list[dict[str, Any]]) -> Manifest:
    spec = {
        "podSelector": {"matchLabels": naming.selector(router.name, component)},
        "policyTypes": ["Ingress"],
        **({"ingress": rules} if rules else {}),
    }
    return child(router, "NetworkPolicy", component, spec=spec)


def _allow(number: int, peers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"from": peers, "ports": _ports(number)}


def _ports(number: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": number}]


def _api_rules(router: RouterDeployment, defaults: Defaults) -> Iterator[dict[str, Any]]:
    """Yields the ingress rules of the API's two ports: the port for clients and the admin port.

    If no peer of the admin port is known, the admin port gets no rule, because a rule without peers would admit all
    clients.
    """
    clients = router.spec.api.network_policy.sources
    yield _allow(naming.API_PORT, clients) if clients else {"ports": _ports(naming.API_PORT)}
    if observers := _namespaces(defaults.operator_namespace, defaults.monitoring_namespace):
        yield _allow(naming.ADMIN_PORT, observers)


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
