"""The one way a child is written: made, kept as it is wanted, and removed when it is wanted no longer."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..changes import edit_conflicts, replica_handover, rollout, volume_claims
from ..changes.drift import is_applied
from ..log import log
from ..objects.kinds import BY_NAME, KINDS, ROUTER, Kind
from ..objects.manifest import Manifest, Ref, controller_of, ref_of, uid_of
from ..objects.naming import FIELD_MANAGER
from ..objects.observed import Problem
from ..objects.router import Router
from ..schema import GROUP
from .client import Api, RefusedError
from .informers import Sight
from .prune import child as trimmed
from .store import Cache, Key

ADOPT = f"{GROUP}/adopt"
_TRIES = 4


class GoneError(Exception):
    """The RouterDeployment, or its namespace, is being deleted: nothing is to be made any more."""


class _ForeignError(Exception):
    """An object that is not the RouterDeployment's stands in a child's place."""


@dataclass(frozen=True)
class _Known:
    """A child's uid and its RouterDeployment's; `left` is a print of what was applied and of what that left, where the
    two differ."""

    uid: str
    router: str
    left: str | None = None


@dataclass
class Children:
    """Writes the children of RouterDeployments. What the API server refuses is a Problem, no error; UnreachableError
    and NotLeadingError pass through."""

    api: Api
    cache: Cache
    sight: Sight
    _known: dict[Key, dict[Ref, _Known]] = field(default_factory=lambda: defaultdict(dict))

    async def converge(self, router: Router, desired: tuple[Manifest, ...]) -> tuple[Problem, ...]:
        """Makes the children what is desired. Raises GoneError."""
        seen = self.cache.of((router.namespace, router.name))
        work = _Pass(self, router, {ref_of(each): each for each in desired}, seen)
        problems = [await work.remove(each) for each in work.surplus()]
        problems += [await work.settle(each) for each in desired]
        problems += [await work.tend(each) for each in work.claims()]
        return tuple(problem for problem in problems if problem)

    def was_left_so(self, key: Key, wanted: Manifest, live: Manifest) -> bool:
        """Whether the last apply of just this left just that: an admission changes what is applied."""
        known = self._known[key].get(ref_of(live))
        return known is not None and known.left == _fingerprint(wanted, live)

    def was_owned(self, router: Router, live: Manifest) -> bool:
        """Whether the very object was seen under the RouterDeployment's control."""
        known = self._known[router.namespace, router.name].get(ref_of(live))
        return known is not None and (known.uid, known.router) == (uid_of(live), router.uid)

    def saw_owned(self, router: Router, live: Manifest) -> None:
        """An object that the RouterDeployment controls."""
        if not self.was_owned(router, live):
            self._known[router.namespace, router.name][ref_of(live)] = _Known(uid_of(live), router.uid)

    def applied(self, router: Router, wanted: Manifest, answer: Manifest) -> None:
        """Takes the answer to an apply."""
        key, live = (router.namespace, router.name), trimmed(answer)
        self.cache.put(live, (key,))
        left = None if is_applied(wanted, live) else _fingerprint(wanted, live)
        self._known[key][ref_of(live)] = _Known(uid_of(live), router.uid, left)

    def forget(self, key: Key) -> None:
        """Nothing is remembered of a RouterDeployment that is gone."""
        self._known.pop(key, None)


