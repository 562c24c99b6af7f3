"""The list-watches that the operator keeps: what they have seen, and which kinds cannot be watched."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..objects.kinds import CLAIM, KINDS, POD, ROUTER, Kind
from ..objects.manifest import Manifest
from ..objects.naming import ROUTER_LABEL
from ..objects.router import Key
from . import prune
from .client import Api
from .list_watch import LONGEST_PAUSE, ListWatch, Source
from .store import Store

EVENT = Kind("v1", "Event", "events")
_CHILDREN = {"labelSelector": ROUTER_LABEL}
_WARNINGS = {"fieldSelector": "type=Warning"}
_TIER = re.compile(r"-(?:model|api)(?=-|$)")


@dataclass(frozen=True)
class Stores:
    """What the informers keep equal to the cluster: RouterDeployments, and the objects that belong to them."""

    routers: Store
    objects: Store


class Informers:
    """Lists and watches every kind in `namespaces`, or in all namespaces if there are none.

    `changed` is called whenever a kind can be watched again, or no longer.
    """

    def __init__(
        self,
        api: Api,
        stores: Stores,
        namespaces: tuple[str, ...],
        changed: Callable[[], None],
        absent_pause: float,
    ) -> None:
        self.revision = 0
        """Differs whenever it has changed which kinds can be watched."""
        self._tell = changed
        self._watches = {
            (source.kind.kind, source.namespace): ListWatch(
                api, store, source, self._changed, absent_pause if source.kind.optional else LONGEST_PAUSE
            )
            for source, store in _sources(stores, namespaces)
        }

    async def run(self) -> None:
        """Watches until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for watch in self._watches.values():
                tasks.create_task(watch.run())

    async def settled(self) -> None:
        """Returns once every kind is known to be watched, absent or not watchable."""
        for watch in self._watches.values():
            await watch.settled.wait()

    def is_settled(self) -> bool:
        """Returns whether every kind is known to be watched, absent or not watchable."""
        return all(watch.settled.is_set() for watch in self._watches.values())

    def is_synced(self, kind: str, namespace: str) -> bool:
        """Returns whether the store has all objects of the kind in the namespace."""
        watch = self._watch(kind, namespace)
        return watch is not None and watch.synced

    def is_absent(self, kind: str, namespace: str) -> bool:
        """Returns whether the cluster lacks the kind."""
        watch = self._watch(kind, namespace)
        return watch is not None and watch.absent

    def last_error(self, kind: str, namespace: str) -> str | None:
        """Returns why objects of the kind cannot be watched in the namespace."""
        watch = self._watch(kind, namespace)
        return watch.last_error if watch else None

    def obstacles(self) -> list[str]:
        """Returns what keeps the operator from working, each as a sentence."""
        routers = [watch for (kind, _), watch in self._watches.items() if kind == ROUTER.kind]
        found = [watch.last_error for watch in routers if watch.last_error]
        if any(watch.absent for watch in routers):
            found.append("the cluster has no RouterDeployments: install their CRD")
        elif not found and not all(watch.synced for watch in routers):
            found.append("RouterDeployments have not been listed yet")
        return found if self.is_settled() else [*found, "the children have not been listed yet"]

    def _changed(self) -> None:
        self.revision += 1
        self._tell()

    def _watch(self, kind: str, namespace: str) -> ListWatch | None:
        return self._watches.get((kind, None)) or self._watches.get((kind, namespace))


def key_of_router(body: Manifest) -> tuple[Key, ...]:
    """Returns the RouterDeployment's own key."""
    return ((body["metadata"]["namespace"], body["metadata"]["name"]),)


def key_of_child(body: Manifest) -> tuple[Key, ...]:
    """Returns the RouterDeployment that an object's label names."""
    metadata = body["metadata"]
    name = (metadata.get("labels") or {}).get(ROUTER_LABEL)
    return ((metadata["namespace"], name),) if name else ()


def keys_of_warning(body: Manifest) -> tuple[Key, ...]:
    """Returns the RouterDeployments that an Event may be about, by its object's name: `demo-api-5d4f-x` is demo's."""
    about = body.get("involvedObject") or {}
    name = str(about.get("name", "")).removeprefix("weights-")
    namespace = str(about.get("namespace") or body["metadata"]["namespace"])
    return tuple((namespace, name[: tier.start()]) for tier in _TIER.finditer(name) if tier.start())


def _sources(stores: Stores, namespaces: tuple[str, ...]) -> Iterable[tuple[Source, Store]]:
    for namespace in namespaces or (None,):
        yield Source(ROUTER, namespace, {}, key_of_router, prune.router), stores.routers
        for kind in (*KINDS, CLAIM):
            yield Source(kind, namespace, _CHILDREN, key_of_child, prune.child), stores.objects
        yield Source(POD, namespace, _CHILDREN, key_of_child, prune.pod), stores.objects
        yield Source(EVENT, namespace, _WARNINGS, keys_of_warning, prune.warning), stores.objects
