"""Tool call ids as clients see them: marked with the target that asked for the tools.

So a conversation in the middle of a tool loop finds its target again, on any replica, without a store: the suffix
`_rr` and six hex digits of the target's name goes on on the way out and comes off before a target sees it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache

import msgspec
from msgspec import Raw

_MARK = re.compile(r"_rr([0-9a-f]{6})$")
_RAW_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
_RAW_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)


@lru_cache(maxsize=1024)
def mark_of(target_name: str) -> str:
    """Six hex digits that name a target."""
    return hashlib.sha256(target_name.encode()).hexdigest()[:6]


def mark_in(tool_call_id: str | None) -> str | None:
    """The mark that a tool call id carries, if any."""
    found = _MARK.search(tool_call_id or "")
    return found[1] if found else None


def unmark(message: dict[str, Raw]) -> None:
    """Takes the marks out of a request's message."""
    if "tool_call_id" in message:
        message["tool_call_id"] = _without_mark(message["tool_call_id"])
    _change_calls(message, _without_mark)


def mark_choices(choices: Raw, target_name: str) -> Raw:
    """The choices of a completion or of a chunk, every tool call id marked."""
    suffix = f"_rr{mark_of(target_name)}"

    def marked(raw: Raw) -> Raw:
        text = _TEXT.decode(raw) if bytes(raw).startswith(b'"') else ""
        return _raw(text + suffix) if text else raw

    changed = _RAW_OBJECTS.decode(choices)
    for choice in changed:
        for part in ("message", "delta"):
            if bytes(choice.get(part, b"null")) != b"null":
                said = _RAW_OBJECT.decode(choice[part])
                _change_calls(said, marked)
                choice[part] = _raw(said)
    return _raw(changed)


def _change_calls(message: dict[str, Raw], change: Callable[[Raw], Raw]) -> None:
    if bytes(message.get("tool_calls", b"null")) == b"null":
        return
    calls = _RAW_OBJECTS.decode(message["tool_calls"])
    for call in calls:
        if "id" in call:
            call["id"] = change(call["id"])
    message["tool_calls"] = _raw(calls)


def _without_mark(raw: Raw) -> Raw:
    return _raw(_MARK.sub("", _TEXT.decode(raw))) if bytes(raw).startswith(b'"') else raw


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))
