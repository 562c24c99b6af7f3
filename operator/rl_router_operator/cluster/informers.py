"""What can be seen: every list-and-watch that the operator keeps, and what is known of those that fail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable

from ..objects.kinds import CLAIM, KINDS, POD, Kind
from ..objects.manifest import Manifest
from ..objects.naming import ROUTER_LABEL
from . import prune
from .client import Api
from .list_watch import Source, Watch
from .store import Cache, Key

EVENT = Kind("v1", "Event", "events")
_OURS = {"labelSelector": ROUTER_LABEL}
_WARNINGS = {"fieldSelector": "type=Warning"}
_PART = re.compile(r"-(?:model|api)(?=-|$)")


class Sight:
    """Keeps the cache equal to the cluster; `namespaces` empty: all of them."""

    def __init__(
        self, api: Api, cache: Cache, namespaces: tuple[str, ...], changed: Callable[[], None], absent_pause: float
    ) -> None:
        self.turn = 0
        """Another number whenever what can be seen has changed."""
        self._tell = changed
        self._watches = {
            (source.kind.kind, source.namespace): Watch(api, cache, source, self._changed, absent_pause)
            for source in _sources(namespaces)
        }

    async def run(self) -> None:
        """Watches for ever."""
        async with asyncio.TaskGroup() as tasks:
            for watch in self._watches.values():
                tasks.create_task(watch.run())

    async def settled(self) -> None:
        """Returns once it is known of every kind how it stands."""
        for watch in self._watches.values():
            await watch.settled.wait()

    def is_settled(self) -> bool:
        """Whether that is known now."""
        return all(watch.settled.is_set() for watch in self._watches.values())

    def is_seen(self, kind: str, namespace: str) -> bool:
        """Whether the cache has all objects of the kind there."""
        watch = self._watch(kind, namespace)
        return watch is not None and watch.synced

    def is_absent(self, kind: str, namespace: str) -> bool:
        """Whether the cluster lacks the kind."""
        watch = self._watch(kind, namespace)
        return watch is not None and watch.absent

    def trouble(self, kind: str, namespace: str) -> str | None:
        """Why objects of the kind cannot be seen there."""
        watch = self._watch(kind, namespace)
        return watch.trouble if watch else None

    def troubles(self) -> list[str]:
        """Everything that cannot be seen, each as a sentence."""
        return [watch.trouble for watch in self._watches.values() if watch.trouble]

    def _changed(self) -> None:
        self.turn += 1
        self._tell()

    def _watch(self, kind: str, namespace: str) -> Watch | None:
        return self._watches.get((kind, None)) or self._watches.get((kind, namespace))


def key_of_child(body: Manifest) -> tuple[Key, ...]:
    """Whose it is, by its label."""
    metadata = body["metadata"]
    name = (metadata.get("labels") or {}).get(ROUTER_LABEL)
    return ((metadata["namespace"], name),) if name else ()


def keys_of_warning(body: Manifest) -> tuple[Key, ...]:
    """Whose it may be, by the name of what it is about: `demo-api-5d4f-x` may be demo's."""
    about = body.get("involvedObject") or {}
    name = str(about.get("name", "")).removeprefix("weights-")
    namespace = str(about.get("namespace") or body["metadata"]["namespace"])
    return tuple((namespace, name[: part.start()]) for part in _PART.finditer(name) if part.start())


def _sources(namespaces: tuple[str, ...]) -> Iterable[Source]:
    for namespace in namespaces or (None,):
        for kind in (*KINDS, CLAIM):
            yield Source(kind, namespace, _OURS, key_of_child, prune.child)
        yield Source(POD, namespace, _OURS, key_of_child, prune.pod)
        yield Source(EVENT, namespace, _WARNINGS, keys_of_warning, prune.warning)
