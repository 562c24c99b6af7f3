"""Handing the Deployment's replicas over to an autoscaler without a change of their number. Pure."""

from __future__ import annotations

from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from .drift import owned_fields

MANAGER = f"{FIELD_MANAGER}-handover"
"""Who holds the replicas until an autoscaler writes them: a field that nobody holds falls back to its default."""


def scale(desired: Manifest, live: Manifest, children: list[Manifest]) -> Manifest | None:
    """The Scale to apply before `desired`, None where the replicas are not handed over.

    The number stays. From 0, where an autoscaler would rest, it is the autoscaler's least.
    """
    if "replicas" in desired["spec"] or "f:replicas" not in owned_fields(live).get("f:spec", {}):
        return None
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {key: live["metadata"][key] for key in ("name", "namespace", "uid")},
        "spec": {"replicas": live["spec"].get("replicas") or _least(desired, children)},
    }


def _least(desired: Manifest, children: list[Manifest]) -> int:
    for each in children:
        if (
            each["kind"] == "HorizontalPodAutoscaler"
            and each["spec"]["scaleTargetRef"]["name"] == desired["metadata"]["name"]
        ):
            return int(each["spec"].get("minReplicas") or 1)
    return 1
