"""Writes streamed answers. One of the last chunks of each answer contains the field `router_metadata`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
from msgspec import Raw

from ...conversation.answer import Answer, Chunk
from ...conversation.lenient import fields_of
from ...conversation.request import Request
from ...encoding import encode
from .. import sse
from .affinity import put_on
from .read_answer import read_chunk

_MAX_HELD = 100
"""The maximum number of chunks that the router holds back until the stream ends, including the chunk to which the
router adds the field `router_metadata`."""


_STANDARD = ("id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint",
             "obfuscation", "provider", "x_groq")  # fmt: skip
"""The names of the fields that a chunk may have if the chunk reports only the usage: OpenAI's fields, OpenRouter's
`provider`, and Groq's `x_groq`, which contains the usage."""
_EMPTY = (b"null", b'""', b"[]", b"{}")


async def write_stream(
    chunks: AsyncIterator[list[Chunk]], request: Request, target: str | None, metadata: Callable[[], dict[str, Any]]
) -> AsyncGenerator[bytes, None]:
    """Yields the server-sent events of a streamed answer as the answer's chunks arrive.

    The function `metadata` returns the value of the field `router_metadata`, and is called after the last chunk has
    arrived. Raises CallFailedError if the target's stream fails.
    """
    rewriter = _Rewriter(request, target)
    tail = _Tail(include_usage=request.include_usage)
    async for arrived in chunks:
        if ready := tail.feed(arrived):
            yield rewriter.events(ready)
    last, *trailing = tail.end()
    yield b"".join([rewriter.event(last, metadata()), *map(rewriter.event, trailing), sse.event(sse.DONE)])


def as_chunks(answer: Answer, request: Request) -> list[Chunk]:
    """Returns an answer of the router model as the chunks of a stream."""
    fields: dict[str, Any] = {name: answer.fields[name] for name in ("id", "created", "model") if name in answer.fields}
    fields["object"] = "chat.completion.chunk"
    text = msgspec.json.decode(answer.fields["choices"])[0]["message"]["content"]
    first = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    bodies = [{**fields, "choices": [first]}, {**fields, "choices": [last]}]
    if request.include_usage and answer.usage:
        bodies.append({**fields, "choices": [], "usage": answer.usage})
    return [_own_chunk(body) for body in bodies]


class _Tail:
    """Until the stream has ended, holds back the chunk that will contain the field `router_metadata`."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._held: list[Chunk] = []
        self._last: Chunk | None = None

    def feed(self, chunks: list[Chunk]) -> list[Chunk]:
        """Returns the chunks that can be sent to the client now, and stores other chunks for later.

        A chunk that contains only the usage is dropped if the client did not request the usage.
        """
        self._last = chunks[-1]
        ready: list[Chunk] = []
        for chunk in chunks:
            if chunk.choices and not chunk.finished and not self._held:
                ready.append(chunk)
            else:
                ready += self._hold_or_pass(chunk)
        return ready

    def _hold_or_pass(self, chunk: Chunk) -> Iterator[Chunk]:
        usage_alone = not chunk.choices and bool(chunk.usage) and self._include_usage
        if not chunk.choices and not self._include_usage and _reports_usage(chunk):
            # The other fields, such as llama.cpp's `timings`, go before the chunk with the metadata.
            if not _has_only_usage(chunk):
                yield chunk
            return
        if 0 < len(self._held) < _MAX_HELD and not (chunk.has_content or chunk.finished or usage_alone):
            # A chunk after the answer's end, such as a content filter's verdict, does not carry the metadata.
            self._held.append(chunk)
            return
        yield from self._held
        self._held = [chunk] if chunk.finished or usage_alone else []
        if not self._held:
            yield chunk

    def end(self) -> list[Chunk]:
        """Returns the chunk that will contain the field `router_metadata`, followed by the target's later chunks."""
        return self._held or [_empty_chunk(self._last)]


def _reports_usage(chunk: Chunk) -> bool:
    return bool(chunk.usage) or chunk.data.find(b'"usage"') >= 0


def _has_only_usage(chunk: Chunk) -> bool:
    """Returns whether a chunk that reports the usage has otherwise only standard or empty fields."""
    return all(name in _STANDARD or bytes(raw) in _EMPTY for name, raw in fields_of(chunk.data).items())


