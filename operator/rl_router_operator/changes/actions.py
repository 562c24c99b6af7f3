"""The actions that change an object in the cluster. `cluster/executor.py` performs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..objects.manifest import Manifest, Ref
from ..objects.naming import FIELD_MANAGER


@dataclass(frozen=True)
class Action:
    """An action on the object `ref`. The log contains `reason`."""

    ref: Ref
    reason: str


@dataclass(frozen=True)
class Create(Action):
    """Creates an object if no object has its name. Otherwise the existing object stays unchanged.

    If `by_version` is true, the apply contains a resourceVersion that no object has. Then the API server rejects the
    apply if the name is taken. Otherwise the caller must have checked just before that the name is free.
    """

    manifest: Manifest
    by_version: bool = True


@dataclass(frozen=True)
class Apply(Action):
    """Applies the fields of `manifest` to the object with the uid in `manifest`, or to a subresource of that object."""

    manifest: Manifest
    subresource: str = ""
    manager: str = FIELD_MANAGER


@dataclass(frozen=True)
class Patch(Action):
    """Changes single fields of `live` with a JSON patch, unless the resourceVersion has changed."""

    live: Manifest
    operations: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Disown(Action):
    """Removes the field ownership that patches left in `live`.

    With this ownership, `live` would keep fields that the operator later drops.
    """

    live: Manifest


@dataclass(frozen=True)
class Replace(Action):
    """Deletes `live` but keeps its pods, if a dry run shows that `desired` could be created."""

    live: Manifest
    desired: Manifest


@dataclass(frozen=True)
class Delete(Action):
    """Deletes `live`."""

    live: Manifest
