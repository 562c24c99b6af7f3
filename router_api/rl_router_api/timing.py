"""A cheap deadline, because half of every request runs under one."""

from __future__ import annotations

import asyncio


class Until:
    """`with Until(when)` raises TimeoutError if the block has not ended at that time of the loop's clock.

    None means no deadline. Unlike `asyncio.timeout_at`, the deadline cannot be changed, which makes it several times
    faster.
    """

    __slots__ = ("_cancels_before", "_expired", "_task", "_timer", "_when")

    def __init__(self, when: float | None) -> None:
        self._when = when
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False

    def __enter__(self) -> None:
        if self._when is None:
            return
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(loop)
        self._cancels_before = self._task.cancelling() if self._task else 0
        self._timer = loop.call_at(self._when, self._expire)

    def _expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # If somebody else has cancelled the task too, the cancellation takes precedence.
        if self._expired and self._task is not None:
            alone = self._task.uncancel() <= self._cancels_before
            if alone and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise TimeoutError
