"""Builds a RouterDeployment's children from the spec and the operator's defaults, with one module per kind of child."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..objects.manifest import Manifest
from ..objects.routerdeployment import RouterDeployment
from . import (
    config_map,
    deployment,
    horizontal_pod_autoscaler,
    http_route,
    ingress,
    network_policy,
    pod_disruption_budget,
    service,
    service_account,
    service_monitor,
    stateful_set,
)
from .defaults import Defaults

Builder = Callable[[RouterDeployment, Defaults], Iterator[Manifest]]

_BUILDERS: tuple[Builder, ...] = (
    service_account.build,
    config_map.build,
    service.build,
    stateful_set.build,
    deployment.build,
    pod_disruption_budget.build,
    horizontal_pod_autoscaler.build,
    network_policy.build,
    ingress.build,
    http_route.build,
    service_monitor.build,
)
"""The functions that build the children.

The functions have the same order as the kinds in `kinds.KINDS`. The operator applies the children in this order.
"""


def desired(router: RouterDeployment, defaults: Defaults) -> tuple[Manifest, ...]:
    """Returns the children that the RouterDeployment should have, in the order in which they must be applied."""
    return tuple(child for build in _BUILDERS for child in build(router, defaults))
