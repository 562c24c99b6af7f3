"""Removes unneeded fields from watched objects to save memory."""

from __future__ import annotations

from typing import Any

from ..changes import edit_conflicts
from ..changes.drift import is_operator_apply
from ..objects.manifest import Manifest

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def child(body: Manifest) -> Manifest:
    """Returns a child or a PVC without the parts that the operator does not need.

    The operator does not need `status.currentMetrics`, the annotation of `kubectl apply`, the entries for the status in
    `metadata.managedFields`, or the lists of fields in the entries of other field managers.
    """
    metadata = dict(body["metadata"])
    entries = [_kept(entry) for entry in metadata.pop("managedFields", ()) if entry.get("subresource") != "status"]
    if entries:
        metadata["managedFields"] = entries
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _LAST_APPLIED}
    status = {key: value for key, value in (body.get("status") or {}).items() if key != "currentMetrics"}
    return {**body, "metadata": metadata, "status": status}


def pod(body: Manifest) -> Manifest:
    """Returns a pod with only the parts of the pod's metadata and spec that the operator needs."""
    spec = body.get("spec") or {}
    containers = [{"name": entry["name"], "image": entry.get("image", "")} for entry in spec.get("containers", ())]
    volumes = [volume for volume in spec.get("volumes", ()) if "persistentVolumeClaim" in volume]
    metadata = {key: value for key, value in body["metadata"].items() if key not in ("managedFields", "annotations")}
    return {
        **body,
        "metadata": metadata,
        "spec": {"nodeName": spec.get("nodeName"), "containers": containers, "volumes": volumes},
        "status": body.get("status") or {},
    }


def warning(body: Manifest) -> Manifest:
    """Returns a Warning Event with only the fields that the operator needs."""
    kept: tuple[str, ...] = (
        *("apiVersion", "kind", "type", "reason", "message", "involvedObject"),
        *("count", "series", "firstTimestamp", "lastTimestamp", "eventTime"),
    )
    metadata = {
        key: body["metadata"].get(key) for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    }
    fields: dict[str, Any] = {key: body[key] for key in kept if body.get(key) is not None}
    return {**fields, "metadata": metadata}


def router(body: Manifest) -> Manifest:
    """Returns a RouterDeployment without the field `metadata.managedFields`."""
    return {**body, "metadata": {k: v for k, v in body["metadata"].items() if k != "managedFields"}}


def _kept(entry: Manifest) -> Manifest:
    if is_operator_apply(entry) or entry.get("manager") == edit_conflicts.MANAGER:
        return entry
    return {key: value for key, value in entry.items() if key in ("manager", "operation", "subresource", "time")}
