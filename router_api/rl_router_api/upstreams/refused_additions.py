"""Remembers which of the router's additions to requests an upstream refuses.

The router treats the answers of other models in a conversation as an addition, because the upstream did not write these
answers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from ..conversation.additions import FOREIGN_HISTORY
from ..conversation.request import Request

_MEMORY = 3600.0
"""The number of seconds after which a refused addition is tried again, because the upstream's model may have
changed."""
_NAMES: Mapping[str, re.Pattern[str]] = {
    "temperature": re.compile(r"temperature|top_p", re.I),
    "stream_options": re.compile(r"stream_options|include_usage", re.I),
    FOREIGN_HISTORY: re.compile(
        r"tool_?\s?calls?(\[\d+\]|\.\d+)?[._ ]ids?\b|tool_use\.id|reasoning_(content|details|text|opaque|items)|"
        r"thinking_blocks|extra_content|provider_specific_fields|thought_?\s?signature|executed_tools|tool_plan|"
        r"[.`'\"](signature|thinking|reasoning|annotations|citations|audio|images|refusal|logprobs)\b",
        re.I,
    ),
}
"""A mapping from the names of additions to the patterns of the fields that the additions set. Errors name these fields.
An added system prompt has no pattern, because it sets no field of its own."""
_GENERAL = """
    a an and are be by for has in is it of on one or more that the this to
    bad incorrect illegal invalid malformed not recognized supported unexpected unknown unprocessable unrecognized
    unsupported valid validation wrong
    api argument arguments body client code entity error exception field fields option options param parameter
    parameters params property properties request s status value values
"""
"""The words of errors that only say that a request is invalid. Errors about the length or the topic of a prompt have
other words."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W_]")
"""The pattern of one word of an error. A code such as `BadRequest` has several words."""
OUTPUT_LIMIT = "output_limit"
"""The name under which an output limit counts as an addition by the router. Only a money limit makes the router add an
output limit. The router never omits this output limit."""
_OUTPUT_LIMIT = re.compile(r"max_?\w*_?tokens|max_gen_len|n_predict|num_predict|\(.* in the completion\)", re.I)
"""The pattern of the words with which errors mention the output limit of a request."""
_UNSUPPORTED = re.compile(
    r"unsupported|not (supported|allowed|permitted|available)|(does not|doesn't|do not|cannot) (support|accept|allow)|"
    r"un(known|recognized|recognised|expected)|extra_?\s?(inputs?|fields?|forbidden)|deprecated|use '?\w+'? instead",
    re.I,
)
"""The pattern of the words with which errors report that the upstream accepts no value of a field."""


class RefusedAdditions:
    """The additions by the router that one upstream has refused within the last hour."""

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

    def remember(self, additions: Collection[str], error: Mapping[str, Any], request: Request) -> None:
        """Remembers the additions whose fields an upstream's error names.

        If the error names no field, the method remembers all additions in the parameter `additions`, but only if the
        error consists of words in `_GENERAL`, 400 and 422. Any other error may be about one prompt, and the upstream
        may accept the additions to other prompts. For the same reason, the method ignores the name of a field that the
        error may quote from the client's request, except for `FOREIGN_HISTORY`.
        """
        text = _text_of(error)
        named = {name: found[0] for name in additions if name in _NAMES and (found := _NAMES[name].search(text))}
        refused: Collection[str] = [name for name in named if name == FOREIGN_HISTORY or not _has(request, named[name])]
        if not named:
            words = {word.lower() for word in _WORD.findall(text)} - {"400", "422"}
            refused = additions if words and words.issubset(_GENERAL.split()) else ()
        self._until |= dict.fromkeys(refused, self._now() + _MEMORY)

    def names_output_limit(self, error: Mapping[str, Any]) -> bool:
        """Returns whether an upstream's error is about the output limit that the router added to a request.

        If the upstream accepts no value of the field that contains the output limit, the method remembers the output
        limit as a refused addition. Otherwise, the method remembers nothing, because the upstream may accept the output
        limit of another request.
        """
        text = _text_of(error)
        if not _OUTPUT_LIMIT.search(text):
            return False
        if _UNSUPPORTED.search(text):
            self._until[OUTPUT_LIMIT] = self._now() + _MEMORY
        return True


def _text_of(error: Mapping[str, Any]) -> str:
    return " ".join(str(error[name]) for name in ("code", "param", "message") if error.get(name) is not None)


def _has(request: Request, words: str) -> bool:
    """Returns whether a client's request contains the words, ignoring case, or cannot be decoded."""
    try:
        values = [msgspec.json.decode(raw) for raw in request.fields.values()]
        return words.lower() in str(values).lower()
    except (msgspec.DecodeError, RecursionError):
        return True
