"""Reads upstreams' answers: converts a completion or the chunks of a stream to the router API's internal format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ...conversation.answer import Answer, Choice, Chunk, ChunkChoice, has_content, output_bytes
from ...conversation.lenient import fields_of
from ...conversation.raw import OBJECT, check_utf8
from ...encoding import one_line
from ...errors import UnusableAnswerError
from .. import sse
from . import read_odd_answer as odd
from .join_usage import join_usage


class _Groq(Struct, gc=False):
    """The Groq-specific part of an answer, in which Groq's API reports the usage and errors."""

    usage: Raw = Raw()
    error: None = None
    """Always null, like `Choice.error`, because the decoder rejects all other values."""


class _Completion(Struct, gc=False):
    choices: list[Choice]
    usage: Raw = Raw()
    service_tier: str | None = None
    x_groq: _Groq | None = None


class _Chunk(Struct, gc=False):
    choices: list[ChunkChoice]
    model: str | None = None
    usage: Raw = Raw()
    service_tier: str | None = None
    error: Raw = Raw()
    x_groq: _Groq | None = None


_NOTHING = Raw()
_ODD = re.compile(rb'"(?:base_resp|error|reasoning_details|reasoning_text|thinking|thinking_blocks)"')
"""The pattern of the names of fields in completions and chunks that the module `read_odd_answer` may need to read."""
_EMPTY_DELTA = re.compile(rb'"delta"\s*+:\s*+\{(?:[\s,]*+"\w+"\s*+:\s*+(?:null|""|\[\]|\{\}|"assistant"))*+\s*+\}')
"""The pattern of a delta in which every field is empty, except the role."""
_COMPLETION = msgspec.json.Decoder(_Completion)
_CHUNK = msgspec.json.Decoder(_Chunk)


def read_answer(body: bytes) -> Answer:
    """Returns the answer that a response body contains.

    Raises BrokenAnswerError if the body is not JSON or is nested too deeply. Raises UnusableAnswerError if the JSON is
    not an object or does not contain a usable answer, as the function `_usable` defines it.
    """
    try:
        check_utf8(body)
        read, fields = _COMPLETION.decode(body), OBJECT.decode(body)
    except UnicodeDecodeError:
        return read_answer(odd.repaired(body))
    except (msgspec.DecodeError, RecursionError):
        read, fields = _read_oddly(body)
    choices, usage = read.choices, read.usage
    if read.x_groq is not None:
        usage = join_usage(read.x_groq.usage, usage)
    for choice in choices:
        if choice.usage:
            usage = join_usage(choice.usage, usage)
    usage = _on_one_line(usage)
    is_empty = not choices or (first := choices[0].message) is None or not (first.content or first.tool_calls)
    # Without a usage, the thinking in unusual fields is needed to estimate the usage.
    if is_empty or (not usage and _ODD.search(body)):
        choices = _usable(body, bytes(usage))
    return Answer(fields, choices, usage, read.service_tier)


def _usable(body: bytes, usage: bytes) -> list[Choice]:
    """Returns the choices of an answer, including thinking in unusual fields.

    Raises UnusableAnswerError if an answer only reports an error, or if the first choice or its message is missing. An
    error beside content is ignored, unless a choice or `x_groq` contains the error. If the answer has no content, a
    finish reason that says that the upstream failed is also an error. The message of the first choice may be missing if
    the finish reason explains why, for example `content_filter`.
    """
    value = odd.parse(body)
    _check_parts(value, usage)
    choices = odd.choices(value)
    is_empty = not any(choice.message and has_content(choice.message) for choice in choices)
    if is_empty and odd.is_error(value):
        raise UnusableAnswerError("the completion reports an error", text=body.decode(), usage=usage)
    reason = next((choice.finish_reason for choice in choices if choice.finish_reason in odd.FAILED), None)
    if is_empty and reason is not None:
        raise UnusableAnswerError("the upstream generated nothing", text=odd.early_end(reason), usage=usage)
    if not choices or (choices[0].message is None and not odd.is_blocked(value)):
        text = json.dumps(odd.error_in(value)) if odd.has_message(value) else ""
        raise UnusableAnswerError("the first choice is missing or has no message", text=text, usage=usage)
    return choices


def _check_parts(value: dict[str, Any], usage: bytes) -> None:
    """Raises UnusableAnswerError if a part of a completion reports an error, because the content is then incomplete."""
    if (error := odd.inner_error(value)) is not None:
        raise UnusableAnswerError("a part of the completion reports an error", text=json.dumps(error), usage=usage)


def _read_oddly(body: bytes) -> tuple[_Completion, dict[str, Raw]]:
    value = odd.parse(body)
    if not isinstance(value, dict):
        text = body.decode() if odd.is_error(value) else ""
        raise UnusableAnswerError("the completion is not a JSON object", text=text)
    _check_parts(value, bytes(odd.usage(value)))
    read = _Completion(odd.choices(value), odd.usage(value), odd.text(value.get("service_tier")))
    return read, fields_of(body)


