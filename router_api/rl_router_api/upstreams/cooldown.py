"""A cooldown: the period without new calls to an upstream that reported a rate limit or an exhausted quota."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

_RATE = (1.0, 60.0)
"""The durations, in seconds, of the first cooldown and of the longest cooldown of an upstream that reports a rate limit
without a waiting time."""
_QUOTA = (60.0, 3600.0)
"""The minimum duration of the first cooldown and the maximum duration of each cooldown, in seconds, of an upstream that
reports an exhausted quota."""


class Cooldown:
    """The cooldown of one upstream.

    Unless the upstream names a waiting time, each cooldown is twice as long as the previous such cooldown for the same
    reason, up to a maximum. After a successful call, the doubling starts again
    from the shortest cooldown.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until = 0.0
        self._refusals: Counter[tuple[float, float]] = Counter()
        """For each reason, how often the shortest cooldown is doubled for the next cooldown without a waiting time."""
        self.is_quota = False
        """Whether the latest cooldown was caused by an exhausted quota, and not by a rate limit."""

    @property
    def seconds(self) -> float:
        """The number of seconds until the cooldown ends, or 0 if no cooldown is in progress."""
        return max(0.0, self._until - self._now()) if self._until else 0.0

    def rate_limited(self, retry_after: float | None) -> None:
        """Starts a cooldown after a rate limit, unless a cooldown after an exhausted quota is in progress.

        The cooldown lasts for `retry_after` seconds from now. If the parameter `retry_after` is None, a cooldown that
        is in progress continues. If none is in progress, the first cooldown lasts 1 s, and each further cooldown of
        this kind lasts twice as long as the previous one, but at most 60 s.
        """
        if self.is_quota and self.seconds:
            # A call that began before the quota was exhausted does not shorten the cooldown.
            return
        self.is_quota = False
        if retry_after is None:
            self._double(_RATE)
        else:
            self._until = self._now() + retry_after

    def quota_exhausted(self, retry_after: float | None = None) -> None:
        """Starts a cooldown after an exhausted quota, unless a cooldown after an exhausted quota is in progress.

        The new cooldown replaces a cooldown after a rate limit. The cooldown lasts at least another
        `retry_after` seconds. A longer `retry_after` than an hour counts as an hour, because the quota may be raised
        at any time.
        """
        if not self.is_quota:
            self._until = 0.0
        self.is_quota = True
        self._double(_QUOTA)
        self._until = max(self._until, self._now() + min(retry_after or 0.0, _QUOTA[1]))

    def succeeded(self) -> None:
        """Records that the upstream answered a call, so that the doubling starts again from the shortest cooldown.

        An answered call does not shorten the current cooldown.
        """
        self._refusals.clear()

    def _double(self, durations: tuple[float, float]) -> None:
        if self.seconds:
            # Several calls that are refused at the same time start only one cooldown.
            return
        first, longest = durations
        self._until = self._now() + min(first * 2 ** self._refusals[durations], longest)
        self._refusals[durations] = min(self._refusals[durations] + 1, 10)
