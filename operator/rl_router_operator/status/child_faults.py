"""Finds faults of child objects and volumes that the API server does not report, such as stuck deletions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ..objects.manifest import Manifest, is_terminating
from ..objects.observed import ChildError, Observed
from ..objects.pvc import access_modes_of, class_of, fixed_size, is_of_model
from ..objects.routerdeployment import RouterDeployment
from ..schema import Storage
from ..schema.quantity import amount
from .warnings import time_of
from .words import listed

_PATIENCE = timedelta(minutes=10)
"""The time that a controller has to process a change of a child object before the operator reports a fault."""
DELETION_PATIENCE = timedelta(seconds=120)
"""The time that the deletion of an object may take before the operator reports a fault."""
_OBSERVING_KINDS = frozenset({"Deployment", "StatefulSet", "PodDisruptionBudget"})
"""The kinds of child objects whose field `status.observedGeneration` contains the last processed generation."""


def child_faults(router: RouterDeployment, observed: Observed, now: datetime) -> Iterator[ChildError]:
    """Yields the errors about children and about the PVCs of the model pods.

    The errors are about changes that no controller has processed after 10 minutes, deletions that take more than 2
    minutes, a paused rollout of the API, and PVCs that Kubernetes cannot adapt to the spec.
    """
    for (kind, name), child in observed.children.items():
        if not _is_processed(kind, child) and now - _last_change(child) > _PATIENCE:
            yield ChildError(kind, name, "ControllerMissing", "no controller has processed the object's last change")
        if kind == "Deployment" and child["spec"].get("paused"):
            yield ChildError(kind, name, "RolloutPaused", "the field spec.paused of the Deployment is true")
        yield from _stuck_deletion(kind, child, now)
    if storage := router.spec.model.storage:
        for pvc in observed.pvcs:
            if is_of_model(router.name, pvc):
                yield from _volume_faults(storage, pvc)
                yield from _stuck_deletion(pvc["kind"], pvc, now)


def _stuck_deletion(kind: str, live: Manifest, now: datetime) -> Iterator[ChildError]:
    metadata = live["metadata"]
    if is_terminating(live) and now - time_of(metadata["deletionTimestamp"]) > DELETION_PATIENCE:
        finalizers = listed(metadata.get("finalizers") or ["unknown"])
        message = f"the deletion of the object waits for the finalizers {finalizers}"
        yield ChildError(kind, metadata["name"], "DeletionStuck", message)


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


def _volume_faults(storage: Storage, pvc: Manifest) -> Iterator[ChildError]:
    """Yields an error for each field of `spec.model.storage` to which Kubernetes cannot adapt the existing PVC."""
    kind, name = pvc["kind"], pvc["metadata"]["name"]
    size, class_name, access_modes = fixed_size(pvc), class_of(pvc), access_modes_of(pvc)
    if amount(size) > amount(storage.size):
        message = f"the PVC has a size of {size}, but spec.model.storage.size is {storage.size}"
        yield ChildError(kind, name, "VolumeNotShrunk", message)
    if storage.class_name not in (None, class_name):
        message = f"the PVC has {_class_text(class_name)}, but spec.model.storage.className is {storage.class_name}"
        yield ChildError(kind, name, "VolumeNotChanged", message)
    if {*storage.access_modes} != access_modes:
        found, requested = (", ".join(sorted(modes)) for modes in (access_modes, storage.access_modes))
        message = f"the PVC has the access modes {found}, but spec.model.storage.accessModes has {requested}"
        yield ChildError(kind, name, "VolumeNotChanged", message)


def _class_text(class_name: str | None) -> str:
    return f"the StorageClass {class_name}" if class_name else "no StorageClass"
