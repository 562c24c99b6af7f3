"""The circuit breaker of an upstream.

If an upstream is down, the circuit breaker limits the number of requests that wait until a timeout expires.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]

_FAILURES = 5
_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 60.0


class Breaker:
    """A circuit breaker that opens after five consecutive failures and, after a pause, allows one probe call at a time.

    The pause before the first probe call is 5 s. The pause doubles after each failed probe call, up to 60 s. Each call
    has a number, so that the end of another call is not mistaken for the end of the probe call.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._open_until: float | None = None
        self._calls = 0
        self._probe: int | None = None
        """The number of the probe call, or None while no probe call is in flight."""

    @property
    def state(self) -> State:
        if self._open_until is None:
            return "closed"
        return "half_open" if self._now() >= self._open_until else "open"

    @property
    def ready(self) -> bool:
        """Whether the circuit breaker allows a call to the upstream now."""
        return self._open_until is None or (self.state == "half_open" and self._probe is None)

    def begin(self) -> int:
        """Starts a call and returns the number of the call.

        If the circuit breaker is half open and no probe call is in flight, the new call becomes the probe call.
        """
        self._calls += 1
        if self._probe is None and self.state == "half_open":
            self._probe = self._calls
        return self._calls

    def succeeded(self) -> None:
        """Records that the upstream works: the upstream sent an answer, even an unusable answer, or refused the call
        with a status below 500."""
        self._failures, self._pause, self._open_until, self._probe = 0, _FIRST_PAUSE, None, None

    def failed(self, call: int) -> None:
        """Records a failed call: a refused or lost connection, a timeout, a 5xx status, or a broken answer."""
        self._failures += 1
        is_probe = self._ends_probe(call)
        if is_probe:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if is_probe or self._failures >= _FAILURES:
            self._open_until = self._now() + self._pause

    def abandoned(self, call: int) -> None:
        """Records a cancelled call, which counts neither as a success nor as a failure."""
        self._ends_probe(call)

    def _ends_probe(self, call: int) -> bool:
        """Records the end of a call, and returns whether the call was the probe call."""
        was_probe = self._probe == call
        self._probe = None if was_probe else self._probe
        return was_probe