@dataclass
class _Pass:
    """One look at the children of one RouterDeployment."""

    children: Children
    router: Router
    wanted: Mapping[Ref, Manifest]
    seen: Mapping[Ref, Manifest]
    _exists: bool = False

    @property
    def _api(self) -> Api:
        return self.children.api

    @property
    def _key(self) -> Key:
        return self.router.namespace, self.router.name

    def surplus(self) -> Iterable[Manifest]:
        """What is ours and no longer wanted."""
        for kind in reversed(KINDS):
            for ref, live in self.seen.items():
                if ref[0] == kind.kind and ref not in self.wanted and self._is_ours(live) and not _is_going(live):
                    yield live

    def claims(self) -> Iterable[tuple[Manifest, Manifest]]:
        """(wanted, there) for the claims of the model's pods."""
        for ref, live in self.seen.items():
            if ref[0] == "PersistentVolumeClaim" and volume_claims.is_made(self.router, live) and not _is_going(live):
                yield volume_claims.wanted(self.router, live), live

    async def remove(self, live: Manifest) -> Problem | None:
        """Deletes a child."""
        try:
            await self._api.delete(BY_NAME[live["kind"]], live)
        except RefusedError as error:
            return None if error.status == 409 else _problem(live, error)
        log(logging.INFO, f"deleted {_called(live)}", **self._where())
        return None

    async def settle(self, desired: Manifest) -> Problem | None:
        """Makes a child what is desired."""
        kind = BY_NAME[desired["kind"]]
        if self.children.sight.is_absent(kind.kind, self.router.namespace):
            message = f"the cluster has no {kind.kind} ({kind.api_version}): install what defines it, or ask for none"
            return Problem(*ref_of(desired), "KindMissing", message)
        try:
            await self._ensure(kind, desired)
        except _ForeignError as error:
            return Problem(*ref_of(desired), "ForeignObject", str(error))
        except RefusedError as error:
            if error.is_terminating:
                raise GoneError from error
            return _problem(desired, error)
        return self._unseen(kind, desired)

    async def tend(self, pair: tuple[Manifest, Manifest]) -> Problem | None:
        """Makes a claim's owner and size what is wanted."""
        wanted, live = pair
        if is_applied(wanted, live):
            return None
        try:
            answer, _ = await self._api.apply(BY_NAME[live["kind"]], _pinned(wanted, live), force=True)
        except RefusedError as error:
            return None if error.status == 409 else _problem(live, error)
        self.children.applied(self.router, wanted, answer)
        return None

    async def _ensure(self, kind: Kind, desired: Manifest) -> None:
        live = self.seen.get(ref_of(desired))
        if live is None or not self.children.sight.is_seen(kind.kind, self.router.namespace):
            live = await self._look(kind, desired)
        for _ in range(_TRIES):
            if live is None:
                await self._make(kind, desired)
                return
            if _is_going(live) or await self._is_settled(kind, desired, live):
                return
            live = await self._look(kind, desired)
        raise RefusedError(409, {"message": f"{_called(desired)} is changed by somebody else all the time"})

    async def _is_settled(self, kind: Kind, desired: Manifest, live: Manifest) -> bool:
        """Whether nothing is left to be done; False: it changed meanwhile, look again."""
        await self._refuse_foreign(live)
        wanted = rollout.held_back(desired, live) if kind.kind == "StatefulSet" else desired
        if is_applied(wanted, live) or self.children.was_left_so(self._key, wanted, live):
            return await self._is_alone(kind, wanted, live)
        if kind.kind == "Deployment":
            await self._hand_over(desired, live)
        return await self._apply(kind, wanted, live)

    async def _is_alone(self, kind: Kind, wanted: Manifest, live: Manifest) -> bool:
        """Whether nothing that an edit or its mending left is beside ours; it is removed."""
        if kind.kind == "StatefulSet" and (operations := edit_conflicts.overlooked(wanted, live)):
            await self._patch(kind, live, operations)
            return False
        if edit_conflicts.clearing(live):
            await self._clear(kind, live)
        return True

    async def _apply(self, kind: Kind, wanted: Manifest, live: Manifest) -> bool:
        try:
            answer, _ = await self._api.apply(kind, _pinned(wanted, live), force=True)
        except RefusedError as error:
            return await self._yield_to(error, kind, wanted, live)
        log(logging.INFO, f"applied {_called(live)}", **self._where())
        self.children.applied(self.router, wanted, answer)
        return True

    async def _yield_to(self, error: RefusedError, kind: Kind, wanted: Manifest, live: Manifest) -> bool:
        """What to do about an apply that was refused: whether it is settled so, else it is tried again."""
        if error.status in (404, 409) or _is_another(error):
            return False
        if error.status != 422:
            raise error
        if kind.kind == "StatefulSet" and _is_forbidden_change(error):
            await self._replace(kind, wanted, live)
            return True
        operations = edit_conflicts.mending(wanted, live, [where for _, where, _ in error.causes])
        if not operations:
            raise error
        await self._patch(kind, live, operations)
        return False

    async def _clear(self, kind: Kind, live: Manifest) -> None:
        """Ends what a mending owns; the whole list of owners is needed for that."""
        whole = await self._api.get(kind, self.router.namespace, live["metadata"]["name"])
        if whole and (operations := edit_conflicts.clearing(whole)):
            await self._patch(kind, whole, operations)

    async def _patch(self, kind: Kind, live: Manifest, operations: list[dict[str, Any]]) -> None:
        try:
            await self._api.patch(kind, live, operations, edit_conflicts.MANAGER)
        except RefusedError as error:
            if error.status != 409 and not error.is_outdated:
                raise

    async def _make(self, kind: Kind, desired: Manifest) -> None:
        await self._check_router()
        wanted = rollout.held_back(desired, None) if kind.kind == "StatefulSet" else desired
        try:
            answer, made = await self._api.apply(kind, wanted, force=False)
        except RefusedError as error:
            if error.status == 409:
                raise _ForeignError("was made by somebody else just now") from error
            raise
        if not made and _has_others(answer):
            await self._api.apply(kind, _nothing(answer), force=True)
            raise _ForeignError("was made by somebody else just now")
        log(logging.INFO, f"made {_called(desired)}", **self._where())
        self.children.applied(self.router, wanted, answer)

    async def _replace(self, kind: Kind, wanted: Manifest, live: Manifest) -> None:
        """Deletes a StatefulSet and leaves its pods; it is made again once it is gone."""
        trial = copy.deepcopy(wanted)
        trial["metadata"]["generateName"] = f"{trial['metadata'].pop('name')}-"
        # One that could not be made again must not be deleted.
        await self._api.create(kind, trial, dry_run=True)
        log(logging.INFO, f"{_called(live)} cannot be changed so: it is made anew, its pods stay", **self._where())
        await self._api.delete(kind, live, orphan=True)

    async def _hand_over(self, desired: Manifest, live: Manifest) -> None:
        if scale := replica_handover.scale(desired, live, list(self.wanted.values())):
            await self._api.apply(
                BY_NAME["Deployment"], scale, force=True, subresource="scale", manager=replica_handover.MANAGER
            )

    async def _look(self, kind: Kind, desired: Manifest) -> Manifest | None:
        live = await self._api.get(kind, self.router.namespace, desired["metadata"]["name"])
        return trimmed(live) if live else None

    async def _check_router(self) -> None:
        """A child of a RouterDeployment that is gone would be collected, made again, and so on."""
        if self._exists:
            return
        live = await self._api.get(ROUTER, self.router.namespace, self.router.name)
        if live is None or uid_of(live) != self.router.uid or _is_going(live):
            raise GoneError
        self._exists = True

    async def _refuse_foreign(self, live: Manifest) -> None:
        """Raises _ForeignError unless the object is the RouterDeployment's, or may become so."""
        controller = controller_of(live)
        if controller == self.router.uid:
            self.children.saw_owned(self.router, live)
        elif controller:
            raise _ForeignError("exists and is another object's")
        elif self.children.was_owned(self.router, live) or _is_offered(live):
            # Orphaned with a RouterDeployment that is being deleted, it would be collected if it got its owner back.
            await self._check_router()
        else:
            raise _ForeignError("exists, and nothing says that it was made for this RouterDeployment")

    def _unseen(self, kind: Kind, desired: Manifest) -> Problem | None:
        trouble = self.children.sight.trouble(kind.kind, self.router.namespace)
        return Problem(*ref_of(desired), "Forbidden", trouble) if trouble else None

    def _is_ours(self, live: Manifest) -> bool:
        return controller_of(live) == self.router.uid

    def _where(self) -> dict[str, str]:
        return {"namespace": self.router.namespace, "router": self.router.name}