def read_chunks(events: list[bytes]) -> Iterator[Chunk]:
    """Yields the chunks that server-sent events contain.

    An event with an error or a notice (`Chunk.is_notice`) also becomes a chunk. All other events are skipped. Raises
    BrokenAnswerError if an event is damaged. The iteration can then continue with the next event.
    """
    # Decoding all events at once takes a fraction of the time of decoding each event. If an event breaks the schema,
    # each event is decoded separately below.
    whole = b"\n".join(events)
    try:
        check_utf8(whole)
        read = _CHUNK.decode_lines(whole)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        read = []
    if len(read) == len(events) == whole.count(b"\n") + 1:
        return map(_chunk, events, read)
    # A generator would end at the first damaged event.
    return filter(None, map(read_chunk, events))


def read_chunk(event: bytes) -> Chunk | None:
    """Returns the chunk that the data of an event contain.

    Returns None if the data contain neither a chunk nor an error nor a notice. Raises BrokenAnswerError if the event is
    damaged, because a part of the answer may be lost.
    """
    # The data of an event may have several lines, but the client gets the data on one line.
    data = type(event)(event.replace(b"\n", b" "))
    try:
        check_utf8(data)
        return _chunk(data, _CHUNK.decode(data))
    except UnicodeDecodeError:
        return read_chunk(type(data)(odd.repaired(data)))
    except (msgspec.DecodeError, RecursionError):
        return _odd_chunk(data)


def _chunk(data: bytes, read: _Chunk) -> Chunk:
    choices = read.choices
    if len(choices) == 1 and not read.usage and not read.error and read.x_groq is None:
        choice = choices[0]
        delta = choice.delta
        if delta is not None and choice.finish_reason is None and not choice.usage:
            text = delta.content
            other = delta.refusal or delta.reasoning_content or delta.reasoning or delta.tool_calls
            # Nearly all chunks of a stream contain nothing but a text. A chunk with an empty text may contain an error.
            if type(text) is str and text and text.isascii() and not (other or delta.function_call or delta.audio):
                tier = read.service_tier
                return Chunk(data, choices, read.model, _NOTHING, tier, None, (), len(text), True, False, is_text=True)
    has_error = bool(read.error) and odd.is_error({"error": msgspec.json.decode(read.error)})
    error = bytes(read.error).decode() if has_error else None
    usage = read.usage if read.x_groq is None else join_usage(read.x_groq.usage, read.usage)
    chunk = _chunk_of(data, read, usage, error)
    # A chunk that seems to be empty may contain an error or content in unusual fields, and a last chunk an error.
    if (not chunk.has_content or chunk.finished) and (
        _ODD.search(data)
        or not (choices or chunk.usage)
        or (choices and not chunk.has_content and (len(choices) > 1 or not _EMPTY_DELTA.search(data)))
    ):
        return _odd_chunk(data) or chunk
    return chunk


def _odd_chunk(data: bytes) -> Chunk | None:
    """Returns the chunk of an event that may break the schema of chunks, or None if the event is skipped."""
    is_error = isinstance(data, sse.ErrorData)
    if data.lstrip()[:1] not in (b"{", b"["):
        # The data are not JSON, but a text such as the heartbeat or the error message of a proxy.
        is_failure = is_error or b"error" in data.lower()
        return _failure(data, data.decode(), is_notice=not is_error) if is_failure else None
    value = odd.parse(data)
    if isinstance(value, list) and odd.is_error(value):
        # Google's endpoint wraps the error in a list.
        value = value[0]
    if not isinstance(value, dict):
        return _failure(data, value) if is_error else None
    usage = odd.usage(value)
    error = json.dumps(odd.error_in(value)) if odd.is_error(value) else None
    if not value.get("choices") and error is None and not usage:
        if is_error or odd.has_message(value):
            return _failure(data, odd.error_in(value), is_notice=not is_error)
        if "choices" not in value:
            return None
    model, tier = odd.text(value.get("model")), odd.text(value.get("service_tier"))
    return _chunk_of(data, _Chunk(odd.chunk_choices(value), model, service_tier=tier), usage, error)


def _failure(data: bytes, error: Any, *, is_notice: bool = False) -> Chunk:
    return Chunk(data, [], None, _NOTHING, None, json.dumps(error), (), 0, False, False, is_notice)


def _chunk_of(data: bytes, read: _Chunk, usage: Raw, error: str | None) -> Chunk:
    finished: list[int] = []
    if usage:
        usage = _on_one_line(usage)
    size, is_call, has_ids, failed = 0, False, False, None
    for choice in read.choices:
        if choice.finish_reason is not None and choice.finish_reason not in odd.NO_REASON:
            finished.append(choice.index)
            failed = choice.finish_reason if choice.finish_reason in odd.FAILED else failed
        if choice.usage:
            usage = join_usage(choice.usage, usage)
        if (delta := choice.delta) is not None:
            size += output_bytes(delta)
            is_call = is_call or bool(delta.tool_calls or delta.function_call or delta.audio)
            has_ids = has_ids or (delta.tool_calls is not None and any(call.id for call in delta.tool_calls))
    is_early_end = False
    if failed is not None and error is None:
        is_early_end, error = True, odd.early_end(failed)
    return Chunk(
        data, read.choices, read.model, usage, read.service_tier, error, finished, size, is_call or size > 0,
        has_ids, False, is_early_end,
    )  # fmt: skip


def _on_one_line(raw: Raw) -> Raw:
    """Returns JSON without line breaks, or an empty value if the JSON is null or an empty object.

    A log entry must be one line, and a chunk of a stream must be one line.
    """
    text = bytes(raw)
    if text in (b"", b"null", b"{}"):
        return _NOTHING
    line = one_line(text)
    return raw if line is text else Raw(line)
