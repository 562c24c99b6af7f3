"""One look at one RouterDeployment: its children made as wanted, its status as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..cluster import events
from ..cluster.apply import Children, GoneError
from ..cluster.client import Api, RefusedError
from ..cluster.informers import Sight
from ..cluster.roster import Roster
from ..cluster.store import Cache, Key
from ..objects.kinds import CLAIM, KINDS, POD, ROUTER
from ..objects.manifest import Manifest, controller_of
from ..objects.observed import Health, Observed, Problem
from ..objects.router import InvalidSpecError, Router, read
from .metrics import ready_of
from .pod_health import Asking, Prober

_LOOK_AGAIN = {"Failed": 2.0, "ForeignObject": 5.0, "Refused": 15.0, "Forbidden": 15.0}
"""Seconds until what went wrong is tried again; a kind that is missing is noticed when it appears."""
_MADE = frozenset(kind.kind for kind in KINDS)

Desired = Callable[[Router], tuple[Manifest, ...]]
StatusOf = Callable[[Router, Observed, datetime], dict[str, Any]]
Invalid = Callable[[Manifest, str, datetime], dict[str, Any]]


@dataclass
class Reconciler:
    """`desired`, `status_of` and `invalid` are pure; everything else is how the cluster is seen and written."""

    api: Api
    roster: Roster
    cache: Cache
    sight: Sight
    children: Children
    prober: Prober
    desired: Desired
    status_of: StatusOf
    invalid: Invalid
    _converged: dict[Key, tuple[object, ...]] = field(default_factory=dict)

    async def reconcile(self, key: Key) -> float | None:
        """Looks at a RouterDeployment. The seconds until the next look, None where it is gone.

        Raises UnreachableError and NotLeadingError, and RefusedError where the status could not be written.
        """
        body = self.roster.get(key)
        if body is None:
            self._forget(key)
            return None
        if "deletionTimestamp" in body["metadata"]:
            return self.prober.asking.settled
        try:
            router = read(body)
        except InvalidSpecError as error:
            await self._write_status(body, self.invalid(body, str(error), datetime.now(UTC)))
            return self.prober.asking.settled
        try:
            problems = () if router.paused else await self._converge(router)
        except GoneError:
            self.roster.look_again()
            return self.prober.asking.settled
        return await self._report(router, body, problems)

    def doubt(self) -> None:
        """Every RouterDeployment's children are compared again with what is wanted."""
        self._converged.clear()

    async def _converge(self, router: Router) -> tuple[Problem, ...]:
        """Makes the children what is wanted. Most looks are for the status alone: where all is as it was when nothing
        was left to do, nothing is compared."""
        key, state = (router.namespace, router.name), self._state(router)
        if self._converged.get(key) == state:
            return ()
        problems = await self.children.converge(router, self.desired(router))
        if not problems and self._state(router) == state:
            self._converged[key] = state
        return problems

    def _state(self, router: Router) -> tuple[object, ...]:
        turn = self.cache.turn((router.namespace, router.name))
        return turn, self.sight.turn, router.uid, router.generation, router.annotations

    async def _report(self, router: Router, body: Manifest, problems: tuple[Problem, ...]) -> float:
        """Writes the status."""
        key = (router.namespace, router.name)
        observed = self._observe(router, (*problems, *self._blind(router.namespace)), settled=_is_settled(body))
        if self.prober.is_waiting(key):
            return self.prober.asking.unsettled
        status = self.status_of(router, observed, datetime.now(UTC))
        await self._write_status(body, status)
        return _next_look(problems, self.prober.asking, settled=_is_settled({"status": status}))

    def _observe(self, router: Router, problems: tuple[Problem, ...], *, settled: bool) -> Observed:
        key = (router.namespace, router.name)
        found = self.cache.of(key)
        pods = tuple(each for (kind, _), each in found.items() if kind == POD.kind)
        healths: dict[str, Health] = self.prober.look(key, pods, settled=settled)
        return Observed(
            children={
                ref: each for ref, each in found.items() if ref[0] in _MADE and controller_of(each) == router.uid
            },
            pods=pods,
            claims=tuple(each for (kind, _), each in found.items() if kind == CLAIM.kind),
            events=tuple(each for (kind, _), each in found.items() if kind == "Event"),
            healths=healths,
            problems=problems,
        )

    def _blind(self, namespace: str) -> tuple[Problem, ...]:
        """What the status is computed from and cannot be seen."""
        kinds = (POD.kind, CLAIM.kind, "Event")
        troubles = ((kind, self.sight.trouble(kind, namespace)) for kind in kinds)
        return tuple(Problem(kind, "", "Forbidden", trouble) for kind, trouble in troubles if trouble)

    async def _write_status(self, body: Manifest, status: dict[str, Any]) -> None:
        """Applies a status that differs from the one that is there, and tells people what is new."""
        if status == (body.get("status") or {}):
            return
        metadata = {name: body["metadata"][name] for name in ("name", "namespace", "uid")}
        manifest = {"apiVersion": ROUTER.api_version, "kind": ROUTER.kind, "metadata": metadata, "status": status}
        try:
            answer, _ = await self.api.apply(ROUTER, manifest, force=True, subresource="status")
        except RefusedError as error:
            if error.status not in (404, 409):
                raise
            # It is gone, or another has its name.
            self.roster.look_again()
            if error.status == 409:
                raise
            return
        self.roster.took(answer)
        await events.post(self.api, events.news(body, status))

    def _forget(self, key: Key) -> None:
        self._converged.pop(key, None)
        self.prober.forget(key)
        self.children.forget(key)


def _is_settled(body: Manifest) -> bool:
    return ready_of(body) == "True"


def _next_look(problems: tuple[Problem, ...], asking: Asking, *, settled: bool) -> float:
    pauses = [_LOOK_AGAIN[problem.reason] for problem in problems if problem.reason in _LOOK_AGAIN]
    return min([asking.settled if settled else asking.unsettled, *pauses])
