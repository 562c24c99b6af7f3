"""One list-and-watch: keeps what the cache knows of a kind equal to what there is."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..log import log
from ..objects.kinds import Kind
from ..objects.manifest import Manifest
from .client import OPENED, Api, RefusedError, UnreachableError
from .store import Cache, Keys

LONGEST_PAUSE = 2.0
"""Seconds between two tries while the API server does not answer."""
_SHORTEST_PAUSE = 0.05
_PATIENCE = 5
"""Refusals in a row, other than a 403, after which a kind counts as one that cannot be seen."""
_ANY_VERSION = 2**63


@dataclass(frozen=True)
class Source:
    """What is watched: a kind, in one namespace or in all, what of it, and how it is kept."""

    kind: Kind
    namespace: str | None
    selectors: Mapping[str, str]
    keys: Keys
    trim: Callable[[Manifest], Manifest]


@dataclass
class Watch:
    """`settled` is set once it is known how the source stands: `synced`, listed and watched, or `absent` from the
    cluster, or `trouble` says why it cannot be seen. `changed` is called whenever that changes afterwards, and after
    each list but the first.
    """

    api: Api
    cache: Cache
    source: Source
    changed: Callable[[], None] = lambda: None
    absent_pause: float = 60.0
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    synced: bool = False
    absent: bool = False
    trouble: str | None = None
    _failures: int = 0

    async def run(self) -> None:
        """Lists and watches for ever."""
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
        """A list and the watches that follow it, until the version is too old or something breaks."""
        source = self.source
        items, version = await self.api.list_all(source.kind, source.namespace, source.selectors)
        pairs = [(source.trim(item), source.keys(item)) for item in items]
        self.cache.replace(source.kind.kind, source.namespace, pairs, int(version))
        version = await self._follow(version, self._is_seen)
        while True:
            version = await self._follow(version)

    def _is_seen(self) -> None:
        self._failures = 0
        self._stands(synced=True)

    async def _follow(self, version: str, opened: Callable[[], None] = lambda: None) -> str:
        """One watch, until it ends; the version that it got to."""
        source = self.source
        async for event, body in self.api.watch(source.kind, source.namespace, source.selectors, version):
            if event == OPENED:
                # Not before: what may be listed and not watched would else be seen and not seen by turns.
                opened()
                continue
            version = body["metadata"]["resourceVersion"]
            if event == "BOOKMARK":
                continue
            kept = source.trim({"apiVersion": source.kind.api_version, "kind": source.kind.kind, **body})
            if event == "DELETED":
                self.cache.drop(kept)
            else:
                self.cache.put(kept, source.keys(body))
        return version

    def _refused(self, error: RefusedError) -> None:
        if error.status == 404:
            self.cache.replace(self.source.kind.kind, self.source.namespace, (), _ANY_VERSION)
            self._stands(absent=True)
        elif error.status == 403 or self._failures >= _PATIENCE:
            self._stands(trouble=error.message)

    def _pause(self) -> float:
        if self.absent:
            return self.absent_pause
        return min(_SHORTEST_PAUSE * 2.0 ** min(self._failures, 10), LONGEST_PAUSE) * random.uniform(0.5, 1.0)

    def _stands(self, *, synced: bool = False, absent: bool = False, trouble: str | None = None) -> None:
        changed = (self.synced, self.absent, self.trouble) != (synced, absent, trouble)
        self.synced, self.absent, self.trouble = synced, absent, trouble
        if changed and trouble:
            log(logging.WARNING, f"{self.source.kind.plural} cannot be watched: {trouble}")
        if self.settled.is_set() and (changed or synced):
            self.changed()
        self.settled.set()
