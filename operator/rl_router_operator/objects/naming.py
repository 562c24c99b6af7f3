"""Defines the names, labels and ports of the children of a RouterDeployment."""

from __future__ import annotations

from typing import Literal

from ..schema import GROUP

Component = Literal["model", "api"]

FIELD_MANAGER = "rl-router-operator"
LEASE = "rl-router-operator"
"""The default name of the Lease in the operator's own namespace by which the operator's pods elect the leader."""
ROUTER_LABEL = f"{GROUP}/router"
MODEL_PORT, API_PORT, ADMIN_PORT = 8000, 8800, 8801


def child(router: str, component: Component) -> str:
    """Returns the name of a component's children, except the headless Service and ServiceAccounts that the spec names.

    For example, the name is `demo-model` for the component `model` of the RouterDeployment `demo`.
    """
    return f"{router}-{component}"


def headless(router: str) -> str:
    """Returns the name of the headless Service that gives each model pod of a router a DNS name."""
    return f"{child(router, 'model')}-pods"


def selector(router: str, component: Component) -> dict[str, str]:
    """Returns the constant labels by which selectors find the pods of a component of a router."""
    return {
        "app.kubernetes.io/name": "rl-router",
        "app.kubernetes.io/instance": router,
        "app.kubernetes.io/component": component,
    }


def labels(router: str, component: Component) -> dict[str, str]:
    """Returns the labels that every child of a component of a router has."""
    return {
        **selector(router, component),
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        ROUTER_LABEL: router,
    }
