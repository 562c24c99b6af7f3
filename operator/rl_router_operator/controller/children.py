"""Plans and performs the actions that keep the children and PVCs of RouterDeployments in their desired state."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, auto

from ..changes.actions import Action, Apply, Create, Delete, Disown, Patch, Replace
from ..changes.plan import Owned, View, owned_after, owned_at, plan
from ..cluster import prune
from ..cluster.client import KubernetesClient
from ..cluster.executor import Executor
from ..cluster.informers import Informers
from ..cluster.store import Store
from ..cluster.transport import UnreachableError
from ..log import log
from ..objects.kinds import BY_NAME, ROUTER
from ..objects.manifest import Manifest, Ref, is_terminating, ref_of, uid_of
from ..objects.observed import ChildError
from ..objects.refusal import RefusedError
from ..objects.routerdeployment import Key, RouterDeployment

_MAXIMUM_ROUNDS = 6
"""The maximum number of rounds in one reconciliation. In each round, the operator plans and performs actions.

If conflicts with other clients remain after the last round, the operator reports the conflicts as errors.
"""
_GATEWAY_TIMEOUT = 504
_VERBS = {
    Create: "created",
    Apply: "applied",
    Patch: "patched",
    Disown: "patched",
    Replace: "replaced",
    Delete: "deleted",
}


class GoneError(Exception):
    """Raised if the RouterDeployment is gone, or if the RouterDeployment or its namespace is being deleted."""


class _Outcome(Enum):
    """The outcome of an action on an object.

    After the outcome `CHANGED` or `REFUSED`, the operator skips the remaining actions on the object, and plans
    the actions on the object again.
    """

    SETTLED = auto()
    CHANGED = auto()
    REFUSED = auto()


@dataclass
class Children:
    """Keeps children and PVCs of RouterDeployments in their desired state, and records which objects were children."""

    client: KubernetesClient
    executor: Executor
    store: Store
    informers: Informers
    _owned: dict[Key, dict[Ref, Owned]] = field(default_factory=lambda: defaultdict(dict))
    _foreign: dict[Key, frozenset[Ref]] = field(default_factory=dict)
    """For each RouterDeployment, the objects that have the name of a child but do not belong to the RouterDeployment.

    Each reconciliation first reads these objects from the API server, because the informers watch only objects with the
    operator's label.
    """

    async def converge(
        self, router: RouterDeployment, desired: tuple[Manifest, ...], *, is_alive: bool = False
    ) -> tuple[ChildError, ...]:
        """Brings the children and PVCs to their desired state, and returns the errors about the children and PVCs.

        If `is_alive` is true, a response in this reconciliation has confirmed that the RouterDeployment exists. Raises
        GoneError if the RouterDeployment is gone, or if the RouterDeployment or its namespace is being deleted. Raises
        UnreachableError if a read or two writes get no response. Raises NotLeadingError if this process may not write.
        """
        errors = await self._converge(router, desired, is_alive=is_alive)
        self._foreign[router.key] = frozenset(
            (error.kind, error.name) for error in errors if error.reason == "ForeignObject"
        )
        return errors

    def forget(self, key: Key) -> None:
        """Drops the records about the children of one RouterDeployment."""
        self._owned.pop(key, None)
        self._foreign.pop(key, None)

    def forget_all(self) -> None:
        """Drops the records about the children of every RouterDeployment."""
        self._owned.clear()
        self._foreign.clear()

    async def _converge(
        self, router: RouterDeployment, desired: tuple[Manifest, ...], *, is_alive: bool
    ) -> tuple[ChildError, ...]:
        convergence = await self._begin(router, desired)
        for _ in range(_MAXIMUM_ROUNDS):
            planned = plan(router, desired, convergence.view())
            if planned.owning and not is_alive:
                is_alive = await convergence.is_router_alive(planned.owning)
                if not is_alive:
                    continue
            if await convergence.perform(planned.actions):
                # The results of the actions can show new errors, for example a field that the API server dropped.
                return plan(router, desired, convergence.view()).errors if planned.actions else planned.errors
        convergence.refused |= convergence.conflicts
        return plan(router, desired, convergence.view()).errors

    async def _begin(self, router: RouterDeployment, desired: tuple[Manifest, ...]) -> _Convergence:
        namespace, kinds = router.namespace, {manifest["kind"] for manifest in desired}
        convergence = _Convergence(
            self.client,
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
            if ref[0] not in convergence.absent and (ref in foreign or not self.informers.is_synced(ref[0], namespace)):
                await convergence.look_up(ref)
        for ref, live in convergence.live.items():
            if owned := owned_at(router, live, convergence.owned.get(ref)):
                convergence.owned[ref] = owned
        return convergence


@dataclass
class _Convergence:
    """The known state of the children during one reconciliation.

    The results of the actions update the known state of the children.
    """

    client: KubernetesClient
    executor: Executor
    store: Store
    router: RouterDeployment
    owned: dict[Ref, Owned]
    absent: frozenset[str]
    unwatched: dict[str, str]
    live: dict[Ref, Manifest]
    refused: dict[Ref, RefusedError] = field(default_factory=dict)
    conflicts: dict[Ref, RefusedError] = field(default_factory=dict)
    """For each object, the API server's last rejection because of a conflict with another client."""
    creation_conflicts: dict[Ref, int] = field(default_factory=lambda: defaultdict(int))
    has_timed_out: bool = False

    def view(self) -> View:
        """Returns the currently known state of the children as the input of a plan."""
        return View(self.live, self.owned, self.absent, self.unwatched, self.refused, self.creation_conflicts)

    async def look_up(self, ref: Ref) -> None:
        """Reads an object from the API server, and records the object or the rejection of the read."""
        self.live.pop(ref, None)
        self.refused.pop(ref, None)
        try:
            live = await self.client.get(BY_NAME[ref[0]], self.router.namespace, ref[1])
        except RefusedError as error:
            self.refused[ref] = error
        else:
            self.live |= {ref: prune.child(live)} if live else {}

    async def is_router_alive(self, owning: frozenset[Ref]) -> bool:
        """Returns True if the RouterDeployment that is to own the objects `owning` still exists.

        Returns False if the API server rejects the read of the RouterDeployment. Raises GoneError if the
        RouterDeployment is gone or being deleted.
        """
        try:
            live = await self.client.get(ROUTER, self.router.namespace, self.router.name)
        except RefusedError as error:
            self.refused |= dict.fromkeys(owning, error)
            return False
        if live is None or uid_of(live) != self.router.uid or is_terminating(live):
            raise GoneError
        return True

    async def perform(self, actions: tuple[Action, ...]) -> bool:
        """Performs the actions, and returns False if the actions on an object must be planned again.

        Skips the remaining actions on an object whose actions must be planned again.
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
                    done[_VERBS[type(action)], action.reason].append(" ".join(action.ref))
        finally:
            self._log(done)
        return not unsettled

    async def _perform(self, action: Action) -> _Outcome:
        try:
            result = await self.executor.execute(action)
        except RefusedError as error:
            await self._take_refusal(action, error)
            return _Outcome.REFUSED
        except UnreachableError as error:
            self._take_timeout(action, error)
            return _Outcome.REFUSED
        rejected = self.refused.pop(action.ref, None)
        self.conflicts.pop(action.ref, None)
        if rejected and isinstance(action, Patch) and result and not _is_changed(action.live, result):
            self.refused[action.ref] = _without_causes(rejected)
            return _Outcome.REFUSED
        if result:
            self._take_result(action, prune.child(result))
        if isinstance(action, Replace | Delete):
            self.live[action.ref] = _deleted(action.live)
        # After a patch, the object must be planned again, because the object may also need an apply.
        return _Outcome.CHANGED if isinstance(action, Patch) else _Outcome.SETTLED

    async def _take_refusal(self, action: Action, error: RefusedError) -> None:
        if error.is_terminating:
            raise GoneError from error
        if not error.is_conflict:
            self.refused[action.ref] = _without_causes(error) if isinstance(action, Patch) else error
            return
        self.conflicts[action.ref] = error
        await self.look_up(action.ref)
        if isinstance(action, Create) and action.ref not in self.live:
            self.creation_conflicts[action.ref] += 1

    def _take_timeout(self, action: Action, error: UnreachableError) -> None:
        """Records the first write without a response as an error of the written object only.

        If an admission webhook for the kind of the object does not respond, only the writes of this kind get no
        response. Raises UnreachableError after the second write without a response, because then the API server itself
        probably does not respond.
        """
        if self.has_timed_out:
            raise error
        self.has_timed_out = True
        self.refused[action.ref] = RefusedError(_GATEWAY_TIMEOUT, {"message": str(error)})

    def _take_result(self, action: Action, result: Manifest) -> None:
        self.live[action.ref] = result
        self.store.put(result, (self.router.key,))
        if isinstance(action, Create | Apply):
            self.owned[action.ref] = owned_after(self.router, action.manifest, result)

    def _log(self, done: dict[tuple[str, str], list[str]]) -> None:
        for (verb, reason), names in done.items():
            message = f"{verb} {', '.join(names)}: {reason}"
            log(logging.INFO, message, namespace=self.router.namespace, router=self.router.name)


def _is_changed(live: Manifest, result: Manifest) -> bool:
    """Returns whether a write of the object `live` has changed the object."""
    return bool(live["metadata"].get("resourceVersion") != result["metadata"].get("resourceVersion"))


def _without_causes(error: RefusedError) -> RefusedError:
    """Returns a rejection without its causes, so that the plan does not try the same repair again."""
    return RefusedError(error.status, {"message": error.message})


def _deleted(live: Manifest) -> Manifest:
    """Returns the manifest `live` with a deletion timestamp, so that later plans regard the object as being deleted."""
    return {**live, "metadata": {**live["metadata"], "deletionTimestamp": ""}}
