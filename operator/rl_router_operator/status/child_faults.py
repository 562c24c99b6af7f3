"""Finds child objects whose changes no controller processes, and volumes that are larger than the spec requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ..objects import pvc
from ..objects.manifest import Manifest
from ..objects.observed import ChildError, Observed
from ..objects.routerdeployment import RouterDeployment
from ..schema.quantity import amount
from .warnings import time_of

_PATIENCE = timedelta(minutes=10)
"""The time that a controller has to process a change of a child object before the operator reports a fault."""
_OBSERVING_KINDS = frozenset({"Deployment", "StatefulSet", "PodDisruptionBudget"})
"""The kinds of child objects whose field `status.observedGeneration` contains the last processed generation."""


def child_faults(router: RouterDeployment, observed: Observed, now: datetime) -> Iterator[ChildError]:
    """Yields an error for each child whose last change stays unprocessed, and for each PVC that is too large."""
    for (kind, name), child in observed.children.items():
        if not _is_processed(kind, child) and now - _last_change(child) > _PATIENCE:
            yield ChildError(kind, name, "ControllerMissing", "no controller has processed the object's last change")
    yield from _large_volumes(router, observed)


def _is_processed(kind: str, child: Manifest) -> bool:
    """Returns whether a controller has processed the current generation of the object.

    If objects of the kind do not report the processed generation in the status, the function returns True.
    """
    generation, status = child["metadata"].get("generation"), child.get("status") or {}
    if generation is None:
        return True
    if kind in _OBSERVING_KINDS:
        return bool(status.get("observedGeneration", 0) >= generation)
    if kind == "HTTPRoute":
        conditions = [entry for parent in status.get("parents", ()) for entry in parent.get("conditions", ())]
        return any(entry.get("observedGeneration", generation) >= generation for entry in conditions)
    return True


def _last_change(child: Manifest) -> datetime:
    """Returns the time of the last change of an object, without regard to changes of the object's status."""
    metadata = child["metadata"]
    times = [entry["time"] for entry in metadata.get("managedFields", ()) if "time" in entry]
    return max(map(time_of, times or [metadata["creationTimestamp"]]))


def _large_volumes(router: RouterDeployment, observed: Observed) -> Iterator[ChildError]:
    storage = router.spec.model.storage
    for live in observed.pvcs if storage else ():
        size = pvc.fixed_size(live)
        if storage and pvc.is_of_model(router.name, live) and amount(size) > amount(storage.size):
            message = f"the PVC has a size of {size}, but spec.model.storage.size is {storage.size}"
            yield ChildError("PersistentVolumeClaim", live["metadata"]["name"], "VolumeNotShrunk", message)
