"""Queues the RouterDeployments to reconcile, with the time at which each RouterDeployment is due."""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Callable
from contextlib import suppress

from ..objects.routerdeployment import Key

MAXIMUM_PAUSE = 2.0
_MINIMUM_PAUSE = 0.1


class WorkQueue:
    """A queue that returns the key of a RouterDeployment when the RouterDeployment is due.

    A returned key is not returned again until the method `done`, `failed` or `forget` has been called for the key.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._in_progress: dict[Key, float | None] = {}
        self._failures: dict[Key, int] = {}
        self._woken = asyncio.Event()

    def add(self, key: Key, after: float = 0.0) -> None:
        """Adds a key that is due in `after` seconds. If a key is added several times, the earliest due time counts."""
        due = self._clock() + after
        if key in self._in_progress:
            next_due = self._in_progress[key]
            self._in_progress[key] = due if next_due is None else min(due, next_due)
            return
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            self._woken.set()

    async def get(self, limit: float) -> Key | None:
        """Returns the next key that is due, or None if no key is due within `limit` seconds."""
        deadline = self._clock() + limit
        while (key := self._take()) is None:
            seconds = min(deadline, self._next_due()) - self._clock()
            if deadline <= self._clock():
                return None
            self._woken.clear()
            # asyncio.wait_for is not used here, because it may swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(seconds, 0.001)):
                    await self._woken.wait()
        return key

    def done(self, key: Key) -> None:
        """Ends the successful work on a key, and queues the key again if the key was added during the work."""
        self._failures.pop(key, None)
        self._put_back(key)

    def failed(self, key: Key) -> None:
        """Ends the failed work on a key. The key is due after a pause, or earlier if it was added with an earlier time.

        The pause is random, from half a maximum to the maximum. Repeated failures double the maximum from 0.2 to 2 s.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self._put_back(key)
        self.add(key, min(_MINIMUM_PAUSE * 2.0 ** min(failures, 10), MAXIMUM_PAUSE) * random.uniform(0.5, 1.0))

    def forget(self, key: Key) -> None:
        """Removes a key and the failure count of the key."""
        self._failures.pop(key, None)
        self._in_progress.pop(key, None)
        self._due.pop(key, None)

    def __len__(self) -> int:
        return len(self._due)

    def _put_back(self, key: Key) -> None:
        next_due = self._in_progress.pop(key, None)
        if next_due is not None:
            self.add(key, next_due - self._clock())

    def _take(self) -> Key | None:
        while self._heap and self._heap[0][0] <= self._clock():
            due, key = heapq.heappop(self._heap)
            # An entry of the heap is outdated if the key was added again with an earlier time.
            if self._due.get(key) == due:
                del self._due[key]
                self._in_progress[key] = None
                return key
        return None

    def _next_due(self) -> float:
        return self._heap[0][0] if self._heap else float("inf")
