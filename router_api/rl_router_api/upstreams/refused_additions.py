"""Remembers which of the router's additions to a request an upstream refuses.

Other models' answers in a conversation count as an addition, because the router sends these answers to an upstream that
did not write them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ..conversation.additions import FOREIGN_HISTORY

_MEMORY = 3600.0
"""The number of seconds after which a refused addition is tried again, because the upstream's model may have
changed."""
_NAMES: Mapping[str, re.Pattern[str]] = {
    "temperature": re.compile(r"temperature|top_p", re.I),
    "optimized_system_prompt": re.compile(r"messages\b.*content", re.I),
    "stream_options": re.compile(r"stream_options|include_usage", re.I),
    FOREIGN_HISTORY: re.compile(r"tool_?\s?call|tool_use|reasoning|thinking|thought|signature", re.I),
}
"""For each addition, the pattern of the words by which an upstream's error names the addition."""


class RefusedAdditions:
    """The router's additions to requests that one upstream has refused within the last hour."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    @property
    def current(self) -> frozenset[str]:
        """The names of the additions that the router should not send to the upstream."""
        if not self._until:
            return frozenset()
        now = self._now()
        return frozenset(name for name, until in self._until.items() if now < until)

    def remember(self, additions: Collection[str], error: Mapping[str, Any]) -> None:
        """Remembers the additions that an upstream's error names, or all of `additions` if the error names no
        addition."""
        text = f"{error.get('param')} {error.get('message')}"
        named = [name for name in additions if _NAMES[name].search(text)]
        self._until |= dict.fromkeys(named or additions, self._now() + _MEMORY)
