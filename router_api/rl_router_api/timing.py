"""Defines a deadline that takes little CPU time.

Low CPU time is important, because one request can use several deadlines.
"""

from __future__ import annotations

import asyncio


class Until:
    """A context manager that raises TimeoutError if the `with` block has not ended at the time `when` of the event
    loop's clock.

    If the parameter `when` is None, there is no deadline. The deadline of an `Until` object cannot be changed, so the
    class `Until` is several times faster than the function `asyncio.timeout_at`.
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
        # If other code has also cancelled the task, the other cancellation takes precedence over the TimeoutError.
        if self._expired and self._task is not None:
            alone = self._task.uncancel() <= self._cancels_before
            if alone and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise TimeoutError
