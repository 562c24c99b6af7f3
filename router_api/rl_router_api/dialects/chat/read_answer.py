"""What routing reads of an upstream's answers: whole completions, and the chunks of streamed ones.

As with requests, the fields that pass through stay the bytes the upstream sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ...accounting.ledger import Usage
from ...errors import BrokenAnswerError


class Function(Struct):
    """The function of a tool call; `arguments` should be JSON text, but some servers send an object."""

    name: str | None = None
    arguments: Any = None


class ToolCall(Struct):
    """A tool call, or in a stream a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Said(Struct):
    """A message of a completion, or the delta of a chunk."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class _Choice(Struct):
    index: int = 0
    message: Said | None = None
    finish_reason: str | None = None


class _ChunkChoice(Struct):
    index: int = 0
    delta: Said | None = None
    finish_reason: str | None = None


class _Completion(Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: Raw = Raw()


class _Chunk(Struct):
    choices: list[_ChunkChoice] | None = None
    model: str | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


_COMPLETION = msgspec.json.Decoder(_Completion)
_CHUNK = msgspec.json.Decoder(_Chunk)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_USAGE = msgspec.json.Decoder(Usage)
_MOST_TOKENS = 10**15
"""No usage is larger: beyond it sums would not be exact."""


class Reported(Struct, frozen=True):
    """A usage as reported: what is paid for, and all of it as the upstream wrote it, on one line."""

    usage: Usage
    raw: Raw


class Completion(Struct, frozen=True):
    """A whole answer; `fields` are its top-level fields as the upstream wrote them."""

    fields: dict[str, Raw]
    choices: list[_Choice]
    reported: Reported | None

    @property
    def first(self) -> Said:
        return self.choices[0].message or Said()


class Chunk(Struct):
    """A streamed piece; `data` is its JSON as the upstream wrote it."""

    data: bytes
    choices: list[_ChunkChoice]
    model: str | None
    reported: Reported | None
    error: str | None
    finished: list[int]
    """The choices that end with it, by index."""
    text_bytes: int
    """How much was generated in it, in bytes of text and tool arguments."""
    has_tool_ids: bool


def read_completion(body: bytes) -> Completion:
    """Raises BrokenAnswerError unless `body` is a completion with at least one choice."""
    try:
        body.decode()
        read = _COMPLETION.decode(body)
        fields = _FIELDS.decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise BrokenAnswerError(f"not a completion: {error}") from None
    if not read.choices or read.choices[0].message is None:
        raise BrokenAnswerError("a completion without choices")
    return Completion(fields, read.choices, read_usage(read.usage))


def read_chunks(events: list[bytes]) -> Iterator[Chunk]:
    """The chunks, error events included. Raises BrokenAnswerError at the first that is none."""
    # All at once, which costs a fraction of one by one; what is broken is found below.
    whole = b"\n".join(events)
    try:
        whole.decode()
        read = _CHUNK.decode_lines(whole)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        read = []
    in_lines = len(read) == len(events) == whole.count(b"\n") + 1
    return map(_chunk, events, read) if in_lines else map(read_chunk, events)


def read_chunk(data: bytes) -> Chunk:
    """Raises BrokenAnswerError unless `data` is a chunk, an error event included."""
    # An event may have its data on several lines; it goes out on one.
    data = data.replace(b"\n", b" ")
    try:
        data.decode()
        read = _CHUNK.decode(data)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise BrokenAnswerError(f"not a chunk: {error}") from None
    return _chunk(data, read)


def _chunk(data: bytes, read: _Chunk) -> Chunk:
    problem = bytes(read.error).decode() if read.error and bytes(read.error) != b"null" else None
    choices = read.choices
    if choices is None:
        if problem is None and not read.usage:
            raise BrokenAnswerError("a chunk without choices")
        choices = []
    finished, size, has_ids = [], 0, False
    for choice in choices:
        if choice.finish_reason:
            finished.append(choice.index)
        if (delta := choice.delta) is not None:
            text = delta.content if type(delta.content) is str and delta.content else text_of(delta)
            size += len(text) if text.isascii() else len(text.encode())
            if delta.tool_calls:
                has_ids = has_ids or any(call.id for call in delta.tool_calls)
    reported = read_usage(read.usage) if read.usage else None
    return Chunk(data, choices, read.model, reported, problem, finished, size, has_ids)


def read_usage(raw: Raw | bytes) -> Reported | None:
    """A usage that makes sense, or None."""
    if not raw or bytes(raw) == b"null":
        return None
    try:
        usage = _USAGE.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    counts = [each for each in (usage.prompt_tokens, usage.completion_tokens) if each is not None]
    if not counts or not all(0 <= each <= _MOST_TOKENS for each in (*counts, usage.total)):
        return None
    return Reported(usage, _on_one_line(raw))


def _on_one_line(raw: Raw | bytes) -> Raw:
    """For the log, where each request has a line, and for streams, where each chunk has one."""
    written = bytes(raw)
    return Raw(msgspec.json.format(written, indent=-1) if b"\n" in written or b"\r" in written else written)


def text_of(said: Said) -> str:
    """An answer as text: its content, or else its tool calls as JSON."""
    if said.content:
        return said.content if isinstance(said.content, str) else "".join(map(_part_text, said.content))
    if said.tool_calls:
        return msgspec.json.encode([_call_as_json(call) for call in said.tool_calls]).decode()
    return said.refusal or ""


def _part_text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""


def _call_as_json(call: ToolCall) -> dict[str, Any]:
    function = call.function or Function()
    return {"name": function.name, "arguments": function.arguments}


def assemble(chunks: list[Chunk]) -> Said:
    """The first choice's message, put together from its chunks."""
    content: list[str] = []
    calls: dict[int | str, ToolCall] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            if choice.index == 0 and choice.delta is not None:
                content.append(text_of(Said(choice.delta.content, choice.delta.refusal)))
                for piece in choice.delta.tool_calls or ():
                    _add_piece(calls, piece)
    return Said(content="".join(content) or None, tool_calls=list(calls.values()) or None)


def _add_piece(calls: dict[int | str, ToolCall], piece: ToolCall) -> None:
    call = calls.setdefault(_place(calls, piece), ToolCall(piece.index, piece.id, Function("", "")))
    if piece.function and call.function:
        call.function.name = (call.function.name or "") + (piece.function.name or "")
        call.function.arguments += piece.function.arguments if isinstance(piece.function.arguments, str) else ""


def _place(calls: dict[int | str, ToolCall], piece: ToolCall) -> int | str:
    """Which call a piece belongs to; where a server sends no index, a further id or name begins another call."""
    if piece.index is not None:
        return piece.index
    if piece.id:
        return piece.id
    begins = not calls or (piece.function is not None and piece.function.name)
    return -1 - len(calls) if begins else next(reversed(calls))
