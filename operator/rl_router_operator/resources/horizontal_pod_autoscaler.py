"""Builds the HorizontalPodAutoscaler of the router API's Deployment."""

from __future__ import annotations

from collections.abc import Iterator

from ..objects import naming
from ..objects.manifest import Manifest
from ..objects.routerdeployment import RouterDeployment
from .defaults import Defaults
from .objects import child


def build(router: RouterDeployment, _defaults: Defaults) -> Iterator[Manifest]:
    """Yields the HorizontalPodAutoscaler if the field `api.autoscaling` is set and the router is not suspended."""
    scaling = router.spec.api.autoscaling
    if not scaling or router.spec.suspend:
        return
    name = naming.child(router.name, "api")
    target = {"type": "Utilization", "averageUtilization": scaling.target_cpu}
    yield child(
        router,
        "HorizontalPodAutoscaler",
        "api",
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    )
