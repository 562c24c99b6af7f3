"""Builds the PodDisruptionBudget of the API pods."""

from __future__ import annotations

from collections.abc import Iterator

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.routerdeployment import RouterDeployment
from ..schema import Api
from .defaults import Defaults
from .objects import child


def build(router: RouterDeployment, _defaults: Defaults) -> Iterator[Manifest]:
    """Yields the PodDisruptionBudget if the spec enables the PodDisruptionBudget and requires at least two API pods."""
    budget = router.spec.api.disruption_budget
    if not budget.enabled or _minimum_pods(router.spec.api) < 2:
        return
    yield child(
        router,
        "PodDisruptionBudget",
        "api",
        spec={
            "maxUnavailable": budget.max_unavailable,
            # A pod that never became ready must not block the drain of its node.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": naming.selector(router.name, "api")},
        },
    )


def _minimum_pods(api: Api) -> int:
    return api.autoscaling.min_replicas if api.autoscaling else api.replicas
