"""Reconciles a RouterDeployment: brings the children to their desired state, and writes the status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from .. import resources, status
from ..cluster import events, prune
from ..cluster.client import KubernetesClient
from ..cluster.informers import Informers, Stores
from ..objects.kinds import KINDS, POD, PVC, ROUTER
from ..objects.manifest import Manifest, controller_of, is_terminating, uid_of
from ..objects.observed import ChildError, Observed
from ..objects.refusal import RefusedError
from ..objects.routerdeployment import InvalidSpecError, Key, RouterDeployment, read
from ..resources.defaults import Defaults
from ..status.news import news
from .children import Children, GoneError
from .metrics import ready_of
from .pod_health import PodHealth, ProbeIntervals

_RETRY_SECONDS = {"Failed": 2.0, "ForeignObject": 5.0, "Refused": 15.0, "Immutable": 15.0, "Forbidden": 15.0}
"""The maximum number of seconds until the next reconciliation after an error about an object, by the error's reason.

The reasons KindMissing and FieldUnsupported have no entry. The informers report when a missing kind appears.
"""
_CONFLICT_SECONDS = 1.0
"""The maximum number of seconds until the next reconciliation after a conflict with a change by another client.

Usually, the watch event of the change by the other client starts the next reconciliation earlier.
"""
_CHILDREN = frozenset(kind.kind for kind in KINDS)
_COMPARED = _CHILDREN | {PVC.kind}


class _ChangedError(Exception):
    """Raised if the RouterDeployment was changed or deleted after the operator read it."""


@dataclass
class Reconciler:
    """Reconciles RouterDeployments: computes and applies the desired children, and computes and writes the status."""

    client: KubernetesClient
    stores: Stores
    informers: Informers
    children: Children
    pod_health: PodHealth
    defaults: Defaults
    operator: str
    """The namespace and name of this operator's release, which the operator writes into every status."""
    seconds_until_takeover: Callable[[str], float]
    """Returns the seconds until this operator may change another operator's RouterDeployments in a namespace."""
    _names_operator: bool = True
    """Whether the API server stores the field `status.operator`, which an older version of the CRD does not have."""
    _converged: dict[Key, tuple[object, ...]] = field(default_factory=dict)
    _unposted: dict[Key, tuple[Manifest, list[Manifest]]] = field(default_factory=dict)
    """For each RouterDeployment, the manifest and the changed conditions about which no Event was posted yet."""

    async def reconcile(self, key: Key) -> float | None:
        """Reconciles a RouterDeployment, and returns the seconds until the next reconciliation.

        Returns None if the RouterDeployment is not in the store. Changes nothing if the RouterDeployment is being
        deleted, or if another operator may still change it. Raises UnreachableError if the API server returns no valid
        response, NotLeadingError if this process may not write, and RefusedError if the API server rejects the status
        for another reason than a conflict.
        """
        body = self.stores.routers.get(ROUTER.kind, *key)
        if body is None:
            self.forget(key)
            return None
        if is_terminating(body):
            return self.pod_health.intervals.settled
        if _operator_of(body) not in ("", self.operator) and (pause := self.seconds_until_takeover(key[0])):
            return pause
        try:
            return await self._reconcile(body)
        except _ChangedError:
            return _CONFLICT_SECONDS
        except GoneError:
            return self.pod_health.intervals.settled

    def forget_all(self) -> None:
        """Drops everything that the reconciler has recorded about RouterDeployments."""
        self._converged.clear()
        self._unposted.clear()
        self.pod_health.forget_all()
        self.children.forget_all()

    def forget_comparisons(self) -> None:
        """Drops the results of earlier comparisons, so that the next reconciliations compare all children again."""
        self._converged.clear()

    async def _reconcile(self, body: Manifest) -> float:
        try:
            router = read(body)
        except InvalidSpecError as error:
            await self._post_events((body["metadata"]["namespace"], body["metadata"]["name"]))
            await self._write_status(body, status.invalid(body, str(error), datetime.now(UTC)))
            return self.pod_health.intervals.settled
        if router.paused:
            return await self._report(router, body, ())
        is_named = _operator_of(body) == self.operator or not self._names_operator
        is_alive = not is_named and await self._report_first(router, body)
        errors = await self._converge(router, is_alive=is_alive)
        body = self._current_body(router)
        return await self._report(replace(router, status=body.get("status") or {}), body, errors)

    async def _report_first(self, router: RouterDeployment, body: Manifest) -> bool:
        """Writes the first status that names this operator, so that no other operator changes the children.

        Returns whether the write has confirmed that the RouterDeployment exists.
        """
        # Pods that already exist belong to a deleted RouterDeployment of the same name, so the first status ignores
        # existing pods.
        observed = Observed(errors=self._unwatched(router.namespace))
        new = dict(router.status) or status.status_of(router, observed, datetime.now(UTC))
        try:
            await self._write_status(body, new)
        except RefusedError:
            # The reconciliation continues with the children. The write of the status at the end of the reconciliation
            # then raises the error.
            return False
        return True

    async def _converge(self, router: RouterDeployment, *, is_alive: bool) -> tuple[ChildError, ...]:
        """Brings the children and PVCs to their desired state, and returns the errors about the children and PVCs.

        Most reconciliations only update the status. If nothing has changed since the last comparison of the children
        and the comparison found no errors, the operator does not compare the children again until the next periodic
        comparison of all children.
        """
        state = self._state(router)
        if self._converged.get(router.key) == state:
            return ()
        desired = resources.desired(router, self.defaults)
        errors = await self.children.converge(router, desired, is_alive=is_alive)
        if not errors and self._state(router) == state:
            self._converged[router.key] = state
        return errors

    def _state(self, router: RouterDeployment) -> tuple[object, ...]:
        contents = self.stores.objects.contents(router.key, _COMPARED)
        return contents, self.informers.revision, router.uid, router.generation, router.annotations

    def _current_body(self, router: RouterDeployment) -> Manifest:
        """Returns the RouterDeployment from the store. Raises _ChangedError if it is gone or was replaced."""
        body = self.stores.routers.get(ROUTER.kind, *router.key)
        if body is None or uid_of(body) != router.uid:
            raise _ChangedError
        return body

    async def _report(self, router: RouterDeployment, body: Manifest, errors: tuple[ChildError, ...]) -> float:
        """Writes the status if the status has changed, and returns the seconds until the next reconciliation.

        While the operator waits for the first confirmed health of an API pod, the method writes no status.
        """
        await self._post_events(router.key)
        intervals = self.pod_health.intervals
        errors = (*errors, *self._unwatched(router.namespace))
        observed = self._observe(router, errors, settled=_is_settled(body))
        if self.pod_health.is_waiting(router.key):
            return intervals.unsettled
        new = status.status_of(router, observed, datetime.now(UTC))
        await self._write_status(body, new)
        return _pause(errors, intervals, settled=_is_settled({"status": new}))

    def _observe(self, router: RouterDeployment, errors: tuple[ChildError, ...], *, settled: bool) -> Observed:
        objects = self.stores.objects.of(router.key)
        pods = tuple(body for (kind, _), body in objects.items() if kind == POD.kind)
        children = {
            ref: body for ref, body in objects.items() if ref[0] in _CHILDREN and controller_of(body) == router.uid
        }
        return Observed(
            children=children,
            pods=pods,
            pvcs=tuple(body for (kind, _), body in objects.items() if kind == PVC.kind),
            events=tuple(body for (kind, _), body in objects.items() if kind == "Event"),
            healths=self.pod_health.poll(router.key, pods, settled=settled),
            errors=errors,
        )

    def _unwatched(self, namespace: str) -> tuple[ChildError, ...]:
        """Returns an error for each kind (Pod, PersistentVolumeClaim or Event) that the operator cannot watch."""
        kinds = (POD.kind, PVC.kind, "Event")
        messages = ((kind, self.informers.last_error(kind, namespace)) for kind in kinds)
        return tuple(ChildError(kind, "", "Forbidden", message) for kind, message in messages if message)

    async def _write_status(self, body: Manifest, new: dict[str, Any]) -> None:
        """Applies the status `new` with the name of this operator, and posts Events, if the status in `body` differs.

        Raises _ChangedError if the RouterDeployment was changed, deleted or replaced after `body` was read. The apply
        contains the resourceVersion, because the API server does not compare uids in requests to the subresource
        `/status`.
        """
        named = {**new, "operator": self.operator}
        if (named if self._names_operator else new) == (body.get("status") or {}):
            return
        metadata = {name: body["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
        manifest = {"apiVersion": ROUTER.api_version, "kind": ROUTER.kind, "metadata": metadata, "status": named}
        try:
            result, _ = await self.client.apply(ROUTER, manifest, force=True, subresource="status")
        except RefusedError as error:
            if error.status in (404, 409):
                raise _ChangedError from error
            raise
        self._names_operator = "operator" in (result.get("status") or {})
        key = (metadata["namespace"], metadata["name"])
        self.stores.routers.put(prune.router(result), (key,))
        self._unposted[key] = (body, news(body.get("status") or {}, named))
        await self._post_events(key)

    async def _post_events(self, key: Key) -> None:
        """Posts the Events about the last change of the status, if they have not been posted yet.

        If the API server does not respond, a later reconciliation tries again. A rejected Event is not posted again.
        """
        if unposted := self._unposted.get(key):
            await events.post(self.client, *unposted)
            self._unposted.pop(key, None)

    def forget(self, key: Key) -> None:
        self._converged.pop(key, None)
        self._unposted.pop(key, None)
        self.pod_health.forget(key)
        self.children.forget(key)


def _operator_of(body: Manifest) -> str:
    """Returns the operator that wrote the status, or an empty string if the status does not name an operator."""
    return str((body.get("status") or {}).get("operator") or "")


def _is_settled(body: Manifest) -> bool:
    return ready_of(body) == "True"


def _pause(errors: tuple[ChildError, ...], intervals: ProbeIntervals, *, settled: bool) -> float:
    pauses = [_RETRY_SECONDS[error.reason] for error in errors if error.reason in _RETRY_SECONDS]
    return min([intervals.settled if settled else intervals.unsettled, *pauses])
