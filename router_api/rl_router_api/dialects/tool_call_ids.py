"""Maps the tool call ids of other providers to ids that a target accepts.

An id that the target rejects is replaced with a hash of the id, so the router stores no mapping between requests. The
mapped ids are the same in every request of a conversation, so that the target's prompt cache stays valid.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping

from ..config import ToolCallIds

_BASE62 = string.digits + string.ascii_letters
_DEFAULT_LENGTH = 24
"""The length of mapped ids in characters, unless the target requires another length or accepts only shorter ids. A
mapped id of 24 characters holds 142 bits of the hash."""
_CHARACTERS: Mapping[str, re.Pattern[str]] = {
    "any": re.compile(r".*", re.DOTALL),
    "letters_digits_dashes": re.compile(r"[A-Za-z0-9_-]+"),
    "letters_digits": re.compile(r"[A-Za-z0-9]+"),
}


def max_mapped_length(rule: ToolCallIds) -> int:
    """Returns the length, in characters, of the ids that replace the ids that the target rejects."""
    return rule.length or min(rule.max_length or _DEFAULT_LENGTH, _DEFAULT_LENGTH)


class ToolCallIdMap:
    """A mapping from the tool call ids of one conversation to the tool call ids that the target gets.

    Two different ids, or two calls of one message with the same id, are mapped to the same id only if their originals
    are equal and `is_own` is True for the later id.
    Callers must map the ids in the order of the conversation, so that later messages do not change a mapped id.
    """

    def __init__(self, rule: ToolCallIds) -> None:
        self._rule = rule
        self._mapped: dict[str, str] = {}
        self._used: set[str] = set()

    def mapped(self, tool_call_id: str, original: str | None = None, *, is_own: bool = False, place: int = 0) -> str:
        """Returns the tool call id that the target gets.

        The parameter `original` is the id without the affinity that the router appended (default: `tool_call_id`). The
        parameter `is_own` says whether the target itself or a target of the same signing family made the original id.
        The target gets such an original id unchanged. The parameter `place` is the number of earlier tool calls of the
        same message that have the same id. Some providers write several tool calls with an empty id.
        """
        original = tool_call_id if original is None else original
        if place:
            tool_call_id = f"{tool_call_id}\n{place}"
        known = self._mapped.get(tool_call_id)
        if known is None:
            known = original if is_own else self._new(tool_call_id, original)
            self._mapped[tool_call_id] = known
            self._used.add(known)
        return known

    def _new(self, tool_call_id: str, original: str) -> str:
        candidate, tries = original if _accepts(self._rule, original) else _hashed(original, self._rule), 0
        while candidate in self._used:
            # Another call has the same original id.
            tries += 1
            candidate = _hashed(f"{tool_call_id}\n{tries}", self._rule)
        return candidate


def _accepts(rule: ToolCallIds, tool_call_id: str) -> bool:
    size = len(tool_call_id)
    if rule.length is not None and size != rule.length:
        return False
    if rule.length is None and rule.max_length is not None and not 0 < size <= rule.max_length:
        return False
    return _CHARACTERS[rule.characters].fullmatch(tool_call_id) is not None


def _hashed(text: str, rule: ToolCallIds) -> str:
    number = int.from_bytes(hashlib.sha512(text.encode()).digest())
    digits = []
    for _ in range(max_mapped_length(rule)):
        number, digit = divmod(number, len(_BASE62))
        digits.append(_BASE62[digit])
    return "".join(digits)
