"""Gives a connection up when no byte came for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class IdleTimer:
    """Calls a function when nothing was heard for a time.

    Whoever hears something sets `heard` to the loop's time. A timer that runs already is left to find out by itself
    that it came too early: to cancel it at every byte would cost more.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._expired: Callable[[], None] | None = None
        """What is called; None while nothing is waited for."""
        self._timeout = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.heard = 0.0
        self.is_paused = False
        """Whether bytes wait for their reader, so that no more are expected."""

    def start(self, timeout: float, expired: Callable[[], None]) -> None:
        """Begins to wait for `timeout` seconds, or waits anew."""
        self._timeout, self.heard = timeout, self._loop.time()
        self._expired, self.is_paused = expired, False
        self._arm()

    def suspend(self) -> None:
        """Nothing is waited for until the next start."""
        self._expired = None

    def cancel(self) -> None:
        """Ends the timer, too."""
        self._expired = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        due = self.heard + self._timeout
        if self._timer is None or self._timer_at > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._timer_at = self._loop.call_at(due, self._look), due

    def _look(self) -> None:
        self._timer = None
        if self._expired is None:
            return
        if self.is_paused:
            self.heard = self._loop.time()
        if self.heard + self._timeout > self._loop.time():
            self._arm()
        else:
            self._expired()
