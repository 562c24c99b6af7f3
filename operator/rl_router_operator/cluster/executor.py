"""Performs the actions of a plan: every write to a child of a RouterDeployment."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from ..changes import edit_conflicts
from ..changes.actions import Action, Apply, Create, Delete, Disown, Patch, Replace
from ..objects.kinds import BY_NAME
from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..objects.refusal import RefusedError
from .client import Api

_NO_OBJECT = "1"
"""A resourceVersion that no object has: the API server answers such an apply with 409 if the name is taken, also in a
race and with `force`. Tried on Kubernetes 1.35; tests/test_creation.py holds it for every kind."""


@dataclass(frozen=True)
class Executor:
    """Performs actions on the API server."""

    api: Api

    async def execute(self, action: Action) -> Manifest | None:
        """Performs one action and returns the whole object after it; None if the API server does not say.

        Raises RefusedError, UnreachableError and NotLeadingError.
        """
        match action:
            case Create():
                return await (self._create if action.by_version else self._create_after_lookup)(action)
            case Apply():
                return await self._apply(action)
            case Patch():
                return await self.api.patch(
                    BY_NAME[action.ref[0]], action.live, list(action.operations), edit_conflicts.MANAGER
                )
            case Disown():
                return await self._disown(action)
            case Replace():
                await self._replace(action)
            case Delete():
                await self.api.delete(BY_NAME[action.ref[0]], action.live)
        return None

    async def _create(self, action: Create) -> Manifest:
        metadata = {**action.manifest["metadata"], "resourceVersion": _NO_OBJECT}
        answer, _ = await self.api.apply(BY_NAME[action.ref[0]], {**action.manifest, "metadata": metadata}, force=False)
        return answer

    async def _create_after_lookup(self, action: Create) -> Manifest:
        """Creates an object whose name was free a moment ago; leaves the object of a faster client as it was."""
        kind = BY_NAME[action.ref[0]]
        answer, is_new = await self.api.apply(kind, action.manifest, force=False)
        if not is_new and _has_other_managers(answer):
            await self.api.apply(kind, _without_fields(answer), force=True)
            raise RefusedError(409, {"message": "another client created it at the same time"})
        return answer

    async def _apply(self, action: Apply) -> Manifest | None:
        answer, _ = await self.api.apply(
            BY_NAME[action.ref[0]],
            action.manifest,
            force=True,
            subresource=action.subresource,
            manager=action.manager,
        )
        return None if action.subresource else answer

    async def _disown(self, action: Disown) -> Manifest | None:
        metadata = action.live["metadata"]
        # The patch replaces managedFields, of which the informers keep a part.
        whole = await self.api.get(BY_NAME[action.ref[0]], metadata["namespace"], metadata["name"])
        if whole is None or not (operations := edit_conflicts.disowning(whole)):
            return whole
        return await self.api.patch(BY_NAME[action.ref[0]], whole, operations, edit_conflicts.MANAGER)

    async def _replace(self, action: Replace) -> None:
        kind, trial = BY_NAME[action.ref[0]], copy.deepcopy(action.wanted)
        trial["metadata"]["generateName"] = f"{trial['metadata'].pop('name')}-"
        # An object that could not be created again must not be deleted.
        await self.api.create(kind, trial, dry_run=True)
        await self.api.delete(kind, action.live, orphan=True)


def _without_fields(live: Manifest) -> Manifest:
    """Returns an apply without fields: the API server then removes those that only the operator had set."""
    metadata = {name: live["metadata"][name] for name in ("name", "namespace", "uid")}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}


def _has_other_managers(live: Manifest) -> bool:
    entries = live["metadata"].get("managedFields", ())
    return any(entry.get("manager") != FIELD_MANAGER and not entry.get("subresource") for entry in entries)
