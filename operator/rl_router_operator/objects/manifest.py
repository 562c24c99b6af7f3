"""A Kubernetes object as a mapping, and what is read from it everywhere."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]
Ref = tuple[str, str]
"""(kind, name): what tells the objects of one RouterDeployment apart."""


def ref_of(manifest: Manifest) -> Ref:
    """The kind and the name."""
    return manifest["kind"], manifest["metadata"]["name"]


def uid_of(manifest: Manifest) -> str:
    """The uid that the API server gave it."""
    return str(manifest["metadata"]["uid"])


def is_terminating(manifest: Manifest) -> bool:
    """Whether the object is being deleted."""
    return "deletionTimestamp" in manifest["metadata"]


def condition(manifest: Manifest, type_: str) -> dict[str, Any]:
    """A condition of an object's status, empty where it has none of that type."""
    for each in manifest.get("status", {}).get("conditions", ()):
        if each["type"] == type_:
            return dict(each)
    return {}


def controller_of(manifest: Manifest) -> str | None:
    """The uid of the object that controls it, None where there is none."""
    for owner in manifest["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            return str(owner["uid"])
    return None
