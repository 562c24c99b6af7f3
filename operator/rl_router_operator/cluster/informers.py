"""Runs a list-watch for each kind that reconciliations need, and reports kinds that the operator cannot watch."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..objects.kinds import KINDS, POD, PVC, ROUTER, Kind
from ..objects.manifest import Manifest
from ..objects.naming import ROUTER_LABEL
from ..objects.routerdeployment import Key
from . import prune
from .client import KubernetesClient
from .list_watch import MAXIMUM_PAUSE, ListWatch, Source
from .store import Store

EVENT = Kind("v1", "Event", "events")
_CHILDREN = {"labelSelector": ROUTER_LABEL}
_WARNINGS = {"fieldSelector": "type=Warning"}
_TIER = re.compile(r"-(?:model|api)(?=-|$)")


@dataclass(frozen=True)
class Stores:
    """The stores in which the informers keep the watched objects.

    The store `routers` contains RouterDeployments, and the store `objects` contains the objects that belong to
    RouterDeployments.
    """

    routers: Store
    objects: Store


class Informers:
    """Lists and watches every kind that reconciliations need.

    If `namespaces` is empty, the informers watch all namespaces, and otherwise only the namespaces in `namespaces`.

    The function `on_change` is called when the result of `is_synced`, `is_absent` or `last_error` changes, and when the
    watch of a kind starts after a new list, but not for the first result of a kind. The parameter `absent_pause` is the
    time in seconds between two attempts to list an optional kind that the cluster does not have.
    """

    def __init__(
        self,
        client: KubernetesClient,
        stores: Stores,
        namespaces: tuple[str, ...],
        on_change: Callable[[], None],
        absent_pause: float,
    ) -> None:
        self.revision = 0
        """The number of times that the informers have called the function `on_change`."""
        self._on_change = on_change
        self._watches = {
            (source.kind.kind, source.namespace): ListWatch(
                client, store, source, self._changed, absent_pause if source.kind.optional else MAXIMUM_PAUSE
            )
            for source, store in _sources(stores, namespaces)
        }

    async def run(self) -> None:
        """Lists and watches every kind that reconciliations need, until the task is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for watch in self._watches.values():
                tasks.create_task(watch.run())

    async def settled(self) -> None:
        """Waits until the operator knows for each of the kinds whether the kind can be watched."""
        for watch in self._watches.values():
            await watch.settled.wait()

    def is_settled(self) -> bool:
        """Returns whether the operator knows for each of the kinds whether the kind can be watched."""
        return all(watch.settled.is_set() for watch in self._watches.values())

    def is_synced(self, kind: str, namespace: str) -> bool:
        """Returns whether the operator's store contains all watched objects of a kind in a namespace."""
        watch = self._watch(kind, namespace)
        return watch is not None and watch.synced

    def is_absent(self, kind: str, namespace: str) -> bool:
        """Returns whether the cluster lacks a kind, for example because the CRD of the kind is not installed."""
        watch = self._watch(kind, namespace)
        return watch is not None and watch.absent

    def last_error(self, kind: str, namespace: str) -> str | None:
        """Returns the error that prevents the watch of a kind in a namespace, or None if no such error is known."""
        watch = self._watch(kind, namespace)
        return watch.last_error if watch else None

    def obstacles(self) -> list[str]:
        """Returns the reasons why the operator cannot reconcile all RouterDeployments, one text for each reason."""
        routers = [watch for (kind, _), watch in self._watches.items() if kind == ROUTER.kind]
        reasons = [watch.last_error for watch in routers if watch.last_error]
        if any(watch.absent for watch in routers):
            reasons.append("the cluster does not have the kind RouterDeployment. Install the CRD of RouterDeployments")
        elif not reasons and not all(watch.synced for watch in routers):
            reasons.append("the operator does not watch all RouterDeployments yet. Check that the API server responds")
        if not self.is_settled():
            missing = {kind for (kind, _), watch in self._watches.items() if not watch.settled.is_set()}
            kinds = ", ".join(sorted(missing))
            reasons.append(f"the operator does not watch these kinds yet: {kinds}. Check that the API server responds")
        return reasons

    def _changed(self) -> None:
        self.revision += 1
        self._on_change()

    def _watch(self, kind: str, namespace: str) -> ListWatch | None:
        return self._watches.get((kind, None)) or self._watches.get((kind, namespace))


def key_of_router(body: Manifest) -> tuple[Key, ...]:
    """Returns a tuple with one element, the key of the RouterDeployment `body`: the namespace and the name."""
    return ((body["metadata"]["namespace"], body["metadata"]["name"]),)


def key_of_child(body: Manifest) -> tuple[Key, ...]:
    """Returns a tuple with the key of the RouterDeployment that an object's label ROUTER_LABEL names. The tuple is
    empty if this label is missing or empty."""
    metadata = body["metadata"]
    name = (metadata.get("labels") or {}).get(ROUTER_LABEL)
    return ((metadata["namespace"], name),) if name else ()


def keys_of_warning(body: Manifest) -> tuple[Key, ...]:
    """Returns the keys of the RouterDeployments to which an Event may belong.

    The keys are derived from the namespace and the name of the object that the Event is about. For example, an Event
    about the pod `demo-api-5d4f-x` may belong to the RouterDeployment `demo`.
    """
    involved = body.get("involvedObject") or {}
    name = str(involved.get("name", "")).removeprefix("weights-")
    namespace = str(involved.get("namespace") or body["metadata"]["namespace"])
    return tuple((namespace, name[: match.start()]) for match in _TIER.finditer(name) if match.start())


def _sources(stores: Stores, namespaces: tuple[str, ...]) -> Iterable[tuple[Source, Store]]:
    for namespace in namespaces or (None,):
        yield Source(ROUTER, namespace, {}, key_of_router, prune.router), stores.routers
        for kind in (*KINDS, PVC):
            yield Source(kind, namespace, _CHILDREN, key_of_child, prune.child), stores.objects
        yield Source(POD, namespace, _CHILDREN, key_of_child, prune.pod), stores.objects
        yield Source(EVENT, namespace, _WARNINGS, keys_of_warning, prune.warning), stores.objects
