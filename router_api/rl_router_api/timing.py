"""Deadlines: a bound on time that costs little, since half of every request runs under one."""

from __future__ import annotations

import asyncio


class Until:
    """`with Until(when)` raises TimeoutError where the block is not over at that time of the loop's clock; None is
    no bound. As `asyncio.timeout_at`, without what makes that one take several times as long: it cannot be changed."""

    __slots__ = ("_asked_before", "_expired", "_task", "_timer", "_when")

    def __init__(self, when: float | None) -> None:
        self._when = when
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False

    def __enter__(self) -> None:
        if self._when is None:
            return
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(loop)
        self._asked_before = self._task.cancelling() if self._task else 0
        self._timer = loop.call_at(self._when, self._expire)

    def _expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Where others have cancelled the task as well, that goes first.
        if self._expired and self._task is not None:
            alone = self._task.uncancel() <= self._asked_before
            if alone and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise TimeoutError
