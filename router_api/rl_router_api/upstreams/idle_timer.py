"""A timer that detects connections on which no data arrives for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import FaultKind


class IdleTimer:
    """A timer that reports a failure if no data arrives on a connection for a given time.

    The code that uses the timer must set the attribute `last_data` to the event loop's current time whenever data
    arrives. If data has arrived or reading is paused when the timer fires, the timer starts again. Setting the
    attribute `last_data` takes less CPU time than starting a new timer for every piece of data.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._fail: Callable[[FaultKind, str], None] | None = None
        """The function to which the timer reports a failure, or None while the wait for data is stopped."""
        self._timeout = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.last_data = 0.0
        self.is_paused = False
        """Whether the connection has paused reading, so that no data is expected."""

    def start(self, timeout: float, fail: Callable[[FaultKind, str], None]) -> None:
        """Starts or restarts the timer.

        After `timeout` seconds without data, the timer calls the function `fail` with the kind and the description of
        the failure.
        """
        self._timeout, self.last_data = timeout, self._loop.time()
        self._fail, self.is_paused = fail, False
        self._arm()

    def suspend(self) -> None:
        """Stops the wait for data until the method `start` is called again.

        The timer keeps running, because cancelling the timer and starting another timer would take more CPU time.
        """
        self._fail = None

    def cancel(self) -> None:
        """Stops the wait for data and cancels the timer."""
        self._fail = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        due = self.last_data + self._timeout
        if self._timer is None or self._timer_at > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._timer_at = self._loop.call_at(due, self._check), due

    def _check(self) -> None:
        self._timer = None
        if self._fail is None:
            return
        if self.is_paused:
            self.last_data = self._loop.time()
        if self.last_data + self._timeout > self._loop.time():
            self._arm()
        else:
            self._fail("timeout", f"the upstream sent no data within {self._timeout:g} s")
