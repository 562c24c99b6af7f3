"""Defines the actions that change objects in the cluster and that `cluster/executor.py` performs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..objects.manifest import Manifest, Ref
from ..objects.naming import FIELD_MANAGER


@dataclass(frozen=True)
class Action:
    """An action on the object with the kind and name in `ref`. If the action succeeds, the log contains `reason`."""

    ref: Ref
    reason: str


@dataclass(frozen=True)
class Create(Action):
    """Creates an object, unless an object with the same kind and name exists.

    If `by_version` is true, the operator creates the object by an apply with a resourceVersion that no object has, so
    that the API server rejects the apply if the object exists. If `by_version` is false, the caller must have checked
    immediately before the action that the object does not exist.
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
    """Changes fields of the object `live` with a JSON patch, unless the object's resourceVersion has changed."""

    live: Manifest
    operations: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Disown(Action):
    """Removes the field ownership that the operator's JSON patches have left in the object `live`.

    While the field manager of the JSON patches owns a field, the object `live` keeps the field even if the operator no
    longer applies the field.
    """

    live: Manifest


@dataclass(frozen=True)
class Replace(Action):
    """Deletes the object `live` but keeps the pods of `live`, if a dry run shows that `desired` can be created."""

    live: Manifest
    desired: Manifest


@dataclass(frozen=True)
class Delete(Action):
    """Deletes the object `live` from the cluster."""

    live: Manifest
