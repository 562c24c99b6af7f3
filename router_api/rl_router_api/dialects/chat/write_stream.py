"""Writes a streamed answer: the target's own events, with `router_metadata` on the last of them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Raw

from ...conversation.answer import Answer, Chunk
from ...conversation.raw import OBJECT
from ...conversation.request import Request
from ...encoding import encode
from .. import sse
from .affinity import put_on
from .read_answer import read_chunk

_MAX_HELD = 100
"""Chunks that are held back behind the one that the metadata will ride on."""


async def write_stream(
    chunks: AsyncIterator[list[Chunk]], request: Request, target: str | None, metadata: Callable[[], dict[str, Any]]
) -> AsyncGenerator[bytes, None]:
    """Yields the events of a streamed answer as its chunks come.

    `metadata` is asked once the last chunk is here. Raises CallFailedError if the answer is cut.
    """
    rewriter = _Rewriter(request, target)
    holding = _Holding(include_usage=request.include_usage)
    async for some in chunks:
        if going := list(holding.pass_on(some)):
            yield rewriter.events(going)
    bearer, *trailing = holding.end()
    ends = [rewriter.event(bearer, metadata()), *map(rewriter.event, trailing), sse.event(sse.DONE)]
    yield b"".join(ends)


def as_chunks(answer: Answer, request: Request) -> list[Chunk]:
    """Returns a text of the router model's own as the chunks of a stream."""
    fields: dict[str, Any] = {name: answer.fields[name] for name in ("id", "created", "model") if name in answer.fields}
    fields["object"] = "chat.completion.chunk"
    text = msgspec.json.decode(answer.fields["choices"])[0]["message"]["content"]
    first = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    bodies = [{**fields, "choices": [first]}, {**fields, "choices": [last]}]
    if request.include_usage and answer.usage:
        bodies.append({**fields, "choices": [], "usage": answer.usage})
    return [read_chunk(encode(body)) for body in bodies]


class _Holding:
    """Holds back the chunk that the metadata will ride on, until it is known to be the last."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._held: list[Chunk] = []
        self._last: Chunk | None = None

    def pass_on(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Those that can go out now."""
        for chunk in chunks:
            self._last = chunk
            if chunk.choices and not self._held and not chunk.finished:
                yield chunk
            else:
                yield from self._weigh(chunk)

    def _weigh(self, chunk: Chunk) -> Iterator[Chunk]:
        usage_alone = not chunk.choices and bool(chunk.usage)
        if usage_alone and not self._include_usage:
            return
        if 0 < len(self._held) < _MAX_HELD and not chunk.choices and not usage_alone:
            # What trails the end, such as a filter's verdict, is not the chunk that the metadata belongs on.
            self._held.append(chunk)
            return
        yield from self._held
        self._held = [chunk] if chunk.finished or usage_alone else []
        if not self._held:
            yield chunk

    def end(self) -> list[Chunk]:
        """The chunk that the metadata rides on, and what trails it."""
        return self._held or [_empty_chunk(self._last)]


class _Rewriter:
    """Changes in a chunk what is ours to change, in the bytes where that is possible."""

    def __init__(self, request: Request, target: str | None) -> None:
        self._model = msgspec.json.encode(request.model)
        self._chunks_model: str | None = None
        self._old, self._new = b"", b""
        self._keep_usage = request.include_usage
        self._target = target

    def events(self, chunks: list[Chunk]) -> bytes:
        """Many, in one go where nothing but the model's name is to be changed."""
        first = b""
        if self._chunks_model is None:
            # How the target writes its model is seen from the first, if it does at all.
            first, chunks = self.event(chunks[0]), chunks[1:]
        if len(chunks) > 1:
            joined = b"\n\ndata: ".join([chunk.data for chunk in chunks])
            if self._is_plain(joined, chunks):
                return first + sse.event(joined.replace(self._old, self._new))
        return first + b"".join(map(self.event, chunks))

    def _is_plain(self, joined: bytes, chunks: list[Chunk]) -> bool:
        """Whether each chunk holds the known model's name once and no usage or tool calls."""
        if b'"usage"' in joined or b'"tool_calls"' in joined:
            return False
        known = {chunk.model for chunk in chunks} == {self._chunks_model}
        return known and joined.count(b'"model"') == joined.count(self._old) == len(chunks)

    def event(self, chunk: Chunk, metadata: dict[str, Any] | None = None) -> bytes:
        data = self._rewritten(chunk)
        if metadata is not None:
            if b'"router_metadata"' in data:
                # A target that is itself a router: its metadata gives way to ours.
                data = encode({name: raw for name, raw in OBJECT.decode(data).items() if name != "router_metadata"})
            data = data.rstrip()[:-1] + b',"router_metadata":' + encode(metadata) + b"}"
        return sse.event(data)

    def _rewritten(self, chunk: Chunk) -> bytes:
        data = chunk.data
        if not chunk.has_tool_ids and (self._keep_usage or b'"usage"' not in data):
            replaced = self._with_model(data, chunk.model)
            if replaced is not None:
                return replaced
        fields: dict[str, Any] = dict(OBJECT.decode(data))
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
            # Nearly always: a stream writes its model in one way.
            return data.replace(self._old, self._new, 1)
        found = re.search(rb'("model"\s*:\s*)' + re.escape(msgspec.json.encode(model)), data)
        if found is None:
            return None
        self._chunks_model, self._old, self._new = model, found[0], found[1] + self._model
        return data.replace(self._old, self._new, 1)


def _empty_chunk(last: Chunk | None) -> Chunk:
    """Something for the metadata to ride on, behind a target that never said why it stopped."""
    fields: dict[str, Any] = dict(OBJECT.decode(last.data)) if last else {"object": "chat.completion.chunk"}
    fields.pop("usage", None)
    fields["choices"] = [{"index": 0, "delta": {}, "finish_reason": None}]
    return read_chunk(encode(fields))
