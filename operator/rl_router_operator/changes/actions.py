"""What can be done to an object. Each action is a value with its reason; `cluster/executor.py` performs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..objects.manifest import Manifest, Ref
from ..objects.naming import FIELD_MANAGER


@dataclass(frozen=True)
class Action:
    """Something to be done to the object `ref`, and why, in words for the log."""

    ref: Ref
    reason: str


@dataclass(frozen=True)
class Create(Action):
    """Create an object if its name is free; an object that has the name is not touched.

    With `by_version` a version in the apply, which no object has, ensures that. Without it the name must have been
    looked up just before.
    """

    manifest: Manifest
    by_version: bool = True


@dataclass(frozen=True)
class Apply(Action):
    """Apply the fields of `manifest` to the object of the uid in it, or to a subresource of that object."""

    manifest: Manifest
    subresource: str = ""
    manager: str = FIELD_MANAGER


@dataclass(frozen=True)
class Patch(Action):
    """Change single fields of `live` by JSON Patch operations, if it still has the version that was seen."""

    live: Manifest
    operations: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Disown(Action):
    """End the ownership that patches left on fields of `live`, which would stay when the operator drops them."""

    live: Manifest


@dataclass(frozen=True)
class Replace(Action):
    """Delete `live` and keep its pods, unless `wanted` could not be created in its place."""

    live: Manifest
    wanted: Manifest


@dataclass(frozen=True)
class Delete(Action):
    """Delete `live`."""

    live: Manifest