def _pinned(wanted: Manifest, live: Manifest) -> Manifest:
    """For the very object that was seen: another of its name is a conflict."""
    return {**wanted, "metadata": {**wanted["metadata"], "uid": uid_of(live)}}


def _nothing(live: Manifest) -> Manifest:
    """An apply of nothing: the API server removes what we alone had set."""
    metadata = {key: live["metadata"][key] for key in ("name", "namespace", "uid")}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}


def _has_others(live: Manifest) -> bool:
    entries = live["metadata"].get("managedFields", ())
    return any(entry.get("manager") != FIELD_MANAGER and not entry.get("subresource") for entry in entries)


def _is_offered(live: Manifest) -> bool:
    return (live["metadata"].get("annotations") or {}).get(ADOPT) == "true"


def _is_going(live: Manifest) -> bool:
    return "deletionTimestamp" in live["metadata"]


def _is_another(error: RefusedError) -> bool:
    return error.status == 422 and any(where == "metadata.uid" for _, where, _ in error.causes)


def _is_forbidden_change(error: RefusedError) -> bool:
    return any("updates to statefulset spec" in message for _, _, message in error.causes)


def _called(manifest: Manifest) -> str:
    return " ".join(ref_of(manifest))


def _problem(manifest: Manifest, error: RefusedError) -> Problem:
    reason = "Forbidden" if error.is_missing_permission else "Failed" if error.is_passing else "Refused"
    return Problem(*ref_of(manifest), reason, error.message)  # type: ignore[arg-type]


def _fingerprint(wanted: Manifest, live: Manifest) -> str:
    metadata = {
        k: v for k, v in live["metadata"].items() if k not in ("resourceVersion", "managedFields", "generation")
    }
    shown = {**live, "metadata": metadata, "status": None}
    return hashlib.sha256(json.dumps([wanted, shown], sort_keys=True).encode()).hexdigest()
