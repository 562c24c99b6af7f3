"""Shortens the texts of clients and targets for the router model, and writes them as data that cannot be instructions.

The control tokens of all model families contain `<`, `>`, `[`, `]` or `|`. In the data, these characters are JSON
escapes, so that no control token reaches the router model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ...conversation.request import Message, Part

MIN_BYTES = 400
"""Minimum bytes of the conversation in a prompt, even if the router model's context leaves less room."""
_MAX_ROLE = 40
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "[": "\\u005b", "]": "\\u005d", "|": "\\u007c"}
_ESCAPE_GROWTH = len("\\u003c") - 1
_MEDIA = {"vision": "[image]", "audio": "[audio]", "video": "[video]", "file": "[file]"}


def conversation_as_data(conversation: Sequence[Message], room: int) -> list[dict[str, str]]:
    """Returns the conversation as a list of {role, text}, in about `room` bytes.

    If the conversation is longer, the first message (often the system prompt) gets a quarter of the room. The last
    messages get the rest. A note says how many messages are left out.
    """
    texts = [(message.role, _text(message)) for message in conversation]
    if sum(_size(text) for _, text in texts) <= room:
        whole = [_message(role, text, room) for role, text in texts]
        if sum(_size(message["text"]) for message in whole) <= room:
            return whole
    (role, text), *rest = texts
    first = _message(role, text, room // 4 if rest else room)
    left = room - _size(first["text"])
    kept: list[dict[str, str]] = []
    # The last message is the question, so it is always kept.
    while rest and (not kept or left > MIN_BYTES // 2):
        role, text = rest.pop()
        kept.insert(0, _message(role, text, max(left // 2, 100)))
        left -= _size(kept[0]["text"])
    gap = [{"role": "note", "text": f"[{len(rest)} messages left out]"}] if rest else []
    return [first, *gap, *kept]


def as_data(value: Any) -> str:
    """Returns a value as JSON, in whose texts the characters of control tokens are escapes."""
    if isinstance(value, dict):
        return "{" + ",".join([f"{as_data(str(name))}:{as_data(entry)}" for name, entry in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(as_data, value)) + "]"
    text = msgspec.json.encode(value).decode()
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _message(role: str, text: str, room: int) -> dict[str, str]:
    return {"role": role[:_MAX_ROLE], "text": shortened(text, room)}


def shortened(text: str, room: int) -> str:
    """Returns about `room` bytes of a longer text, without its middle. A text never has more tokens than bytes."""
    if _bytes(text) <= room:
        return text
    whole = text.encode()
    half = max((room - 50) // 2, 20)
    while True:
        head, tail = whole[:half].decode(errors="ignore"), whole[-half:].decode(errors="ignore")
        kept = f"{head} [… {len(text) - len(head) - len(tail)} characters left out …] {tail}"
        if half <= 20 or _bytes(kept) <= room + 2 * _ESCAPE_GROWTH:
            return kept
        # The escapes make the text longer.
        half = max(min(half * room // _bytes(kept), half - 1), 20)


def _size(text: str) -> int:
    """Returns the approximate bytes that a message takes in the list."""
    return _bytes(text) + 30


def _bytes(text: str) -> int:
    """Returns the bytes of the text as data, with its escapes."""
    plain = len(text) if text.isascii() else len(text.encode())
    return plain + _ESCAPE_GROWTH * sum(map(text.count, _ESCAPES))


def _text(message: Message) -> str:
    parts = []
    if isinstance(message.content, str):
        parts.append(message.content)
    elif message.content:
        parts += [_part_text(part) for part in message.content]
    if message.tool_calls:
        parts.append(f"[tool calls] {msgspec.json.encode(message.tool_calls).decode()}")
    return " ".join(parts)


def _part_text(part: Part) -> str:
    text = part.text if part.text is not None else part.refusal
    if text is not None:
        return text
    return _MEDIA[part.kind] if part.kind else f"[{part.type}]"
