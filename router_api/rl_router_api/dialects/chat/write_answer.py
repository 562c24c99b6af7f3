"""The answer to bytes: the last hop. What the target sent goes out as it is, with the client's model name, marked tool
call ids and `router_metadata`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from itertools import islice
from typing import Any, Self

import msgspec
from msgspec import Raw, Struct

from ...accounting.ledger import Ledger
from ...config import CallHistory
from ...encoding import encode
from ...errors import ApiError
from ...routing.route import Outcome
from .. import sse
from .affinity import mark_choices
from .read_answer import Chunk, Completion, read_chunk
from .read_request import ChatRequest
from .write_error import error_object

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_MOST_HELD = 100
_AT_ONCE = 64
"""Chunks of a replay that go out together."""
_NO_HEADER = re.compile(r"[^\x20-\x7e]")
"""What a header cannot hold; a router model may call itself anything."""


class Reply(Struct, frozen=True):
    """A whole response: status, headers and body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def completion_reply(outcome: Outcome, request: ChatRequest, ledger: Ledger, history: CallHistory) -> Reply:
    """A routed answer, whole."""
    if outcome.completion is None:
        raise ValueError("a whole reply needs a whole completion")
    fields: dict[str, Any] = dict(outcome.completion.fields)
    fields["model"] = request.model
    if outcome.target and [each for each in outcome.completion.choices if each.message and each.message.tool_calls]:
        fields["choices"] = mark_choices(fields["choices"], outcome.target)
    ledger.close()
    fields["router_metadata"] = metadata = ledger.metadata(history)
    headers = [
        *common_headers(ledger, JSON),
        (b"x-router-cost", str(metadata["total_cost"]).encode()),
    ]
    return Reply(200, headers, encode(fields))


def error_reply(error: ApiError, ledger: Ledger, history: CallHistory) -> Reply:
    """An error in OpenAI's shape; what was paid nevertheless stands beside it."""
    headers = common_headers(ledger, JSON)
    headers += [(name.encode(), value.encode()) for name, value in error.headers.items()]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after + 0.49))).encode()))
    if error.retryable is False:
        headers.append((b"x-should-retry", b"false"))
    return Reply(error.status, headers, encode(_error_body(error, ledger, history)))


def error_event(error: ApiError, ledger: Ledger, history: CallHistory) -> bytes:
    """The same inside a stream that has begun."""
    return sse.event(encode(_error_body(error, ledger, history)))


def common_headers(ledger: Ledger, content_type: bytes) -> list[tuple[bytes, bytes]]:
    """What every reply carries: request id, and the model whose answer it is."""
    headers = [(b"content-type", content_type), (b"x-request-id", ledger.request_id.encode())]
    if ledger.model_used:
        headers.append((b"x-router-model", _NO_HEADER.sub("?", ledger.model_used).encode()))
    return headers


async def stream_events(
    outcome: Outcome, request: ChatRequest, ledger: Ledger, history: CallHistory
) -> AsyncGenerator[bytes, None]:
    """The events of a streamed answer as they come, the metadata on the last chunk.

    Raises CallFailedError where it is cut.
    """
    rewriter = _Rewriter(request, outcome.target)
    holding = _Holding(include_usage=request.include_usage)
    async for chunks in outcome.stream or _Replay(_whole(outcome, request)):
        if going := list(holding.pass_on(chunks)):
            yield rewriter.events(going)
    ledger.close()
    bearer, *trailing = holding.end()
    ends = [rewriter.event(bearer, ledger.metadata(history)), *map(rewriter.event, trailing), sse.event(sse.DONE)]
    yield b"".join(ends)


def _whole(outcome: Outcome, request: ChatRequest) -> Iterable[Chunk]:
    return _as_chunks(outcome.completion, request) if outcome.completion else outcome.chunks


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
        usage_alone = not chunk.choices and chunk.reported is not None
        if usage_alone and not self._include_usage:
            return
        if 0 < len(self._held) < _MOST_HELD and not chunk.choices and not usage_alone:
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


class _Replay:
    """Chunks that are here already, as a stream."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = iter(chunks)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Chunk]:
        some = list(islice(self._chunks, _AT_ONCE))
        if not some:
            raise StopAsyncIteration
        return some


class _Rewriter:
    """Changes in a chunk what is ours to change, in the bytes where that is possible."""

    def __init__(self, request: ChatRequest, target: str | None) -> None:
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
                data = encode({name: raw for name, raw in _FIELDS.decode(data).items() if name != "router_metadata"})
            data = data.rstrip()[:-1] + b',"router_metadata":' + encode(metadata) + b"}"
        return sse.event(data)

    def _rewritten(self, chunk: Chunk) -> bytes:
        data = chunk.data
        if not chunk.has_tool_ids and (self._keep_usage or b'"usage"' not in data):
            replaced = self._with_model(data, chunk.model)
            if replaced is not None:
                return replaced
        fields: dict[str, Any] = dict(_FIELDS.decode(data))
        if "model" in fields:
            fields["model"] = Raw(self._model)
        if not self._keep_usage:
            fields.pop("usage", None)
        if chunk.has_tool_ids and self._target:
            fields["choices"] = mark_choices(fields["choices"], self._target)
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


def _as_chunks(completion: Completion, request: ChatRequest) -> list[Chunk]:
    """The router model's own words as a stream."""
    fields: dict[str, Any] = {
        name: completion.fields[name] for name in ("id", "created", "model") if name in completion.fields
    }
    fields["object"] = "chat.completion.chunk"
    text = msgspec.json.decode(completion.fields["choices"])[0]["message"]["content"]
    first = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    bodies = [{**fields, "choices": [first]}, {**fields, "choices": [last]}]
    if request.include_usage and completion.reported:
        bodies.append({**fields, "choices": [], "usage": completion.reported.raw})
    return [read_chunk(encode(body)) for body in bodies]


def _empty_chunk(last: Chunk | None) -> Chunk:
    """Something for the metadata to ride on, behind a target that never said why it stopped."""
    fields: dict[str, Any] = dict(_FIELDS.decode(last.data)) if last else {"object": "chat.completion.chunk"}
    fields.pop("usage", None)
    fields["choices"] = [{"index": 0, "delta": {}, "finish_reason": None}]
    return read_chunk(encode(fields))


def _error_body(error: ApiError, ledger: Ledger, history: CallHistory) -> dict[str, Any]:
    body: dict[str, Any] = {"error": error_object(error)}
    if ledger.target_calls or ledger.router_calls:
        body["router_metadata"] = ledger.metadata(history)
    return body
