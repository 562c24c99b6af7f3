"""Keeps the children of RouterDeployments as desired: plans, acts, and plans again after a conflict or a refusal."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, auto

from ..changes.actions import Action, Apply, Create, Delete, Disown, Patch, Replace
from ..changes.plan import Owned, View, owned_after, owned_at, plan
from ..cluster import prune
from ..cluster.client import Api, UnreachableError
from ..cluster.executor import Executor
from ..cluster.informers import Informers
from ..cluster.store import Store
from ..log import log
from ..objects.kinds import BY_NAME, ROUTER
from ..objects.manifest import Manifest, Ref, is_terminating, ref_of, uid_of
from ..objects.observed import Problem
from ..objects.refusal import RefusedError
from ..objects.router import Key, Router

_ROUNDS = 6
_GATEWAY_TIMEOUT = 504
_DONE = {
    Create: "created",
    Apply: "applied",
    Patch: "patched",
    Disown: "patched",
    Replace: "replaced",
    Delete: "deleted",
}


class GoneError(Exception):
    """The RouterDeployment or its namespace is being deleted, or is gone: nothing may be created for it."""


class _Outcome(Enum):
    """What came of an action. Only after `SETTLED` its object needs no other plan."""

    SETTLED = auto()
    CHANGED = auto()
    REFUSED = auto()


@dataclass
class Children:
    """Keeps the children as desired; it remembers which objects it has seen as children."""

    api: Api
    executor: Executor
    store: Store
    informers: Informers
    _owned: dict[Key, dict[Ref, Owned]] = field(default_factory=lambda: defaultdict(dict))
    _foreign: dict[Key, frozenset[Ref]] = field(default_factory=dict)
    """Objects of others that were in the way: they are read, not created, until they are gone."""

    async def converge(
        self, router: Router, desired: tuple[Manifest, ...], *, is_alive: bool = False
    ) -> tuple[Problem, ...]:
        """Makes the children as desired and returns what could not be done.

        `is_alive` says that this pass has seen the RouterDeployment on the API server. Raises GoneError,
        UnreachableError and NotLeadingError.
        """
        problems = await self._converge(router, desired, is_alive=is_alive)
        self._foreign[router.key] = frozenset(
            (problem.kind, problem.name) for problem in problems if problem.reason == "ForeignObject"
        )
        return problems

    def forget(self, key: Key) -> None:
        """Forgets a RouterDeployment that is gone."""
        self._owned.pop(key, None)
        self._foreign.pop(key, None)

    def forget_all(self) -> None:
        """Forgets every RouterDeployment."""
        self._owned.clear()
        self._foreign.clear()

    async def _converge(self, router: Router, desired: tuple[Manifest, ...], *, is_alive: bool) -> tuple[Problem, ...]:
        work = await self._begin(router, desired)
        for _ in range(_ROUNDS):
            planned = plan(router, desired, work.view())
            if planned.owning and not is_alive:
                is_alive = await work.is_router_alive(planned.owning)
                if not is_alive:
                    continue
            if await work.perform(planned.actions):
                return planned.problems
        work.refused |= work.conflicts
        return plan(router, desired, work.view()).problems

    async def _begin(self, router: Router, desired: tuple[Manifest, ...]) -> _Pass:
        namespace, kinds = router.namespace, {manifest["kind"] for manifest in desired}
        work = _Pass(
            self.api,
            self.executor,
            self.store,
            router,
            owned=self._owned[router.key],
            absent=frozenset(kind for kind in kinds if self.informers.is_absent(kind, namespace)),
            unwatched={kind: error for kind in kinds if (error := self.informers.last_error(kind, namespace))},
            live=self.store.of(router.key),
        )
        foreign = self._foreign.get(router.key, frozenset())
        for ref in map(ref_of, desired):
            if ref[0] not in work.absent and (ref in foreign or not self.informers.is_synced(ref[0], namespace)):
                await work.look_up(ref)
        for ref, live in work.live.items():
            if owned := owned_at(router, live, work.owned.get(ref)):
                work.owned[ref] = owned
        return work


@dataclass
class _Pass:
    """One pass over the children of one RouterDeployment: what is known about them, and the actions on them."""

    api: Api
    executor: Executor
    store: Store
    router: Router
    owned: dict[Ref, Owned]
    absent: frozenset[str]
    unwatched: dict[str, str]
    live: dict[Ref, Manifest]
    refused: dict[Ref, RefusedError] = field(default_factory=dict)
    conflicts: dict[Ref, RefusedError] = field(default_factory=dict)
    """The last conflict about each object that has one."""
    misses: dict[Ref, int] = field(default_factory=lambda: defaultdict(int))
    has_timed_out: bool = False

    def view(self) -> View:
        """Returns what is known now."""
        return View(self.live, self.owned, self.absent, self.unwatched, self.refused, self.misses)

    async def look_up(self, ref: Ref) -> None:
        """Reads an object as the API server has it now."""
        self.live.pop(ref, None)
        self.refused.pop(ref, None)
        try:
            found = await self.api.get(BY_NAME[ref[0]], self.router.namespace, ref[1])
        except RefusedError as error:
            self.refused[ref] = error
        else:
            self.live |= {ref: prune.child(found)} if found else {}

    async def is_router_alive(self, owning: frozenset[Ref]) -> bool:
        """Reads the RouterDeployment, without which nothing may be done to the objects `owning`.

        Raises GoneError if it is gone; returns False if it may not be read.
        """
        try:
            live = await self.api.get(ROUTER, self.router.namespace, self.router.name)
        except RefusedError as error:
            self.refused |= dict.fromkeys(owning, error)
            return False
        if live is None or uid_of(live) != self.router.uid or is_terminating(live):
            raise GoneError
        return True

    async def perform(self, actions: tuple[Action, ...]) -> bool:
        """Performs the actions and returns whether nothing is left to plan.

        After a refusal the further actions on the same object are left out.
        """
        unsettled: set[Ref] = set()
        done: dict[tuple[str, str], list[str]] = defaultdict(list)
        try:
            for action in actions:
                if action.ref in unsettled:
                    continue
                outcome = await self._perform(action)
                if outcome is not _Outcome.SETTLED:
                    unsettled.add(action.ref)
                if outcome is not _Outcome.REFUSED:
                    done[_DONE[type(action)], action.reason].append(" ".join(action.ref))
        finally:
            self._log(done)
        return not unsettled

    async def _perform(self, action: Action) -> _Outcome:
        try:
            answer = await self.executor.execute(action)
        except RefusedError as error:
            await self._take_refusal(action, error)
            return _Outcome.REFUSED
        except UnreachableError as error:
            self._take_timeout(action, error)
            return _Outcome.REFUSED
        self.refused.pop(action.ref, None)
        self.conflicts.pop(action.ref, None)
        if answer:
            self._take_answer(action, prune.child(answer))
        if isinstance(action, Replace | Delete):
            self.live[action.ref] = _deleted(action.live)
        # After a patch the object is compared again: it may need an apply, too.
        return _Outcome.CHANGED if isinstance(action, Patch) else _Outcome.SETTLED

    async def _take_refusal(self, action: Action, error: RefusedError) -> None:
        if error.is_terminating:
            raise GoneError from error
        if not error.is_conflict:
            # A refused repair is not repaired again by its causes.
            is_repair = isinstance(action, Patch)
            self.refused[action.ref] = RefusedError(error.status, {"message": error.message}) if is_repair else error
            return
        self.conflicts[action.ref] = error
        await self.look_up(action.ref)
        if isinstance(action, Create) and action.ref not in self.live:
            self.misses[action.ref] += 1

    def _take_timeout(self, action: Action, error: UnreachableError) -> None:
        """Lets the other children be, if one write gets no answer: an admission webhook of its kind may hang.

        Raises UnreachableError after the second one, since then the API server does not answer at all.
        """
        if self.has_timed_out:
            raise error
        self.has_timed_out = True
        self.refused[action.ref] = RefusedError(_GATEWAY_TIMEOUT, {"message": str(error)})

    def _take_answer(self, action: Action, answer: Manifest) -> None:
        self.live[action.ref] = answer
        self.store.put(answer, (self.router.key,))
        if isinstance(action, Create | Apply):
            self.owned[action.ref] = owned_after(self.router, action.manifest, answer)

    def _log(self, done: dict[tuple[str, str], list[str]]) -> None:
        for (verb, reason), names in done.items():
            message = f"{verb} {', '.join(names)}: {reason}"
            log(logging.INFO, message, namespace=self.router.namespace, router=self.router.name)


def _deleted(live: Manifest) -> Manifest:
    """Returns the object as one that is being deleted."""
    return {**live, "metadata": {**live["metadata"], "deletionTimestamp": ""}}
