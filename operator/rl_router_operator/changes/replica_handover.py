"""Hands the Deployment's replicas over to an autoscaler without changing their number."""

from __future__ import annotations

from collections.abc import Sequence

from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from .drift import owned_fields

MANAGER = f"{FIELD_MANAGER}-handover"
"""The field manager that owns `replicas` until an autoscaler writes it. A field without an owner gets its default."""


def scale(desired: Manifest, live: Manifest, children: Sequence[Manifest]) -> Manifest | None:
    """Returns the Scale to apply before `desired`; None if the owner of `replicas` stays the same.

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
