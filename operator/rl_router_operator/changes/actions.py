"""The actions on an object, as values with their reasons. `cluster/executor.py` performs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..objects.manifest import Manifest, Ref
from ..objects.naming import FIELD_MANAGER


@dataclass(frozen=True)
class Action:
    """An action on the object `ref`; `reason` is text for the log."""

    ref: Ref
    reason: str


@dataclass(frozen=True)
class Create(Action):
    """Create an object if its name is free. An existing object with the name stays unchanged.

    With `by_version` the apply has a resourceVersion that no object has, so that the API server rejects it if the name
    is taken. Without it, the caller must have checked just before that the name is free.
    """

    manifest: Manifest
    by_version: bool = True


@dataclass(frozen=True)
class Apply(Action):
    """Apply the fields of `manifest` to the object with its uid, or to a subresource of that object."""

    manifest: Manifest
    subresource: str = ""
    manager: str = FIELD_MANAGER


@dataclass(frozen=True)
class Patch(Action):
    """Change single fields of `live` by JSON Patch operations, if its resourceVersion is still the same."""

    live: Manifest
    operations: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Disown(Action):
    """Remove the field ownership that patches left in `live`. It would keep fields that the operator later drops."""

    live: Manifest


@dataclass(frozen=True)
class Replace(Action):
    """Delete `live` and keep its pods, unless `desired` could not be created in its place."""

    live: Manifest
    desired: Manifest


@dataclass(frozen=True)
class Delete(Action):
    """Delete `live`."""

    live: Manifest
