"""A Kubernetes object as a mapping, and its metadata and conditions."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]
Ref = tuple[str, str]
"""The kind and name, which identify an object among the objects of one RouterDeployment."""


def ref_of(manifest: Manifest) -> Ref:
    """Returns the kind and the name of an object."""
    return manifest["kind"], manifest["metadata"]["name"]


def uid_of(manifest: Manifest) -> str:
    """Returns the uid of an object."""
    return str(manifest["metadata"]["uid"])


def is_terminating(manifest: Manifest) -> bool:
    """Returns whether the object is being deleted."""
    return "deletionTimestamp" in manifest["metadata"]


def condition(manifest: Manifest, type_: str) -> dict[str, Any]:
    """Returns the condition of this type from the status; empty if the status has no such condition."""
    for entry in manifest.get("status", {}).get("conditions", ()):
        if entry["type"] == type_:
            return dict(entry)
    return {}


def controller_of(manifest: Manifest) -> str | None:
    """Returns the uid of the controlling owner; None if the object has no controller."""
    for owner in manifest["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            return str(owner["uid"])
    return None
