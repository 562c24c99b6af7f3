"""The internal answer: a whole one, and the chunks of a streamed one.

As with requests, the fields that pass through stay the bytes that the upstream sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct


class Function(Struct):
    """The function of a tool call; `arguments` should be JSON text, but some servers send an object."""

    name: str | None = None
    arguments: Any = None


class ToolCall(Struct):
    """A tool call, or in a stream a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class AnswerMessage(Struct):
    """The message of an answer's choice, or the delta of a chunk's."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(Struct):
    """One of the answers of a whole answer."""

    index: int = 0
    message: AnswerMessage | None = None
    finish_reason: str | None = None


class ChunkChoice(Struct):
    """What a chunk adds to one of the answers."""

    index: int = 0
    delta: AnswerMessage | None = None
    finish_reason: str | None = None


class Answer(Struct, frozen=True):
    """A whole answer; `fields` are its top-level fields as the upstream wrote them."""

    fields: dict[str, Raw]
    choices: list[Choice]
    usage: Raw = Raw()
    """As the upstream reported it, on one line; empty if it reported none."""

    @property
    def first(self) -> AnswerMessage:
        return self.choices[0].message or AnswerMessage()


class Chunk(Struct):
    """A streamed piece; `data` is its JSON as the upstream wrote it."""

    data: bytes
    choices: list[ChunkChoice]
    model: str | None
    usage: Raw
    """As in a whole answer."""
    error: str | None
    finished: list[int]
    """The choices that end with it, by index."""
    text_bytes: int
    """How much was generated in it, in bytes of text and tool arguments."""
    has_tool_ids: bool


def text_of(message: AnswerMessage) -> str:
    """Returns an answer as text: its content, or else its tool calls as JSON."""
    content = message.content
    if content:
        return content if isinstance(content, str) else "".join(map(_part_text, content))
    if message.tool_calls:
        return msgspec.json.encode([_call_as_json(call) for call in message.tool_calls]).decode()
    return message.refusal or ""


def _part_text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""


def _call_as_json(call: ToolCall) -> dict[str, Any]:
    function = call.function or Function()
    return {"name": function.name, "arguments": function.arguments}


def assemble(chunks: Iterable[Chunk]) -> AnswerMessage:
    """Returns the first choice's message, put together from its chunks."""
    content: list[str] = []
    calls: dict[int | str, ToolCall] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            if choice.index == 0 and choice.delta is not None:
                content.append(text_of(AnswerMessage(choice.delta.content, choice.delta.refusal)))
                for piece in choice.delta.tool_calls or ():
                    _add_piece(calls, piece)
    return AnswerMessage(content="".join(content) or None, tool_calls=list(calls.values()) or None)


def _add_piece(calls: dict[int | str, ToolCall], piece: ToolCall) -> None:
    call = calls.setdefault(_place(calls, piece), ToolCall(piece.index, piece.id, Function("", "")))
    if piece.function and call.function:
        call.function.name = (call.function.name or "") + (piece.function.name or "")
        call.function.arguments += piece.function.arguments if isinstance(piece.function.arguments, str) else ""


def _place(calls: dict[int | str, ToolCall], piece: ToolCall) -> int | str:
    """Returns which call a piece belongs to. If a server sends no index, a further id or name begins another call."""
    if piece.index is not None:
        return piece.index
    if piece.id:
        return piece.id
    begins = not calls or (piece.function is not None and piece.function.name)
    return -1 - len(calls) if begins else next(reversed(calls))
