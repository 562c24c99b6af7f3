"""Calls in flight at once for the same answer: the first good one wins, the others are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

from .outcome import MadeCall


class Race:
    """Calls under way at once, of which the first good one wins; the others are cancelled."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[MadeCall | None]] = []
        self._won: MadeCall | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, MadeCall) and ended.stream and ended is not self._won:
                ended.stream.close()

    def add(self, call: Coroutine[Any, Any, MadeCall | None]) -> None:
        self._tasks.append(asyncio.create_task(call))

    async def anybody(self, seconds: float) -> bool:
        """Whether a call ended within so many seconds."""
        done, _ = await asyncio.wait(self._tasks, timeout=seconds)
        return bool(done)

    async def winner(self) -> MadeCall:
        """The first good call, or else the last failed one."""
        waiting, ended = set(self._tasks), list[MadeCall]()
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            ended += [asked for task in self._tasks if task in done and (asked := task.result())]
            good = [asked for asked in ended if asked.good]
            if good or not waiting:
                self._won = (good or ended[-1:])[0]
                return self._won
