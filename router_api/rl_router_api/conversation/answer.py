"""The internal format of answers: complete answers, and the chunks of streamed answers.

Fields that the router does not change keep the bytes that the upstream sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct


class Function(Struct):
    """The function of a tool call. `arguments` should be JSON text, but some servers send an object."""

    name: str | None = None
    arguments: Any = None


class ToolCall(Struct):
    """A tool call, or a piece of a tool call in a stream."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class AnswerMessage(Struct):
    """The message of a choice, or the delta of a chunk's choice."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(Struct):
    """One choice of a complete answer."""

    index: int = 0
    message: AnswerMessage | None = None
    finish_reason: str | None = None


class ChunkChoice(Struct):
    """The part of a chunk that belongs to one choice."""

    index: int = 0
    delta: AnswerMessage | None = None
    finish_reason: str | None = None


class Answer(Struct, frozen=True):
    """A complete answer. `fields` are its top-level fields as raw JSON."""

    fields: dict[str, Raw]
    choices: list[Choice]
    usage: Raw = Raw()
    """The usage as JSON on one line; empty if the upstream did not report it."""

    @property
    def first(self) -> AnswerMessage:
        return self.choices[0].message or AnswerMessage()


class Chunk(Struct):
    """One chunk of a stream. `data` is the chunk's JSON as the upstream sent it."""

    data: bytes
    choices: list[ChunkChoice]
    model: str | None
    usage: Raw
    """The usage as JSON on one line; empty if the chunk does not contain it."""
    error: str | None
    finished: list[int]
    """The indexes of the choices that end with this chunk."""
    text_bytes: int
    """The number of bytes of text and tool arguments in this chunk."""
    has_tool_ids: bool


def text_of(message: AnswerMessage) -> str:
    """Returns the content of an answer. Returns its tool calls as JSON, or its refusal, if it has no content."""
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
    """Returns the message of the first choice, assembled from its chunks."""
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
    call = calls.setdefault(_key(calls, piece), ToolCall(piece.index, piece.id, Function("", "")))
    if piece.function and call.function:
        call.function.name = (call.function.name or "") + (piece.function.name or "")
        call.function.arguments += piece.function.arguments if isinstance(piece.function.arguments, str) else ""


def _key(calls: dict[int | str, ToolCall], piece: ToolCall) -> int | str:
    """Returns the key of the call that a piece belongs to. Without an index, a new id or name begins a new call."""
    if piece.index is not None:
        return piece.index
    if piece.id:
        return piece.id
    is_new = not calls or (piece.function is not None and piece.function.name)
    return -1 - len(calls) if is_new else next(reversed(calls))
