"""Keeps the children of RouterDeployments as desired: plans, acts, and plans again after a conflict or a refusal."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field, replace

from ..changes.actions import Action, Apply, Create, Delete, Disown, Patch, Replace
from ..changes.plan import Owned, View, owned_after, owned_at, plan
from ..cluster import prune
from ..cluster.client import Api
from ..cluster.executor import Executor
from ..cluster.informers import Informers
from ..cluster.store import Store
from ..log import log
from ..objects.kinds import BY_NAME, ROUTER
from ..objects.manifest import Manifest, Ref, is_terminating, ref_of, uid_of
from ..objects.observed import Problem
from ..objects.refusal import RefusedError
from ..objects.router import Key, Router

_ROUNDS = 4
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


@dataclass
class Children:
    """Keeps the children as desired; it remembers which objects it has seen as children."""

    api: Api
    executor: Executor
    store: Store
    informers: Informers
    _owned: dict[Key, dict[Ref, Owned]] = field(default_factory=lambda: defaultdict(dict))

    async def converge(
        self, router: Router, desired: tuple[Manifest, ...], *, is_alive: bool = False
    ) -> tuple[Problem, ...]:
        """Makes the children as desired and returns what could not be done.

        `is_alive` says that this pass has seen the RouterDeployment on the API server. Raises GoneError,
        UnreachableError and NotLeadingError.
        """
        view = await self._view(router, desired)
        for _ in range(_ROUNDS):
            planned = plan(router, desired, view)
            if planned.owning and not is_alive:
                try:
                    await self._require_alive(router)
                except RefusedError as error:
                    view = replace(view, refused={**view.refused, **dict.fromkeys(planned.owning, error)})
                    continue
                is_alive = True
            work = _Round(self, router, view)
            await work.perform(planned.actions)
            if not work.unsettled:
                return planned.problems
            view = work.view()
        left = plan(router, desired, view)
        contested = (Problem(*action.ref, "Refused", "other clients keep changing it") for action in left.actions)
        return (*left.problems, *contested)

    def forget(self, key: Key) -> None:
        """Forgets a RouterDeployment that is gone."""
        self._owned.pop(key, None)

    async def look_up(
        self, namespace: str, ref: Ref, live: dict[Ref, Manifest], refused: dict[Ref, RefusedError]
    ) -> None:
        """Puts an object as the API server has it now into `live`, or into `refused` that it may not be read."""
        live.pop(ref, None)
        refused.pop(ref, None)
        try:
            found = await self.api.get(BY_NAME[ref[0]], namespace, ref[1])
        except RefusedError as error:
            refused[ref] = error
        else:
            live |= {ref: prune.child(found)} if found else {}

    def remember(self, router: Router, ref: Ref, owned: Owned) -> None:
        """Remembers an object as a child of the RouterDeployment."""
        self._owned[router.key][ref] = owned

    async def _view(self, router: Router, desired: tuple[Manifest, ...]) -> View:
        live = self.store.of(router.key)
        kinds = {manifest["kind"] for manifest in desired}
        absent = frozenset(kind for kind in kinds if self.informers.is_absent(kind, router.namespace))
        refused: dict[Ref, RefusedError] = {}
        for ref in map(ref_of, desired):
            if ref[0] not in absent and not self.informers.is_synced(ref[0], router.namespace):
                await self.look_up(router.namespace, ref, live, refused)
        owned = self._owned[router.key]
        owned |= {ref: seen for ref, manifest in live.items() if (seen := owned_at(router, manifest, owned.get(ref)))}
        unwatched = {kind: error for kind in kinds if (error := self.informers.last_error(kind, router.namespace))}
        return View(live, owned, absent, unwatched, refused)

    async def _require_alive(self, router: Router) -> None:
        live = await self.api.get(ROUTER, router.namespace, router.name)
        if live is None or uid_of(live) != router.uid or is_terminating(live):
            raise GoneError


@dataclass
class _Round:
    """Performs the actions of one plan. `unsettled` are the objects about which another plan is needed."""

    children: Children
    router: Router
    before: View
    unsettled: set[Ref] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._live, self._refused = dict(self.before.live), dict(self.before.refused)
        self._misses = dict(self.before.misses)
        self._done: dict[tuple[str, str], list[str]] = defaultdict(list)

    def view(self) -> View:
        """Returns what is known after the actions."""
        view = self.before
        return View(self._live, view.owned, view.absent, view.unwatched, self._refused, self._misses)

    async def perform(self, actions: tuple[Action, ...]) -> None:
        """Performs the actions; after a refusal it leaves out the further actions on the same object."""
        try:
            for action in actions:
                if action.ref not in self.unsettled:
                    await self._perform(action)
        finally:
            self._log()

    async def _perform(self, action: Action) -> None:
        try:
            answer = await self.children.executor.execute(action)
        except RefusedError as error:
            await self._refuse(action, error)
        else:
            self._settle(action, answer)

    async def _refuse(self, action: Action, error: RefusedError) -> None:
        if error.is_terminating:
            raise GoneError from error
        self.unsettled.add(action.ref)
        if not error.is_conflict:
            self._refused[action.ref] = error
            return
        await self.children.look_up(self.router.namespace, action.ref, self._live, self._refused)
        if isinstance(action, Create) and action.ref not in self._live:
            self._misses[action.ref] = self._misses.get(action.ref, 0) + 1

    def _settle(self, action: Action, answer: Manifest | None) -> None:
        self._done[_DONE[type(action)], action.reason].append(" ".join(action.ref))
        self._refused.pop(action.ref, None)
        if answer:
            live = self._live[action.ref] = prune.child(answer)
            self.children.store.put(live, (self.router.key,))
            if isinstance(action, Create | Apply):
                self.children.remember(self.router, action.ref, owned_after(self.router, action.manifest, live))
        if isinstance(action, Patch):
            self.unsettled.add(action.ref)
        if isinstance(action, Replace | Delete):
            self._live[action.ref] = _deleted(action.live)

    def _log(self) -> None:
        for (done, reason), names in self._done.items():
            message = f"{done} {', '.join(names)}: {reason}"
            log(logging.INFO, message, namespace=self.router.namespace, router=self.router.name)


def _deleted(live: Manifest) -> Manifest:
    """Returns the object as one that is being deleted."""
    return {**live, "metadata": {**live["metadata"], "deletionTimestamp": ""}}
