"""Adds the affinity of tool loops to the tool call ids of chat completions, and removes the affinity."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from ...conversation.affinity import with_affinity, without_affinity
from ...conversation.raw import OBJECT, OBJECTS, begins, encoded, is_given

_TEXT = msgspec.json.Decoder(str)


def take_off(message: dict[str, Raw]) -> None:
    """Removes the affinity from the tool call ids of a request's message, in place."""
    if "tool_call_id" in message:
        message["tool_call_id"] = _without(message["tool_call_id"])
    _change_calls(message, _without)


def put_on(choices: Raw, target_name: str) -> Raw:
    """Returns the choices of a completion or chunk with the target's affinity added to every tool call id."""

    def changed_id(raw: Raw) -> Raw:
        text = _TEXT.decode(raw) if begins(raw) == b'"' else ""
        return encoded(with_affinity(text, target_name)) if text else raw

    changed = OBJECTS.decode(choices)
    for choice in changed:
        for part in ("message", "delta"):
            if is_given(choice.get(part, Raw())):
                message = OBJECT.decode(choice[part])
                _change_calls(message, changed_id)
                choice[part] = encoded(message)
    return encoded(changed)


def _change_calls(message: dict[str, Raw], change: Callable[[Raw], Raw]) -> None:
    if not is_given(message.get("tool_calls", Raw())):
        return
    calls = OBJECTS.decode(message["tool_calls"])
    for call in calls:
        if "id" in call:
            call["id"] = change(call["id"])
    message["tool_calls"] = encoded(calls)


def _without(raw: Raw) -> Raw:
    return encoded(without_affinity(_TEXT.decode(raw))) if begins(raw) == b'"' else raw
