"""Upstreams that tests script: small OpenAI-compatible servers on this machine, which misbehave where they are told to.

An answer is a coroutine function that writes to an `Exchange`; what it does to the connection is what the router sees.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

Body = dict[str, Any]

SILENCE = 0.4
"""Seconds without a byte after which the tests' targets count as silent."""
_TRICKLE = 0.02
_REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}


@dataclass
class Exchange:
    """One request that an upstream got, and the connection to answer on."""

    path: str
    headers: dict[str, str]
    """By lower-case name."""
    raw: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: int = 0
    """Bytes of the answer that left this side."""
    gone: bool = False
    """Whether the router dropped the connection before the answer had ended."""

    @cached_property
    def body(self) -> Body:
        return dict(json.loads(self.raw))

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def offered(self) -> list[str]:
        """The functions that a decision may call."""
        return [tool.get("function", {}).get("name", "") for tool in self.body.get("tools", ())]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)

    async def head(self, content_type: str, *, status: int = 200, length: int | None = None, **headers: str) -> None:
        """The status line and the headers; chunked where there is no length."""
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Some')}", f"Content-Type: {content_type}", framing]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def piece(self, data: bytes) -> None:
        """A piece of a chunked body."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    def reset(self) -> None:
        """Drops the connection with a reset instead of an end."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_dropped(self) -> None:
        """Says nothing more until the other side gives up."""
        await self.reader.read()
        self.gone = True


Answer = Callable[[Exchange], Awaitable[None]]


class Upstream:
    """A server whose completions are `answer`'s; `requests` are those it got since the rehearsal."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer: Answer = answer or polite
        self.requests: list[Exchange] = []
        self.rehearsing = False
        """While the router starts and asks how its upstreams are: everything is answered well, nothing is kept."""
        self.listing: Answer = whole({"object": "list", "data": [{"id": "listed-model", "max_model_len": 8192}]})
        self.listed: list[Exchange] = []
        self.connections = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def bodies(self) -> list[Body]:
        return [request.body for request in self.requests]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while not writer.is_closing() and (exchange := await _read(reader, writer)):
                await self._answer(exchange)
        except asyncio.CancelledError:
            pass
        finally:
            self.connections -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, exchange: Exchange) -> None:
        try:
            if exchange.path.partition("?")[0].endswith("/models"):
                self.listed.append(exchange)
                await self.listing(exchange)
            elif self.rehearsing:
                await polite(exchange)
            else:
                self.requests.append(exchange)
                await self.answer(exchange)
        except ConnectionError:
            exchange.gone = True


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Exchange(first.split(" ")[1], headers, raw, reader, writer)


def closed_port() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def encoded(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


# Answers of well-behaved upstreams.


def usage(prompt: int = 10, written: int = 5, **more: Any) -> Body:
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written, **more}


def completion(text: str | None = "Four.", *, used: Body | None = None, message: Body | None = None) -> Body:
    """A completion with one choice."""
    said = {"role": "assistant", "content": text, **(message or {})}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "upstream-model",
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
        "usage": used or usage(),
    }


def call(function: str, **arguments: Any) -> Body:
    """A call for a decision."""
    return {"id": f"dec_{function}", "type": "function", "function": {"name": function, "arguments": arguments}}


def decision(*calls: Body | str, used: Body | None = None) -> Body:
    """A completion of the router model that calls functions."""
    made = [call(each) if isinstance(each, str) else each for each in calls]
    as_text = [{**each, "function": {**each["function"], "arguments": json.dumps(each["function"]["arguments"])}}
               for each in made]  # fmt: skip
    decided = completion(None, used=used or usage(100, 20), message={"tool_calls": as_text})
    decided["choices"][0]["finish_reason"] = "tool_calls"
    return decided


def select(name: str) -> Body:
    return decision(call("select_response", call_id=name))


def said(text: str) -> Body:
    """A completion of the router model that is text alone."""
    return completion(text, used=usage(100, 20))


def chunk(delta: Body, finish: str | None = None, index: int = 0) -> Body:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {**_CHUNK, "choices": [choice]}


_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "upstream-model"}


def chunks(*texts: str, used: Body | None = None) -> list[Body]:
    """A whole stream: the texts, the end, and the usage."""
    first = chunk({"role": "assistant", "content": ""})
    end = [chunk({}, "stop"), {**_CHUNK, "choices": [], "usage": used or usage()}]
    return [first, *[chunk({"content": text}) for text in texts or ("Fo", "ur.")], *end]


def event(data: Body | bytes) -> bytes:
    return b"data: " + encoded(data) + b"\n\n"


def whole(body: object, *, status: int = 200, content_type: str = "application/json", **headers: str) -> Answer:
    """An answer with its length."""

    async def answer(exchange: Exchange) -> None:
        data = encoded(body)
        await exchange.head(content_type, status=status, length=len(data), **headers)
        await exchange.send(data)

    return answer


def stream(pieces: Sequence[Body | bytes], *, done: bool = True) -> Answer:
    """An event stream, an event a piece."""

    async def answer(exchange: Exchange) -> None:
        await exchange.head("text/event-stream")
        for piece in pieces:
            await exchange.piece(event(piece))
        if done:
            await exchange.piece(event(b"[DONE]"))
        await exchange.end()

    return answer


def text(words: str = "Four.", used: Body | None = None) -> Answer:
    """The same answer, streamed or not as it was asked for."""

    async def answer(exchange: Exchange) -> None:
        made = stream(chunks(words, used=used)) if exchange.streamed else whole(completion(words, used=used))
        await made(exchange)

    return answer


def in_turn(*answers: Answer | Body) -> Answer:
    """One answer after the other, a dict as a whole completion; the last one stays."""
    left = [each if callable(each) else whole(each) for each in answers]

    async def answer(exchange: Exchange) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(exchange)

    return answer


def by(choose: Callable[[Exchange], Answer | Body]) -> Answer:
    """What `choose` says for each request."""

    async def answer(exchange: Exchange) -> None:
        chosen = choose(exchange)
        await (chosen if callable(chosen) else whole(chosen))(exchange)

    return answer


def decided(exchange: Exchange, by_schema: Callable[[list[Body]], Body] | None = None) -> Body:
    """A sensible decision: the last good answer once there is one, else the first model that is offered."""
    if "response_format" in exchange.body:
        return said(json.dumps(_by_schema(exchange.body["response_format"]["json_schema"]["schema"])))
    if "select_response" in exchange.offered:
        results = [json.loads(each["content"]) for each in exchange.body["messages"] if each["role"] == "tool"]
        good = [each["call_id"] for each in results if "answer" in each]
        return select(good[-1])
    return decision(exchange.offered[0])


def _by_schema(schema: Body) -> Body:
    forms = schema.get("anyOf", [schema])
    names = {name: values for form in forms for name, values in form["properties"].items()}
    name = "select" if "select" in names else "ask"
    values = names[name].get("enum") or [names[name]["const"]]
    return {name: values[-1] if name == "select" else values[0]}


async def polite(exchange: Exchange) -> None:
    """As a router model decides, and as a target answers."""
    deciding = bool(exchange.offered) and all(name.startswith(("call_", "select_")) for name in exchange.offered)
    asked_by_schema = exchange.body.get("response_format", {}).get("json_schema", {}).get("name") == "decision"
    made = whole(decided(exchange)) if deciding or asked_by_schema else text()
    await made(exchange)


# Faults.


async def hang(exchange: Exchange) -> None:
    """Takes the request and never says a word."""
    await exchange.until_dropped()


async def reset(exchange: Exchange) -> None:
    """A reset before the first byte."""
    exchange.reset()


def error(status: int, message: str, *, code: str | None = None, param: str | None = None, **headers: str) -> Answer:
    """An error in OpenAI's shape."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    return whole(body, status=status, **headers)


