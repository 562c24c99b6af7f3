"""Defines the type `Manifest` for Kubernetes objects, and reads the metadata and the conditions of objects."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]
Ref = tuple[str, str]
"""The kind and the name of an object, which identify the object among the objects of one RouterDeployment."""


def ref_of(manifest: Manifest) -> Ref:
    """Returns the kind and the name of an object."""
    return manifest["kind"], manifest["metadata"]["name"]


def uid_of(manifest: Manifest) -> str:
    """Returns the uid of an object."""
    return str(manifest["metadata"]["uid"])


def is_terminating(manifest: Manifest) -> bool:
    """Returns whether an object is being deleted."""
    return "deletionTimestamp" in manifest["metadata"]


def condition(manifest: Manifest, type_: str) -> dict[str, Any]:
    """Returns the condition of the type `type_` from an object's status, or an empty mapping if the condition is
    missing."""
    for entry in manifest.get("status", {}).get("conditions", ()):
        if entry["type"] == type_:
            return dict(entry)
    return {}


def controller_of(manifest: Manifest) -> str | None:
    """Returns the uid of the owner that controls an object, or None if the object has no controlling owner."""
    for owner in manifest["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            return str(owner["uid"])
    return None
