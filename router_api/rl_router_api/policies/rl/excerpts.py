"""Texts of clients and targets as the router model reads them: short enough, and never instructions.

Whatever looks like a control token is broken up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ...conversation.request import Message, Part

MIN_BYTES = 400
"""Bytes of the conversation that are shown however little room there is."""
_MAX_ROLE = 40
_CONTROL = re.compile(
    r"<(?=[|\uff5c])|(?<=[|\uff5c])>"
    r"|<(?=/?\s*(?:tool_call|tool_response|tools|think|reasoning|s|start_of_turn|end_of_turn|bos|eos)\b)"
    r"|\[(?=/?(?:INST|TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS)\])",
    re.I,
)
_MEDIA = {"image_url": "[image]", "input_audio": "[audio]", "file": "[file]"}


def conversation_as_data(conversation: Sequence[Message], room: int) -> list[dict[str, str]]:
    """The conversation as {role, text}; the last messages keep most of the room, the first (often the system prompt)
    a quarter, and what is left out is said."""
    texts = [(message.role, _text(message)) for message in conversation]
    if sum(_size(text) for _, text in texts) <= room:
        whole = [_message(role, text, room) for role, text in texts]
        if sum(_size(message["text"]) for message in whole) <= room:
            return whole
    (role, text), *rest = texts
    first = _message(role, text, room // 4 if rest else room)
    left = room - _size(first["text"])
    kept: list[dict[str, str]] = []
    # The last message is what is asked: it is kept however little room there is.
    while rest and (not kept or left > MIN_BYTES // 2):
        role, text = rest.pop()
        kept.insert(0, _message(role, text, max(left // 2, 100)))
        left -= _size(kept[0]["text"])
    gap = [{"role": "note", "text": f"[{len(rest)} messages left out]"}] if rest else []
    return [first, *gap, *kept]


def _message(role: str, text: str, room: int) -> dict[str, str]:
    return {"role": harmless(role[:_MAX_ROLE])[:_MAX_ROLE], "text": excerpt(text, room)}


def excerpt(text: str, room: int) -> str:
    """At most about `room` bytes of the text, harmless. Shortened first: to look through megabytes takes seconds."""
    return shortened(harmless(shortened(text, room)), room)


def harmless(text: str) -> str:
    """The text with everything that looks like a control token broken up by a space."""
    if "<" not in text and ">" not in text and "[" not in text:
        return text
    return _CONTROL.sub(lambda found: f"{found[0]} " if found[0] != ">" else " >", text)


def shortened(text: str, room: int) -> str:
    """At most about `room` bytes, the middle left out; a character's bytes are what it may cost in tokens."""
    if _bytes(text) <= room:
        return text
    whole = text.encode()
    half = max((room - 50) // 2, 20)
    head, tail = whole[:half].decode(errors="ignore"), whole[-half:].decode(errors="ignore")
    return f"{head} [… {len(text) - len(head) - len(tail)} characters left out …] {tail}"


def _size(text: str) -> int:
    """About the bytes of a message in the list."""
    return _bytes(text) + 30


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
    return text if text is not None else _MEDIA.get(part.type, f"[{part.type}]")
