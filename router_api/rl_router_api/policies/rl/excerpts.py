"""Shortens the texts of clients and targets for the router model, and breaks up control tokens in them.

A space inside a control token prevents that a text acts as an instruction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ...conversation.request import Message, Part

MIN_BYTES = 400
"""Minimum bytes of the conversation in a prompt, even if the router model's context leaves less room."""
_MAX_ROLE = 40
_CONTROL = re.compile(
    r"<(?=[|\uff5c])|(?<=[|\uff5c])>"
    r"|<(?=/?\s*(?:tool_call|tool_response|tools|think|reasoning|s|start_of_turn|end_of_turn|bos|eos)\b)"
    r"|\[(?=/?(?:INST|TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS)\])",
    re.I,
)
_MEDIA = {"image_url": "[image]", "input_audio": "[audio]", "file": "[file]"}


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


def _message(role: str, text: str, room: int) -> dict[str, str]:
    return {"role": harmless(role[:_MAX_ROLE])[:_MAX_ROLE], "text": excerpt(text, room)}


def excerpt(text: str, room: int) -> str:
    """Returns at most about `room` bytes of the text, without control tokens.

    The text is shortened before the search for control tokens, because a search in megabytes takes seconds.
    """
    return shortened(harmless(shortened(text, room)), room)


def harmless(text: str) -> str:
    """Returns the text with a space inside everything that looks like a control token."""
    if "<" not in text and ">" not in text and "[" not in text:
        return text
    return _CONTROL.sub(lambda match: f"{match[0]} " if match[0] != ">" else " >", text)


def shortened(text: str, room: int) -> str:
    """Returns about `room` bytes of a longer text, without its middle. A text never has more tokens than bytes."""
    if _bytes(text) <= room:
        return text
    whole = text.encode()
    half = max((room - 50) // 2, 20)
    head, tail = whole[:half].decode(errors="ignore"), whole[-half:].decode(errors="ignore")
    return f"{head} [… {len(text) - len(head) - len(tail)} characters left out …] {tail}"


def _size(text: str) -> int:
    """Returns the approximate bytes that a message takes in the list."""
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
