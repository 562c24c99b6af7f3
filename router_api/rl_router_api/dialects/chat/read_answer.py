"""Reads upstreams' answers. Converts a completion or the chunks of a stream to the internal format."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from ...conversation.answer import Answer, Choice, Chunk, ChunkChoice, text_of
from ...conversation.raw import OBJECT
from ...errors import BrokenAnswerError


class _Completion(Struct):
    choices: list[Choice]
    model: str | None = None
    usage: Raw = Raw()


class _Chunk(Struct):
    choices: list[ChunkChoice] | None = None
    model: str | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


_NOTHING = Raw()
_COMPLETION = msgspec.json.Decoder(_Completion)
_CHUNK = msgspec.json.Decoder(_Chunk)


def read_answer(body: bytes) -> Answer:
    """Returns the answer. Raises BrokenAnswerError unless `body` is a completion with at least one choice."""
    try:
        body.decode()
        read = _COMPLETION.decode(body)
        fields = OBJECT.decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise BrokenAnswerError(f"not a completion: {error}") from None
    if not read.choices or read.choices[0].message is None:
        raise BrokenAnswerError("the completion has no choices")
    return Answer(fields, read.choices, _on_one_line(read.usage))


def read_chunks(events: list[bytes]) -> Iterator[Chunk]:
    """Yields the chunks, including error events. Raises BrokenAnswerError at the first event that is not a chunk."""
    # Decoding all events at once takes a fraction of the time. If that fails, the events are decoded one by one below.
    whole = b"\n".join(events)
    try:
        whole.decode()
        read = _CHUNK.decode_lines(whole)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        read = []
    in_lines = len(read) == len(events) == whole.count(b"\n") + 1
    return map(_chunk, events, read) if in_lines else map(read_chunk, events)


def read_chunk(data: bytes) -> Chunk:
    """Returns the chunk in an event's data. Raises BrokenAnswerError if it is neither a chunk nor an error event."""
    # An event may have its data on several lines. The client gets the data on one line.
    data = data.replace(b"\n", b" ")
    try:
        data.decode()
        read = _CHUNK.decode(data)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise BrokenAnswerError(f"not a chunk: {error}") from None
    return _chunk(data, read)


def _chunk(data: bytes, read: _Chunk) -> Chunk:
    error = bytes(read.error).decode() if read.error and bytes(read.error) != b"null" else None
    choices = read.choices
    if choices is None:
        if error is None and not read.usage:
            raise BrokenAnswerError("a chunk has no choices")
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
    usage = _on_one_line(read.usage) if read.usage else _NOTHING
    return Chunk(data, choices, read.model, usage, error, finished, size, has_ids)


def _on_one_line(raw: Raw) -> Raw:
    """Returns the JSON without line breaks, because a log entry and a streamed chunk are one line each."""
    text = bytes(raw)
    if text == b"null":
        return _NOTHING
    return Raw(msgspec.json.format(text, indent=-1)) if b"\n" in text or b"\r" in text else raw
