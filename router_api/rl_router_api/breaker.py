"""Keeps a dead upstream from costing every request its timeout."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]

_FAILURES = 5
_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 60.0


class Breaker:
    """Opens after five failures in a row; then one probe at a time, after pauses of 5 s that double up to 60 s."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> State:
        if self._open_until is None:
            return "closed"
        return "half_open" if self._now() >= self._open_until else "open"

    @property
    def ready(self) -> bool:
        """Whether a call should be made now."""
        return self.state == "closed" or (self.state == "half_open" and not self._probing)

    def begin(self) -> None:
        """A call starts; where the breaker is half open it is the probe."""
        self._probing = self._probing or self.state == "half_open"

    def succeeded(self) -> None:
        """The upstream answered as it should, or refused the request for the request's own sake."""
        self._failures, self._pause, self._open_until, self._probing = 0, _FIRST_PAUSE, None, False

    def failed(self) -> None:
        """A refused connection, a timeout, a 5xx or a broken answer."""
        self._failures += 1
        if self._probing:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if self._probing or self._failures >= _FAILURES:
            self._open_until = self._now() + self._pause
        self._probing = False

    def abandoned(self) -> None:
        """The call ended without telling anything: it was cancelled."""
        self._probing = False
