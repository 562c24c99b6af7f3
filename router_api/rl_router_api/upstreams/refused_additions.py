"""Remembers which of the router's additions to requests an upstream refuses.

The router treats the answers of other models in a conversation as an addition, because the upstream did not write these
answers.
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
"""A mapping from the name of each addition to the pattern of the words with which errors mention the addition."""
_OF_ONE_PROMPT = re.compile(
    r"context|too (long|large|many)|(maximum|max|token|length|size) (limit|length|tokens?)|reduce|"
    r"content_?\s?(filter|policy|management|moderation)|safety|moderat|inappropriate|flagged",
    re.I,
)
"""The pattern of the words with which errors mention the length or the topic of one prompt."""
OUTPUT_LIMIT = "output_limit"
"""The name under which an output limit counts as an addition by the router. Only a money limit makes the router add an
output limit. Under a money limit, the router does not send a call without the output limit."""
_OUTPUT_LIMIT = re.compile(r"max_?\w*_?tokens|max_gen_len|n_predict|num_predict|\(.* in the completion\)", re.I)
"""The pattern of the words with which errors mention the output limit of a request."""
_UNSUPPORTED = re.compile(
    r"unsupported|not (supported|allowed|permitted|available)|(does not|doesn't|do not|cannot) (support|accept|allow)|"
    r"un(known|recognized|recognised|expected)|extra_?\s?(inputs?|fields?|forbidden)|deprecated|use '?\w+'? instead",
    re.I,
)
"""The pattern of the words with which errors report that the upstream accepts no value of a field."""


class RefusedAdditions:
    """The additions by the router API that one upstream has refused within the last hour."""

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
        """Remembers the additions that an upstream's error names.

        If the error names no addition, the method remembers all additions in the parameter `additions`. But if such an
        error is about the length or the topic of the prompt, the method remembers no addition, because the upstream
        may accept the additions to other prompts.
        """
        text = _text_of(error)
        named = [name for name in additions if _NAMES[name].search(text)]
        if named or not _OF_ONE_PROMPT.search(text):
            self._until |= dict.fromkeys(named or additions, self._now() + _MEMORY)

    def names_output_limit(self, error: Mapping[str, Any]) -> bool:
        """Returns whether an upstream's error is about the output limit that the router added to a request.

        If the upstream accepts no value of the field that contains the output limit, the method remembers the output
        limit as a refused addition. If the value is too large, the upstream may accept the output limit of another
        request.
        """
        text = _text_of(error)
        if not _OUTPUT_LIMIT.search(text):
            return False
        if _UNSUPPORTED.search(text):
            self._until[OUTPUT_LIMIT] = self._now() + _MEMORY
        return True


def _text_of(error: Mapping[str, Any]) -> str:
    return " ".join(str(error.get(name)) for name in ("code", "param", "message"))