class _Rewriter:
    """Applies the router's changes to the chunks of a stream.

    If possible, the rewriter changes the bytes of a chunk without decoding the chunk.
    """

    def __init__(self, request: Request, target: str | None) -> None:
        self._model = msgspec.json.encode(request.model)
        self._chunks_model: str | None = None
        self._old, self._new = b"", b""
        self._keep_usage = request.include_usage
        self._target = target

    def events(self, chunks: list[Chunk]) -> bytes:
        """Returns the server-sent events of several chunks.

        If the function `_is_plain` returns True, only the model's name is replaced, in all events at once.
        """
        first = b""
        if self._chunks_model is None:
            # The first chunk shows how the target writes the model name, if the target writes a model name.
            first, chunks = self.event(chunks[0]), chunks[1:]
        if len(chunks) > 1:
            joined = b"\n\ndata: ".join([chunk.data for chunk in chunks])
            if self._is_plain(joined, chunks):
                return first + sse.event(joined.replace(self._old, self._new))
        return first + b"".join(map(self.event, chunks))

    def _is_plain(self, joined: bytes, chunks: list[Chunk]) -> bool:
        """Returns whether each chunk has the first chunk's model name exactly once, but no usage and no tool calls."""
        if not all(chunk.is_text for chunk in chunks) and (
            joined.find(b'"usage"') >= 0 or joined.find(b'"tool_calls"') >= 0
        ):
            return False
        known = {chunk.model for chunk in chunks} == {self._chunks_model}
        return known and joined.count(b'"model"') == joined.count(self._old) == len(chunks)

    def event(self, chunk: Chunk, metadata: dict[str, Any] | None = None) -> bytes:
        data = self._rewritten(chunk)
        if metadata is not None:
            if b'"router_metadata"' in data:
                # The target is itself an RL Router. This router's metadata replaces the target's metadata.
                data = encode({name: raw for name, raw in fields_of(data).items() if name != "router_metadata"})
            data = data.rstrip()[:-1] + b',"router_metadata":' + encode(metadata) + b"}"
        return sse.event(data)

    def _rewritten(self, chunk: Chunk) -> bytes:
        data = chunk.data
        if not chunk.has_tool_ids and (self._keep_usage or data.find(b'"usage"') < 0):
            replaced = self._with_model(data, chunk.model)
            if replaced is not None:
                return replaced
        fields: dict[str, Any] = dict(fields_of(data))
        if "model" in fields:
            fields["model"] = Raw(self._model)
        if not self._keep_usage:
            fields.pop("usage", None)
        if chunk.has_tool_ids and self._target:
            fields["choices"] = put_on(fields["choices"], self._target)
        return encode(fields)

    def _with_model(self, data: bytes, model: str | None) -> bytes | None:
        if model is None or data.count(b'"model"') != 1:
            return None
        if model == self._chunks_model and self._old in data:
            # This is the usual case, because a stream always writes its model name in the same way.
            return data.replace(self._old, self._new, 1)
        match = re.search(rb'("model"\s*:\s*)' + re.escape(msgspec.json.encode(model)), data)
        if match is None:
            return None
        self._chunks_model, self._old, self._new = model, match[0], match[1] + self._model
        return data.replace(self._old, self._new, 1)


def _empty_chunk(last: Chunk | None) -> Chunk:
    """Returns a new chunk without content, to which the router can add the field `router_metadata`.

    The router needs a new chunk if no chunk is held back, for example because no chunk has a `finish_reason`.
    """
    fields: dict[str, Any] = dict(fields_of(last.data)) if last else {"object": "chat.completion.chunk"}
    fields.pop("usage", None)
    fields["choices"] = [{"index": 0, "delta": {}, "finish_reason": None}]
    return _own_chunk(fields)


def _own_chunk(fields: dict[str, Any]) -> Chunk:
    """Returns a chunk that the router itself writes."""
    chunk = read_chunk(encode(fields))
    if chunk is None:
        raise ValueError(f"the chunk has only the fields {', '.join(fields)}. Add the field `choices`")
    return chunk
