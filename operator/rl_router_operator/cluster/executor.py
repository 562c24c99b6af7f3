"""Performs the planned actions on a RouterDeployment's children and PVCs by writing to the API server."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from ..changes import edit_conflicts
from ..changes.actions import Action, Apply, Create, Delete, Disown, Patch, Replace
from ..objects.kinds import BY_NAME
from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..objects.refusal import RefusedError
from .client import KubernetesClient

_NO_OBJECT = "1"
"""A resourceVersion that no object in the cluster has.

If an apply contains this resourceVersion and the object already exists, the API server rejects the apply with status
409. The API server rejects the apply even if another client creates the object at the same time, and even if the apply
has the option `force`. The file operator/tests/test_creation.py tests this behavior of Kubernetes 1.35 for every kind
of child.
"""


@dataclass(frozen=True)
class Executor:
    """Performs planned actions by sending requests to the API server."""

    client: KubernetesClient

    async def execute(self, action: Action) -> Manifest | None:
        """Performs one action and returns the resulting object.

        Returns None if the action deletes the object, writes a subresource or finds no object. Raises RefusedError if
        the API server rejects a request or another client has created the object first, UnreachableError if the API
        server returns no valid response, and NotLeadingError if this process may not write in the namespace.
        """
        match action:
            case Create():
                return await (self._create if action.by_version else self._create_after_lookup)(action)
            case Apply():
                return await self._apply(action)
            case Patch():
                return await self.client.patch(
                    BY_NAME[action.ref[0]], action.live, list(action.operations), edit_conflicts.MANAGER
                )
            case Disown():
                return await self._disown(action)
            case Replace():
                await self._replace(action)
            case Delete():
                await self.client.delete(BY_NAME[action.ref[0]], action.live)
        return None

    async def _create(self, action: Create) -> Manifest:
        metadata = {**action.manifest["metadata"], "resourceVersion": _NO_OBJECT}
        kind = BY_NAME[action.ref[0]]
        result, _ = await self.client.apply(kind, {**action.manifest, "metadata": metadata}, force=False)
        return result

    async def _create_after_lookup(self, action: Create) -> Manifest:
        """Creates an object after a request to the API server has shown that the object does not exist.

        If another client has created an object with the same name in the meantime, the method removes the operator's
        fields from the other client's object and raises RefusedError.
        """
        kind = BY_NAME[action.ref[0]]
        result, is_new = await self.client.apply(kind, action.manifest, force=False)
        if not is_new and _has_other_managers(result):
            await self.client.apply(kind, _without_fields(result), force=True)
            raise RefusedError(
                409, {"message": "another client created the object first. The operator reads the object again"}
            )
        return result

    async def _apply(self, action: Apply) -> Manifest | None:
        result, _ = await self.client.apply(
            BY_NAME[action.ref[0]],
            action.manifest,
            force=True,
            subresource=action.subresource,
            manager=action.manager,
        )
        return None if action.subresource else result

    async def _disown(self, action: Disown) -> Manifest | None:
        metadata = action.live["metadata"]
        # The patch replaces all of `metadata.managedFields`, but the store contains only some of its entries.
        whole = await self.client.get(BY_NAME[action.ref[0]], metadata["namespace"], metadata["name"])
        if whole is None or not (operations := edit_conflicts.disowning(whole)):
            return whole
        return await self.client.patch(BY_NAME[action.ref[0]], whole, operations, edit_conflicts.MANAGER)

    async def _replace(self, action: Replace) -> None:
        kind, trial = BY_NAME[action.ref[0]], copy.deepcopy(action.desired)
        trial["metadata"]["generateName"] = f"{trial['metadata'].pop('name')}-"
        # The operator deletes the object only if a dry run shows that the object can be created again.
        await self.client.create(kind, trial, dry_run=True)
        await self.client.delete(kind, action.live, orphan=True)


def _without_fields(live: Manifest) -> Manifest:
    """Returns a manifest with only the identity of the object `live`.

    An apply of the returned manifest removes the fields of `live` that only the operator owns.
    """
    metadata = {name: live["metadata"][name] for name in ("name", "namespace", "uid")}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}


def _has_other_managers(live: Manifest) -> bool:
    entries = live["metadata"].get("managedFields", ())
    return any(entry.get("manager") != FIELD_MANAGER and not entry.get("subresource") for entry in entries)
