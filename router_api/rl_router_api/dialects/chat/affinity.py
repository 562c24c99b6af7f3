"""Adds the affinity of tool loops to the tool call ids of chat completions, and removes the affinity."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from ...conversation.affinity import with_affinity, without_affinity
from ...conversation.lenient import fields_of, list_of
from ...conversation.raw import begins, encoded

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

    def changed_choice(choice: dict[str, Raw]) -> None:
        for part in ("message", "delta"):
            if begins(choice.get(part, Raw())) == b"{":
                message = fields_of(choice[part])
                _change_calls(message, changed_id)
                choice[part] = encoded(message)

    return _changed(choices, changed_choice)


def _change_calls(message: dict[str, Raw], change: Callable[[Raw], Raw]) -> None:
    def changed_call(call: dict[str, Raw]) -> None:
        if "id" in call:
            call["id"] = change(call["id"])

    if begins(message.get("tool_calls", Raw())) == b"[":
        message["tool_calls"] = _changed(message["tool_calls"], changed_call)


def _changed(raw: Raw, change: Callable[[dict[str, Raw]], None]) -> Raw:
    """Returns a list whose objects are changed. Entries that are no objects stay as they are."""
    entries = list_of(raw)
    for place, entry in enumerate(entries):
        if begins(entry) == b"{":
            fields = fields_of(entry)
            change(fields)
            entries[place] = encoded(fields)
    return encoded(entries)


def _without(raw: Raw) -> Raw:
    return encoded(without_affinity(_TEXT.decode(raw))) if begins(raw) == b'"' else raw
