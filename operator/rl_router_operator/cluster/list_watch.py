"""Lists and watches the objects of one kind, and keeps a store of the objects up to date."""

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
from .transport import OPENED, UnreachableError, reading

MAXIMUM_PAUSE = 2.0
"""The maximum pause in seconds after a failed attempt to list and watch a kind, unless the cluster lacks the kind."""
_MINIMUM_PAUSE = 0.05
_MINIMUM_WATCH = 1.0
"""The minimum duration of a watch in seconds. A shorter watch counts as a failure, because the API server normally ends
a watch only after minutes."""
_EVENTS = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})
"""The types of the events that the API server sends in a watch, except ERROR."""
_MAXIMUM_FAILURES = {False: 5, True: 12}
"""The numbers of consecutive failures to list or watch a kind after which the operator reports a rejection.

The key of the mapping is True if the operator watched the kind until the failures began, and otherwise False. If the
key is True, the API server may be restarting, and the objects in the operator's store stay valid for a while. The
pauses between twelve consecutive failures to list or watch a kind take about 11 s in total.
"""
_MAXIMUM_FORBIDDEN = {False: 1, True: 5}
"""The numbers of consecutive failures after which the operator reports an error if the last status was 403.

The key of the mapping is True if the operator watched the kind until the failures began, and otherwise False. After a
restart, the API server returns status 403 until the API server has loaded the permissions.
"""


@dataclass(frozen=True)
class Source:
    """A kind that the operator lists and watches in one namespace or in all namespaces.

    The function `prune` returns the part of an object that the store keeps. A watch ends after `idle_timeout` seconds
    without data. If `idle_timeout` is None, the idle timeout of the client applies.
    """

    kind: Kind
    namespace: str | None
    selectors: Mapping[str, str]
    keys: Keys
    prune: Callable[[Manifest], Manifest]
    idle_timeout: float | None = None


@dataclass
class ListWatch:
    """Lists and watches the objects of one source, and keeps `store` up to date.

    The event `settled` is set when the operator knows whether the source can be watched. If the operator watches the
    source, `synced` is true. If the cluster does not have the kind, `absent` is true. If the API server rejects
    a request for any other reason, and the number of failures has reached the limit in _MAXIMUM_FAILURES or
    _MAXIMUM_FORBIDDEN, `last_error` is the message of the rejection. After `settled` was set, the function `on_change`
    is called when `synced`, `absent` or `last_error` changes, and when the API server accepts the first watch after a
    list. The attribute `absent_pause` is the time in seconds between two attempts to list a kind that the cluster does
    not have.
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
        """Lists and watches the objects of the source until the task is cancelled."""
        while True:
            try:
                await self._list_and_watch()
            except RefusedError as error:
                self._failures += 1
                self._refused(error)
            except UnreachableError as error:
                self._failures += 1
                log(logging.DEBUG, str(error))
            await asyncio.sleep(self._pause())

    async def _list_and_watch(self) -> None:
        """Lists the objects of the source, and then watches the source until an error occurs."""
        source = self.source
        with reading(f"the list of {source.kind.plural}"):
            items, version = await self.client.list_all(source.kind, source.namespace, source.selectors)
            pairs = [(source.prune(item), source.keys(item)) for item in items]
            self.store.replace(source.kind.kind, source.namespace, pairs, int(version))
        version = await self._follow(version, self._opened)
        while True:
            version = await self._follow(version)

    def _opened(self) -> None:
        self._set_state(synced=True)

    async def _follow(self, version: str, opened: Callable[[], None] = lambda: None) -> str:
        """Watches the source until the stream ends or is idle for too long, and returns the last known resourceVersion.

        The function `opened` is called when the API server has accepted the watch. Raises UnreachableError if the
        stream ends too early.
        """
        source, clock = self.source, asyncio.get_running_loop().time
        watch = self.client.watch(source.kind, source.namespace, source.selectors, version, source.idle_timeout)
        began = clock()
        try:
            async for event, body in watch:
                if event == OPENED:
                    # A list alone does not set `synced`, because the state of a kind that can be listed but not watched
                    # would then keep changing.
                    opened()
                else:
                    version = self._take(event, body)
        finally:
            is_short = clock() - began < _MINIMUM_WATCH
            if not is_short:
                self._failures = 0
        if is_short:
            raise UnreachableError(f"the API server has ended the watch of {source.kind.plural} too early")
        return version

    def _take(self, event: str, body: Manifest) -> str:
        """Updates the store according to an event, and returns the resourceVersion of the event's object."""
        source = self.source
        with reading(f"an event about {source.kind.plural}"):
            if event not in _EVENTS:
                raise ValueError(f"unknown type {event!r}")
            version = str(body["metadata"]["resourceVersion"])
            if event == "BOOKMARK":
                return version
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
            log(logging.WARNING, f"the operator cannot watch {self.source.kind.plural} and tries again: {last_error}")
        if self.settled.is_set() and (changed or synced):
            self.on_change()
        self.settled.set()
