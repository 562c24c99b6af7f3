"""Shortens the texts of clients and targets for the router model, and writes these texts as data, not as instructions.

The control tokens of common model families contain `<`, `>`, `[`, `]` or `|`, so the texts contain JSON escapes instead
of these five characters. The escapes prevent the text of a client or target from containing a control token of the
router model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ...conversation.request import Message, Part

MIN_BYTES = 400
"""The minimum size limit, in bytes, of the conversation and answers together, even if the model's context is short."""
_MAX_ROLE = 40
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "[": "\\u005b", "]": "\\u005d", "|": "\\u007c"}
_TOLERANCE = 100
"""The number of bytes by which a conversation or an excerpt may exceed the size limit, because not every byte of the
notes about omitted parts is counted."""
_MIN_EXCERPT = 100
_SYNTAX = len('{"role":"","text":""},')
_Texts = list[tuple[str, str]]
"""The role and the text of each message."""
_MEDIA = {"vision": "[image]", "audio": "[audio]", "video": "[video]", "file": "[file]"}


def conversation_as_data(conversation: Sequence[Message], room: int) -> str:
    """Returns the conversation as a JSON list of {role, text}, in at most about `room` bytes including the escapes.

    If the conversation has more than `room` bytes, the first message (often the system prompt) gets at most a quarter
    of `room`. Then each message, from the last message backwards, gets at most half of the bytes that are still left. A
    single message gets all of `room`. If messages are left out, a note says how many. If `room` is small, many escapes
    may make the JSON larger than `room`.
    """
    texts = [(message.role[:_MAX_ROLE], _text(message)) for message in conversation]
    unescaped = sum([_size(role, text) for role, text in texts])
    left = room
    while True:
        kept = texts if unescaped <= left else _shorter(texts, left)
        json = texts_as_data([{"role": role, "text": text} for role, text in kept])
        size = _bytes(json)
        if size <= room + _TOLERANCE or left <= MIN_BYTES:
            return json
        left = min(left * room // size, left - 1)


def _shorter(texts: _Texts, room: int) -> _Texts:
    """Returns the roles and texts of messages, shortened to about `room` bytes before escaping."""
    (role, text), *rest = texts
    first = shortened(text, room // 4 if rest else room)
    left = room - _size(role, first)
    kept: list[tuple[str, str]] = []
    # The last message contains the question, so the last message is always kept.
    while rest and (not kept or left > MIN_BYTES // 2):
        last_role, text = rest.pop()
        kept.insert(0, (last_role, shortened(text, max(left // 2, 100))))
        left -= _size(*kept[0])
    gap = [("note", f"({len(rest)} messages left out)")] if rest else []
    return [(role, first), *gap, *kept]


def as_data(value: Any) -> str:
    """Returns a value as JSON. In the texts of this JSON, the characters in `_ESCAPES` are escaped."""
    json = msgspec.json.encode(value).decode()
    if _is_plain(json):
        return json
    if isinstance(value, dict):
        return "{" + ",".join([f"{as_data(str(name))}:{as_data(entry)}" for name, entry in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(as_data, value)) + "]"
    return _escaped(json)


def texts_as_data(texts: list[dict[str, str]]) -> str:
    """Returns the same JSON as the function `as_data` for a list of dictionaries of texts, but is faster."""
    # The only brackets outside of texts are the first and the last character.
    inner = msgspec.json.encode(texts).decode()[1:-1]
    return f"[{inner if _is_plain(inner) else _escaped(inner)}]"


def _is_plain(text: str) -> bool:
    """Returns whether a text contains none of the characters in `_ESCAPES`."""
    return not ("<" in text or ">" in text or "[" in text or "]" in text or "|" in text)


def _escaped(text: str) -> str:
    for character, escape in _ESCAPES.items():
        if character in text:
            text = text.replace(character, escape)
    return text


def excerpt(text: str, room: int) -> str:
    """Returns a text, or an excerpt of the text if the text is too long.

    After `as_data` has escaped the result, the result has at most about `room` bytes, or more if `room` is small.
    """
    left, kept = room, shortened(text, room)
    while (size := _bytes(as_data(kept))) > room + _TOLERANCE and left > _MIN_EXCERPT:
        left = min(left * room // size, left - 1)
        kept = shortened(text, left)
    return kept


def shortened(text: str, room: int) -> str:
    """Returns the text `text`. If the text has more than `room` bytes, a note replaces the middle part of the text.

    A limit in bytes also limits the tokens, because a text never has more tokens than bytes.
    """
    if _bytes(text) <= room:
        return text
    whole = text.encode()
    half = max((room - 50) // 2, 20)
    head, tail = whole[:half].decode(errors="ignore"), whole[-half:].decode(errors="ignore")
    return f"{head} (… {len(text) - len(head) - len(tail)} characters left out …) {tail}"


def _size(role: str, text: str) -> int:
    """Returns the approximate number of bytes of a message in the JSON list of messages, before escaping."""
    return len(role) + _bytes(text) + _SYNTAX


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


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
    return _MEDIA[part.kind] if part.kind else f"[{part.type or 'media'}]"
