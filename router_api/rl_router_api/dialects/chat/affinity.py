"""Adds the affinity of tool loops to the tool call ids of answers, and removes the affinity from requests."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw

from ...conversation.affinity import with_affinity, without_affinity
from ...conversation.lenient import fields_of, list_of
from ...conversation.raw import begins, encoded, text_in


def take_off(message: dict[str, Raw]) -> None:
    """Removes the affinity from the tool call ids of a request's message, in place."""
    change_ids(message, without_affinity)


def change_ids(message: dict[str, Raw], change: Callable[[str], str]) -> None:
    """Applies the function `change` to the tool call ids of a request's message, in place.

    Tool call ids that are not strings are not changed.
    """

    def changed(raw: Raw) -> Raw:
        return encoded(change(text_in(raw))) if begins(raw) == b'"' else raw

    if "tool_call_id" in message:
        message["tool_call_id"] = changed(message["tool_call_id"])
    _change_calls(message, changed)


def put_on(choices: Raw, target_name: str) -> Raw:
    """Returns the choices of a completion or chunk with the target's affinity added to every non-empty tool call id."""

    def changed_id(raw: Raw) -> Raw:
        text = text_in(raw)
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
    """Returns a JSON list after the function `change` has changed each object in the list.

    Entries of the list that are not objects are not changed.
    """
    entries = list_of(raw)
    for place, entry in enumerate(entries):
        if begins(entry) == b"{":
            fields = fields_of(entry)
            change(fields)
            entries[place] = encoded(fields)
    return encoded(entries)
