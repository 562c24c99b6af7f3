"""Lists and watches one kind, so that the store has the same objects as the cluster."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..log import log
from ..objects.kinds import Kind
from ..objects.manifest import Manifest
from ..objects.refusal import RefusedError
from .client import KubernetesClient
from .store import Keys, Store
from .transport import OPENED, UnreachableError

MAXIMUM_PAUSE = 2.0
"""Maximum seconds between two attempts while the API server does not respond."""
_MINIMUM_PAUSE = 0.05
_MAXIMUM_FAILURES = {False: 5, True: 12}
"""Consecutive failures after which a kind counts as not watchable. The key is whether the kind was watched before. If
it was, the API server may be restarting, and the stored objects stay valid for a while. 12 failures take about 15 s."""
_MAXIMUM_FORBIDDEN = {False: 1, True: 5}
"""Consecutive failures after which a kind counts as not watchable if the last status was 403. A starting API server
returns 403 until it knows the permissions."""


@dataclass(frozen=True)
class Source:
    """A kind to watch in one or all namespaces.

    `prune` returns the part of an object that the store keeps. A watch ends after `idle_timeout` seconds without data,
    by default after the client's idle timeout.
    """

    kind: Kind
    namespace: str | None
    selectors: Mapping[str, str]
    keys: Keys
    prune: Callable[[Manifest], Manifest]
    idle_timeout: float | None = None


@dataclass
class ListWatch:
    """Lists and watches one source.

    `settled` is set when the operator knows whether it can watch the source. Then the store is `synced`, or the kind is
    `absent` from the cluster, or `last_error` is the reason why the operator cannot watch it. `on_change` is called
    when this state changes later, and after each list except for the first. `absent_pause` is the time in seconds
    between attempts to list a kind that the cluster does not have.
    """

    client: KubernetesClient
    store: Store
    source: Source
    on_change: Callable[[], None] = lambda: None
    absent_pause: float = 60.0
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    synced: bool = False
    absent: bool = False
    last_error: str | None = None
    _failures: int = 0

    async def run(self) -> None:
        """Lists and watches the source until the task is cancelled."""
        while True:
            try:
                await self._list_and_watch()
            except RefusedError as error:
                self._failures = 0 if error.status == 410 else self._failures + 1
                self._refused(error)
            except UnreachableError as error:
                self._failures += 1
                log(logging.DEBUG, str(error))
            await asyncio.sleep(self._pause())

    async def _list_and_watch(self) -> None:
        """Lists the source and then watches it until an error, for example because the version is too old."""
        source = self.source
        items, version = await self.client.list_all(source.kind, source.namespace, source.selectors)
        pairs = [(source.prune(item), source.keys(item)) for item in items]
        self.store.replace(source.kind.kind, source.namespace, pairs, int(version))
        version = await self._follow(version, self._opened)
        while True:
            version = await self._follow(version)

    def _opened(self) -> None:
        self._failures = 0
        self._set_state(synced=True)

    async def _follow(self, version: str, opened: Callable[[], None] = lambda: None) -> str:
        """Watches until the API server ends the stream, and returns the last version. Calls `opened` first."""
        source = self.source
        watch = self.client.watch(source.kind, source.namespace, source.selectors, version, source.idle_timeout)
        async for event, body in watch:
            if event == OPENED:
                # A list is not enough: a kind that can be listed but not watched would keep changing its state.
                opened()
                continue
            version = body["metadata"]["resourceVersion"]
            if event == "BOOKMARK":
                continue
            pruned = source.prune({"apiVersion": source.kind.api_version, "kind": source.kind.kind, **body})
            if event == "DELETED":
                self.store.drop(pruned)
            else:
                self.store.put(pruned, source.keys(body))
        return version

    def _refused(self, error: RefusedError) -> None:
        if error.status == 404:
            self.store.clear(self.source.kind.kind, self.source.namespace)
            self._set_state(absent=True)
        elif self._failures >= (_MAXIMUM_FORBIDDEN if error.status == 403 else _MAXIMUM_FAILURES)[self.synced]:
            self._set_state(last_error=error.message)

    def _pause(self) -> float:
        if self.absent:
            return self.absent_pause
        return min(_MINIMUM_PAUSE * 2.0 ** min(self._failures, 10), MAXIMUM_PAUSE) * random.uniform(0.5, 1.0)

    def _set_state(self, *, synced: bool = False, absent: bool = False, last_error: str | None = None) -> None:
        changed = (self.synced, self.absent, self.last_error) != (synced, absent, last_error)
        self.synced, self.absent, self.last_error = synced, absent, last_error
        if changed and last_error:
            log(logging.WARNING, f"cannot watch {self.source.kind.plural}: {last_error}")
        if self.settled.is_set() and (changed or synced):
            self.on_change()
        self.settled.set()
