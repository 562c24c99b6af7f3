"""The internal format of answers: complete answers, and the chunks of streamed answers.

Fields that the router does not change keep the bytes that the upstream sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from .lenient import well_formed


class Function(Struct, gc=False):
    """The function of a tool call. `arguments` should be JSON text, but some servers send an object."""

    name: str | None = None
    arguments: Any = None


class CustomTool(Struct, gc=False):
    """A call of a custom tool, whose input is free text."""

    name: str | None = None
    input: str | None = None


class ToolCall(Struct, gc=False):
    """A tool call, or a piece of a tool call in a stream."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: CustomTool | None = None

    @property
    def called(self) -> Function:
        """The name and the arguments of either kind of call."""
        if self.custom is not None:
            return Function(self.custom.name, self.custom.input)
        return self.function or Function()


class AnswerMessage(Struct, gc=False):
    """The message of a choice, or the delta of a chunk's choice."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    """The thinking of a model has either of two names; some servers send both with the same text."""
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    """The predecessor of `tool_calls`."""
    audio: Raw = Raw()

    @property
    def calls(self) -> list[ToolCall]:
        """The tool calls, and the function call as one of them."""
        calls = self.tool_calls or []
        return [*calls, ToolCall(function=self.function_call)] if self.function_call else calls


class Choice(Struct, gc=False):
    """One choice of a complete answer."""

    index: int = 0
    message: AnswerMessage | None = None
    finish_reason: str | None = None
    usage: Raw = Raw()


class ChunkChoice(Struct, gc=False):
    """The part of a chunk that belongs to one choice."""

    index: int = 0
    delta: AnswerMessage | None = None
    finish_reason: str | None = None
    usage: Raw = Raw()
    """Kimi reports the usage here."""


class Answer(Struct, frozen=True, gc=False):
    """A complete answer. `fields` are its top-level fields as raw JSON."""

    fields: dict[str, Raw]
    choices: list[Choice]
    usage: Raw = Raw()
    """The usage as JSON on one line; empty if the upstream did not report it."""
    service_tier: str | None = None
    """The service tier that the upstream reports, which may have prices of its own."""

    @property
    def first(self) -> AnswerMessage:
        return self.choices[0].message or AnswerMessage()


class Chunk(Struct, gc=False):
    """One chunk of a stream. `data` is the chunk's JSON as the upstream sent it."""

    data: bytes
    choices: list[ChunkChoice]
    model: str | None
    usage: Raw
    """The usage as JSON on one line; empty if the chunk does not contain it."""
    service_tier: str | None
    """As in `Answer`."""
    error: str | None
    finished: Sequence[int]
    """The indexes of the choices that end with this chunk."""
    output_bytes: int
    """Bytes of text, thinking and tool arguments in this chunk."""
    has_content: bool
    """Whether the chunk contains a part of the answer. A role or an empty text is not a part."""
    has_tool_ids: bool


def text_of(message: AnswerMessage) -> str:
    """Returns the content of an answer. Returns its tool calls as JSON, or its refusal, if it has no content."""
    if message.content:
        return well_formed(_content_text(message))
    if message.tool_calls or message.function_call:
        return _as_json([{"name": call.called.name, "arguments": call.called.arguments} for call in message.calls])
    return well_formed(message.refusal or "")


def _content_text(message: AnswerMessage) -> str:
    content = message.content or ""
    return content if isinstance(content, str) else "".join(map(_part_text, content))


def _part_text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""


def _as_json(value: Any) -> str:
    """Returns a value as JSON; empty if it is nested too deeply. The client gets it nevertheless."""
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        return ""
    except (ValueError, OverflowError):
        # msgspec encodes neither half of a surrogate pair nor an integer of more than 64 bits.
        return well_formed(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def output_bytes(message: AnswerMessage) -> int:
    """Returns the bytes of everything that the model has generated for a message: text, thinking and tool arguments."""
    return sum([_size(text) for text in _generated(message)])


def _generated(message: AnswerMessage) -> Iterator[str]:
    content = message.content
    if isinstance(content, str):
        yield content
    elif content:
        yield from _texts_in(content)
    yield message.refusal or ""
    yield message.reasoning_content or message.reasoning or ""
    for call in message.calls:
        called = call.called
        yield called.name or ""
        if called.arguments is not None:
            yield called.arguments if isinstance(called.arguments, str) else _as_json(called.arguments)


def _texts_in(parts: Any) -> Iterator[str]:
    """Yields the texts of content parts, also of thinking, whose texts are nested."""
    if isinstance(parts, str):
        yield parts
    elif isinstance(parts, list):
        for part in parts:
            yield from _texts_in(part)
    elif isinstance(parts, dict):
        for name in ("text", "thinking"):
            yield from _texts_in(parts.get(name))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def assemble(chunks: Iterable[Chunk]) -> AnswerMessage:
    """Returns the message of the first choice, assembled from its chunks."""
    content: list[str] = []
    refusal: list[str] = []
    calls = CallAssembler()
    for chunk in chunks:
        for choice in chunk.choices:
            if choice.index == 0 and choice.delta is not None:
                delta = choice.delta
                content.append(_content_text(delta))
                refusal.append(delta.refusal or "")
                for piece in delta.calls:
                    calls.add(piece)
    return AnswerMessage(
        content="".join(content) or None, refusal="".join(refusal) or None, tool_calls=calls.whole or None
    )


class CallAssembler:
    """Joins the pieces of streamed tool calls. Servers number and name the pieces in different ways."""

    def __init__(self) -> None:
        self.whole: list[ToolCall] = []

    def add(self, piece: ToolCall) -> int:
        """Adds a piece, and returns the position of its call in `whole`."""
        called = piece.called
        position = self._position_of(piece, called)
        if position is None:
            position = len(self.whole)
            self.whole.append(ToolCall(piece.index, piece.id, Function("", None)))
        function = self.whole[position].called
        if called.name != function.name:
            function.name = (function.name or "") + (called.name or "")
        function.arguments = _joined(function.arguments, called.arguments)
        return position

    def _position_of(self, piece: ToolCall, called: Function) -> int | None:
        """Returns the position of the call that a piece continues; None if the piece begins a call.

        A piece continues the last call with its index or id. Some servers number all calls 0: another id, or a name
        after complete arguments, begins another call.
        """
        if piece.index is None and not piece.id:
            return len(self.whole) - 1 if self.whole and not called.name else None
        key = "id" if piece.index is None else "index"
        same = [place for place, call in enumerate(self.whole) if getattr(call, key) == getattr(piece, key)]
        if not same:
            return None
        last = self.whole[same[-1]]
        if piece.id and last.id:
            return same[-1] if piece.id == last.id else None
        return None if called.name and _is_json(last.called.arguments) else same[-1]


def _is_json(arguments: Any) -> bool:
    try:
        return bool(arguments) and json.loads(arguments) is not None
    except (TypeError, ValueError, RecursionError):
        return not isinstance(arguments, str)


def _joined(begun: Any, piece: Any) -> Any:
    """Returns the arguments so far with another piece; arguments that are an object come in one piece."""
    if isinstance(piece, str):
        return (begun if isinstance(begun, str) else "") + piece
    return begun if piece is None else piece
