"""The names and labels of what one RouterDeployment is turned into."""

from __future__ import annotations

from typing import Literal

from ..schema import GROUP

Component = Literal["model", "api"]

FIELD_MANAGER = "rl-router-operator"
LEASE = "rl-router-operator"
"""The name of the Lease by which one operator acts at a time, in the operator's own namespace."""
ROUTER_LABEL = f"{GROUP}/router"
MODEL_PORT, API_PORT, ADMIN_PORT = 8000, 8800, 8801


def child(router: str, component: Component) -> str:
    """`demo-model`, `demo-api`: the name of nearly everything that is made."""
    return f"{router}-{component}"


def headless(router: str) -> str:
    """The name of the Service that gives the model's pods their DNS names."""
    return f"{child(router, 'model')}-pods"


def selector(router: str, component: Component) -> dict[str, str]:
    """The labels by which the pods of a component are found; they never change."""
    return {
        "app.kubernetes.io/name": "rl-router",
        "app.kubernetes.io/instance": router,
        "app.kubernetes.io/component": component,
    }


def labels(router: str, component: Component) -> dict[str, str]:
    """The labels of everything that is made for a component."""
    return {
        **selector(router, component),
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        ROUTER_LABEL: router,
    }