def html(status: int) -> Answer:
    return whole(b"<html><body>a gateway's page with sk-secret</body></html>", status=status, content_type="text/html")


def cut_after(pieces: Iterable[bytes], then: Callable[[Exchange], Awaitable[None]]) -> Answer:
    """A stream that begins well; `then` ends it."""

    async def answer(exchange: Exchange) -> None:
        await exchange.head("text/event-stream")
        for piece in pieces:
            await exchange.piece(piece)
        # A reset may overtake what was sent before it.
        await asyncio.sleep(_TRICKLE)
        await then(exchange)

    return answer


async def half_a_body_then(exchange: Exchange, then: Callable[[Exchange], Awaitable[None]]) -> None:
    """Half of a completion, its length announced."""
    data = encoded(completion())
    await exchange.head("application/json", length=len(data))
    await exchange.send(data[: len(data) // 2])
    await asyncio.sleep(_TRICKLE)
    await then(exchange)


def trickle(pieces: int) -> Answer:
    """An answer in many small pieces; all in all it takes longer than the silence that is allowed."""

    async def answer(exchange: Exchange) -> None:
        if exchange.streamed:
            await exchange.head("text/event-stream")
            data = b"".join(map(event, [*chunks(), b"[DONE]"]))
        else:
            await exchange.head("application/json")
            data = encoded(completion())
        size = len(data) // pieces + 1
        for start in range(0, len(data), size):
            await exchange.piece(data[start : start + size])
            await asyncio.sleep(_TRICKLE)
        await exchange.end()

    return answer


async def huge(exchange: Exchange) -> None:
    """50 MB, with their length, of what might still become a completion; in a stream one event."""
    part, count = b"a" * 1_000_000, 50
    start = event(chunk({"content": ""}))[:-4] if exchange.streamed else encoded(completion())[:-2]
    start += b',"padding":"'
    kind = "text/event-stream" if exchange.streamed else "application/json"
    await exchange.head(kind, length=len(start) + len(part) * count)
    await exchange.send(start)
    for _ in range(count):
        await exchange.send(part)
