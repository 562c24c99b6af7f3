"""Makes several simultaneous calls for one answer, uses the first successful call, and cancels the other calls."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

from .outcome import MadeCall


class Race:
    """Several simultaneous calls for one answer. The router uses the first successful call.

    At the end of the `async with` block, all calls that are still in flight are cancelled.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[MadeCall | None]] = []
        self._winner: MadeCall | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, MadeCall) and result.stream and result is not self._winner:
                result.stream.close()

    def add(self, call: Coroutine[Any, Any, MadeCall | None]) -> None:
        self._tasks.append(asyncio.create_task(call))

    async def any_ended(self, seconds: float) -> bool:
        """Waits until every added call has ended, but at most `seconds` seconds. Returns whether any call has ended."""
        done, _ = await asyncio.wait(self._tasks, timeout=seconds)
        return bool(done)

    async def winner(self) -> MadeCall:
        """Returns the first successful call, or the last failed call if every call failed."""
        waiting, ended = set(self._tasks), list[MadeCall]()
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            ended += [call for task in self._tasks if task in done and (call := task.result())]
            good = [call for call in ended if call.good]
            if good or not waiting:
                self._winner = (good or ended[-1:])[0]
                return self._winner
