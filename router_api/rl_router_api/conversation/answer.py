"""The internal format of answers: complete answers, and the chunks of streamed answers.

Fields that the router does not change keep the bytes that the upstream sent, except for line breaks and repaired JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from .lenient import parse, well_formed


class Function(Struct, gc=False):
    """The name and the arguments of the function that a tool call calls.

    The attribute `arguments` should be JSON text, but some servers send a JSON object.
    """

    name: str | None = None
    arguments: Any = None


class CustomTool(Struct, gc=False):
    """A call of a custom tool. The input of a custom tool is free text."""

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
        """The name and the arguments of the called function or custom tool."""
        if self.custom is not None:
            return Function(self.custom.name, self.custom.input)
        return self.function or Function()


class AnswerMessage(Struct, gc=False):
    """The message of a choice in a complete answer, or the delta of a choice in a chunk."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    """The model's thinking, which servers send in the field `reasoning_content`, in the field `reasoning`, or in both
    fields with the same text."""
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    """The function call in the old field `function_call`, which OpenAI's API has replaced with `tool_calls`."""
    audio: Raw = Raw()
    """The audio of the message. The module `read_odd_answer` also puts images and other media into this field."""

    @property
    def calls(self) -> list[ToolCall]:
        """The tool calls of the message, followed by the call in the field `function_call` if this field is set."""
        calls = self.tool_calls or []
        return [*calls, ToolCall(function=self.function_call)] if self.function_call else calls


class Choice(Struct, gc=False):
    """One choice of a complete answer."""

    index: int = 0
    message: AnswerMessage | None = None
    finish_reason: str | None = None
    usage: Raw = Raw()
    error: None = None
    """Always null. An error breaks the schema, so that the module `read_odd_answer` reads the answer and the error."""


class ChunkChoice(Struct, gc=False):
    """The part of a chunk that belongs to one choice."""

    index: int = 0
    delta: AnswerMessage | None = None
    finish_reason: str | None = None
    usage: Raw = Raw()
    """The usage of the answer as raw JSON. Kimi's API reports the usage in the field `usage` of a choice."""


class Answer(Struct, frozen=True, gc=False):
    """A complete answer. The attribute `fields` contains the answer's top-level fields as raw JSON."""

    fields: dict[str, Raw]
    choices: list[Choice]
    usage: Raw = Raw()
    """The usage as JSON on one line, or an empty value if the upstream did not report the usage."""
    service_tier: str | None = None
    """The service tier that the upstream reports, or None. A service tier may have its own prices."""

    @property
    def first(self) -> AnswerMessage:
        return self.choices[0].message or AnswerMessage()


class Chunk(Struct, gc=False):
    """One chunk of a stream. The attribute `data` is the data of the server-sent event on one line, usually JSON."""

    data: bytes
    choices: list[ChunkChoice]
    model: str | None
    usage: Raw
    """The usage as JSON on one line, or an empty value if the chunk does not contain the usage."""
    service_tier: str | None
    """The service tier in the chunk, or None if the chunk does not contain a service tier."""
    error: str | None
    finished: Sequence[int]
    """The indexes of the choices that end with the chunk."""
    output_bytes: int
    """The number of bytes that the model has generated for the chunk, as the function `output_bytes` counts them."""
    has_content: bool
    """Whether the chunk contains a part of the answer. A role or an empty text does not count as a part of the
    answer."""
    has_tool_ids: bool
    is_notice: bool = False
    """Whether the event is not a chunk but contains a message. The attribute `error` contains the message. The message
    counts as an error only if the answer stays incomplete."""
    is_early_end: bool = False
    """Whether the attribute `error` only describes a finish reason that says that the upstream failed. The finish
    reason counts as an error only if the model has generated nothing."""
    is_text: bool = False
    """Whether the chunk contains a text and nothing else that matters for routing: no other content, no usage, no error
    and no end of a choice. Most chunks of a stream are such chunks."""

    def is_failure(self, generated: int) -> bool:
        """Returns whether the stream fails with the chunk, if the model has generated `generated` bytes so far."""
        return self.error is not None and not self.is_notice and not (self.is_early_end and generated)


