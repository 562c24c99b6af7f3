"""The PodDisruptionBudget of the API."""

from __future__ import annotations

from collections.abc import Iterator

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.routerdeployment import RouterDeployment
from ..schema import Api
from .defaults import Defaults
from .objects import child


def build(router: RouterDeployment, _defaults: Defaults) -> Iterator[Manifest]:
    """Where there is more than one pod: one alone could never be drained."""
    budget = router.spec.api.disruption_budget
    if not budget.enabled or _pods_at_least(router.spec.api) < 2:
        return
    yield child(
        router,
        "PodDisruptionBudget",
        "api",
        spec={
            "maxUnavailable": budget.max_unavailable,
            # A pod that never became ready holds up no drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": naming.selector(router.name, "api")},
        },
    )


def _pods_at_least(api: Api) -> int:
    return api.autoscaling.min_replicas if api.autoscaling else api.replicas
