"""Computes the Scale object with which the operator hands the replicas of a Deployment over to an autoscaler."""

from __future__ import annotations

from collections.abc import Sequence

from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from .drift import owned_fields

MANAGER = f"{FIELD_MANAGER}-handover"
"""The field manager that owns the field `replicas` of a Deployment until an autoscaler writes the field.

Without this owner, the API server would reset the field to its default value when the operator gives up the field.
"""


def scale(desired: Manifest, live: Manifest, children: Sequence[Manifest]) -> Manifest | None:
    """Returns the Scale object to apply before `desired`, or None if the operator does not give up `replicas`.

    The number of replicas stays the same, with one exception: an autoscaler ignores a Deployment with 0 replicas, so 0
    becomes the autoscaler's minimum.
    """
    if "replicas" in desired["spec"] or "f:replicas" not in owned_fields(live).get("f:spec", {}):
        return None
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {key: live["metadata"][key] for key in ("name", "namespace", "uid")},
        "spec": {"replicas": live["spec"].get("replicas") or _minimum(desired, children)},
    }


def _minimum(desired: Manifest, children: Sequence[Manifest]) -> int:
    for child in children:
        if (
            child["kind"] == "HorizontalPodAutoscaler"
            and child["spec"]["scaleTargetRef"]["name"] == desired["metadata"]["name"]
        ):
            return int(child["spec"].get("minReplicas") or 1)
    return 1