def text_of(message: AnswerMessage) -> str:
    """Returns the text of an answer's message.

    If the message has no content, the result is the message's tool calls as JSON. If the message has neither content
    nor tool calls, the result is the message's refusal, or an empty text.
    """
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
    """Returns a value as JSON, or an empty text if the value is nested too deeply for the JSON encoder.

    The client still gets a value that is nested too deeply, because the router passes the value on as raw JSON.
    """
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        return ""
    except (ValueError, OverflowError):
        # msgspec cannot encode half of a surrogate pair or an integer of more than 64 bits, but the module json can.
        return well_formed(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def output_bytes(message: AnswerMessage) -> int:
    """Returns the number of bytes that the model has generated for a message.

    The generated bytes include the text, the thinking, the refusal, the transcript of audio, and the names and
    arguments of tool calls.
    """
    return sum([_size(text) for text in _generated(message)])


def _generated(message: AnswerMessage) -> Iterator[str]:
    content = message.content
    if isinstance(content, str):
        yield content
    elif content:
        yield generated_text(content)
    if message.refusal:
        yield message.refusal
    yield message.reasoning_content or message.reasoning or ""
    if message.audio:
        yield _text_of_raw(message.audio)
    for call in message.calls:
        called = call.called
        yield called.name or ""
        if called.arguments is not None:
            yield called.arguments if isinstance(called.arguments, str) else _as_json(called.arguments)


def _text_of_raw(raw: Raw) -> str:
    try:
        return generated_text(parse(raw))
    except (ValueError, RecursionError):
        return ""


_NOT_GENERATED = re.compile(
    r"\w*(?:type|data|ur[il]|base64|opaque|signature|images?|videos?)|(?:\w+_)?(?:ids?|index|role|reason|json|content_filter)|"
    r"annotations|audios?|blob|bytes|channel|citations|created|detail|encrypted\w*|errors?|format|language|logprobs|model|object|"
    r"obfuscation|outputs?|phase|provider|recipient|results|source|status|title|version",
    re.I,
)
"""The pattern of the fields whose texts a model does not generate, such as ids, types, addresses and base64 data."""


def generated_text(value: Any) -> str:
    """Returns the generated texts of content parts, including the nested texts of thinking parts.

    The texts of all fields count, except the fields that match the pattern `_NOT_GENERATED`. The result is empty if the
    value is nested too deeply.
    """
    try:
        return "".join(_texts_in(value))
    except RecursionError:
        return ""


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _texts_in(entry)
    elif isinstance(value, dict):
        for name, entry in value.items():
            if not _NOT_GENERATED.fullmatch(name):
                yield from _texts_in(entry)


def has_content(message: AnswerMessage) -> bool:
    """Returns whether a message contains content, thinking, a refusal, audio or a tool call."""
    return bool(message.content or message.calls or message.audio) or output_bytes(message) > 0


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def assemble(chunks: Iterable[Chunk]) -> AnswerMessage:
    """Returns the content, refusal and tool calls of the choice with index 0, joined from the chunks of a stream."""
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
    """Joins the pieces of streamed tool calls. Servers differ in the indexes and ids that they give the pieces."""

    def __init__(self) -> None:
        self.whole: list[ToolCall] = []

    def add(self, piece: ToolCall) -> int | None:
        """Adds a piece of a tool call, and returns the position of this tool call in the list `whole`.

        Returns None without a change if the piece only repeats a whole tool call. Some servers repeat all tool calls at
        the end of a stream.
        """
        called = piece.called
        if piece.id and any(_repeats(piece, call) for call in self.whole):
            return None
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
        """Returns the position of the tool call that a piece continues, or None if the piece begins a new tool call.

        A piece with neither an index nor an id continues the last tool call, unless the piece has a name. A piece with
        an id but no index continues the last tool call with the same id. A piece with an index continues the last tool
        call with the same index, with two exceptions, because some servers give every tool call the index 0. If the
        piece and this tool call have different ids, the piece begins a new tool call. If one or both ids are missing, a
        piece with a name begins a new tool call after the arguments of the last tool call with the index are complete.
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


def _repeats(piece: ToolCall, whole: ToolCall) -> bool:
    """Returns whether a piece has the id, the name, the complete arguments and the index (if set) of `whole`."""
    called = piece.called
    if piece.id != whole.id or piece.index not in (None, whole.index) or called != whole.called:
        return False
    return _is_json(called.arguments)


def _is_json(arguments: Any) -> bool:
    try:
        return bool(arguments) and json.loads(arguments) is not None
    except (TypeError, ValueError, RecursionError):
        return not isinstance(arguments, str)


def _joined(begun: Any, piece: Any) -> Any:
    """Returns the arguments of a tool call after the arguments of one more piece are appended.

    Arguments that are a JSON object arrive in one piece.
    """
    if begun and not piece:
        return begun
    if isinstance(piece, str):
        return (begun if isinstance(begun, str) else "") + piece
    return begun if piece is None else piece
