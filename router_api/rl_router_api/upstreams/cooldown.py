"""A cooldown: the time in which an upstream that refused a call is not called."""

from __future__ import annotations

import time
from collections.abc import Callable

_RATE = (1.0, 60.0)
"""Seconds of the first cooldown after a rate limit that names no time, and the maximum of its doubling."""
_QUOTA = (60.0, 3600.0)
"""The same after an exhausted quota."""


class Cooldown:
    """The cooldown of one upstream. Each one that follows without a success between is twice as long."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until = 0.0
        self._refusals = 0
        self.is_quota = False
        """Whether the last refusal reported an exhausted quota, and not a rate limit."""

    @property
    def seconds(self) -> float:
        """Seconds until the upstream may be called again; 0 if it may be called now."""
        return max(0.0, self._until - self._now()) if self._until else 0.0

    def rate_limited(self, retry_after: float | None) -> None:
        """Starts a cooldown of the seconds that the upstream named, or else of a doubling time."""
        self.is_quota = False
        if retry_after is None:
            self._double(*_RATE)
        else:
            self._until = self._now() + retry_after

    def quota_exhausted(self) -> None:
        """Starts a cooldown after an exhausted quota."""
        self.is_quota = True
        self._double(*_QUOTA)

    def succeeded(self) -> None:
        """Ends the doubling, because the upstream answered. The current cooldown goes on."""
        self._refusals = 0

    def _double(self, first: float, longest: float) -> None:
        if self.seconds:
            # Calls that were refused at the same time count once.
            return
        self._until = self._now() + min(first * 2**self._refusals, longest)
        self._refusals = min(self._refusals + 1, 10)
