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
    """Opens after five failures in a row; then one probe at a time, after pauses of 5 s that double up to 60 s.

    Each call has a number, so that the end of another call is not taken for the probe's.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._open_until: float | None = None
        self._calls = 0
        self._probe: int | None = None
        """The call that is the probe, while it is under way."""

    @property
    def state(self) -> State:
        if self._open_until is None:
            return "closed"
        return "half_open" if self._now() >= self._open_until else "open"

    @property
    def ready(self) -> bool:
        """Whether a call should be made now."""
        return self._open_until is None or (self.state == "half_open" and self._probe is None)

    def begin(self) -> int:
        """A call starts; where the breaker is half open it is the probe. Returns the call's number."""
        self._calls += 1
        if self._probe is None and self.state == "half_open":
            self._probe = self._calls
        return self._calls

    def succeeded(self) -> None:
        """The upstream answered as it should, or refused the request for the request's own sake."""
        self._failures, self._pause, self._open_until, self._probe = 0, _FIRST_PAUSE, None, None

    def failed(self, call: int) -> None:
        """A refused connection, a timeout, a 5xx or a broken answer."""
        self._failures += 1
        is_probe = self._ends_probe(call)
        if is_probe:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if is_probe or self._failures >= _FAILURES:
            self._open_until = self._now() + self._pause

    def abandoned(self, call: int) -> None:
        """The call ended without telling anything: it was cancelled."""
        self._ends_probe(call)

    def _ends_probe(self, call: int) -> bool:
        """Whether the call was the probe, which is then over."""
        was_probe = self._probe == call
        self._probe = None if was_probe else self._probe
        return was_probe
