"""Reconciles one RouterDeployment: makes its children as desired and reports them in its status."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from .. import resources, status
from ..cluster import events, prune
from ..cluster.client import Api
from ..cluster.informers import Informers, Stores
from ..objects.kinds import CLAIM, KINDS, POD, ROUTER
from ..objects.manifest import Manifest, controller_of, is_terminating, uid_of
from ..objects.observed import Observed, Problem
from ..objects.refusal import RefusedError
from ..objects.router import InvalidSpecError, Key, Router, read
from ..resources.defaults import Defaults
from ..status.news import news
from .children import Children, GoneError
from .metrics import ready_of
from .pod_health import Asking, PodHealth

_RETRY_SECONDS = {"Failed": 2.0, "ForeignObject": 5.0, "Refused": 15.0, "Forbidden": 15.0}
"""Seconds until the next reconciliation, by problem; a missing kind is noticed when it appears."""
_CONFLICT_SECONDS = 1.0
"""The watch event of the change leads to a reconciliation earlier."""
_CHILDREN = frozenset(kind.kind for kind in KINDS)
_COMPARED = _CHILDREN | {CLAIM.kind}


class _ChangedError(Exception):
    """The RouterDeployment has changed, or is gone, since it was read: the reconciliation has to start again."""


@dataclass
class Reconciler:
    """Reconciles RouterDeployments; pure functions compute what is desired, what to change and what the status says."""

    api: Api
    stores: Stores
    informers: Informers
    children: Children
    pod_health: PodHealth
    defaults: Defaults
    _converged: dict[Key, tuple[object, ...]] = field(default_factory=dict)
    _unposted: dict[Key, tuple[Manifest, list[Manifest]]] = field(default_factory=dict)
    """RouterDeployments with the conditions that have no Event yet."""

    async def reconcile(self, key: Key) -> float | None:
        """Reconciles a RouterDeployment and returns the seconds until the next time; None if it is gone.

        Raises UnreachableError, NotLeadingError, and RefusedError if the status cannot be written.
        """
        body = self.stores.routers.get(ROUTER.kind, *key)
        if body is None:
            self._forget(key)
            return None
        if is_terminating(body):
            return self.pod_health.asking.settled
        try:
            return await self._reconcile(body)
        except _ChangedError:
            return _CONFLICT_SECONDS
        except GoneError:
            return self.pod_health.asking.settled

    def forget_all(self) -> None:
        """Forgets everything about every RouterDeployment."""
        self._converged.clear()
        self._unposted.clear()
        self.pod_health.forget_all()
        self.children.forget_all()

    def compare_again(self) -> None:
        """Makes the next reconciliation of every RouterDeployment compare its children with the desired ones."""
        self._converged.clear()

    async def _reconcile(self, body: Manifest) -> float:
        try:
            router = read(body)
        except InvalidSpecError as error:
            await self._write_status(body, status.invalid(body, str(error), datetime.now(UTC)))
            return self.pod_health.asking.settled
        if router.paused:
            return await self._report(router, body, ())
        is_alive = not router.status and await self._report_first(router, body)
        problems = await self._converge(router, is_alive=is_alive)
        body = self._still_there(router)
        return await self._report(replace(router, status=body.get("status") or {}), body, problems)

    async def _report_first(self, router: Router, body: Manifest) -> bool:
        """Writes the first status; returns whether that showed that the RouterDeployment exists."""
        # Pods that are there already are a predecessor's.
        observed = Observed(problems=self._unwatched(router.namespace))
        try:
            await self._write_status(body, status.status_of(router, observed, datetime.now(UTC)))
        except RefusedError:
            # The last status of this reconciliation is refused as well, after the children were created.
            return False
        return True

    async def _converge(self, router: Router, *, is_alive: bool) -> tuple[Problem, ...]:
        """Makes the children as desired.

        Most reconciliations are for the status alone. So nothing is compared if nothing has changed since there was
        nothing left to do.
        """
        state = self._state(router)
        if self._converged.get(router.key) == state:
            return ()
        desired = resources.desired(router, self.defaults)
        problems = await self.children.converge(router, desired, is_alive=is_alive)
        if not problems and self._state(router) == state:
            self._converged[router.key] = state
        return problems

    def _state(self, router: Router) -> tuple[object, ...]:
        contents = self.stores.objects.contents(router.key, _COMPARED)
        return contents, self.informers.revision, router.uid, router.generation, router.annotations

    def _still_there(self, router: Router) -> Manifest:
        body = self.stores.routers.get(ROUTER.kind, *router.key)
        if body is None or uid_of(body) != router.uid:
            raise _ChangedError
        return body

    async def _report(self, router: Router, body: Manifest, problems: tuple[Problem, ...]) -> float:
        """Writes the status if it has changed, and returns the seconds until the next reconciliation."""
        await self._post_events(router.key)
        asking = self.pod_health.asking
        problems = (*problems, *self._unwatched(router.namespace))
        observed = self._observe(router, problems, settled=_is_settled(body))
        if self.pod_health.is_waiting(router.key):
            return asking.unsettled
        new = status.status_of(router, observed, datetime.now(UTC))
        await self._write_status(body, new)
        return _pause(problems, asking, settled=_is_settled({"status": new}))

    def _observe(self, router: Router, problems: tuple[Problem, ...], *, settled: bool) -> Observed:
        found = self.stores.objects.of(router.key)
        pods = tuple(body for (kind, _), body in found.items() if kind == POD.kind)
        children = {
            ref: body for ref, body in found.items() if ref[0] in _CHILDREN and controller_of(body) == router.uid
        }
        return Observed(
            children=children,
            pods=pods,
            claims=tuple(body for (kind, _), body in found.items() if kind == CLAIM.kind),
            events=tuple(body for (kind, _), body in found.items() if kind == "Event"),
            healths=self.pod_health.look(router.key, pods, settled=settled),
            problems=problems,
        )

    def _unwatched(self, namespace: str) -> tuple[Problem, ...]:
        """Returns a problem for each kind that the status depends on and that cannot be watched."""
        kinds = (POD.kind, CLAIM.kind, "Event")
        errors = ((kind, self.informers.last_error(kind, namespace)) for kind in kinds)
        return tuple(Problem(kind, "", "Forbidden", error) for kind, error in errors if error)

    async def _write_status(self, body: Manifest, new: dict[str, Any]) -> None:
        """Applies a status that differs from the one in `body`, and posts Events about the difference.

        Raises _ChangedError if the RouterDeployment is no longer the one in `body`. The API server compares no uid on
        `/status`, so the resourceVersion keeps the status from landing in a successor of the same name.
        """
        if new == (body.get("status") or {}):
            return
        metadata = {name: body["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
        manifest = {"apiVersion": ROUTER.api_version, "kind": ROUTER.kind, "metadata": metadata, "status": new}
        try:
            answer, _ = await self.api.apply(ROUTER, manifest, force=True, subresource="status")
        except RefusedError as error:
            if error.status in (404, 409):
                raise _ChangedError from error
            raise
        key = (metadata["namespace"], metadata["name"])
        self.stores.routers.put(prune.router(answer), (key,))
        self._unposted[key] = (body, news(body.get("status") or {}, new))
        await self._post_events(key)

    async def _post_events(self, key: Key) -> None:
        """Posts the Events of the last status; if the API server does not answer, the next reconciliation does."""
        if unposted := self._unposted.get(key):
            await events.post(self.api, *unposted)
            self._unposted.pop(key, None)

    def _forget(self, key: Key) -> None:
        self._converged.pop(key, None)
        self._unposted.pop(key, None)
        self.pod_health.forget(key)
        self.children.forget(key)


def _is_settled(body: Manifest) -> bool:
    return ready_of(body) == "True"


def _pause(problems: tuple[Problem, ...], asking: Asking, *, settled: bool) -> float:
    pauses = [_RETRY_SECONDS[problem.reason] for problem in problems if problem.reason in _RETRY_SECONDS]
    return min([asking.settled if settled else asking.unsettled, *pauses])
