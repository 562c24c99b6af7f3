"""How an HTTP connection handles clients that are slow, endless or send invalid bytes."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
import uvicorn
from rl_router_api.http1.request_response import EXTENSION
from rl_router_api.server.connection import ApiConnection
from stages import until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MOST = 64 * 1024
_SMALL = 32 * 1024
LARGE = 2 * 1024 * 1024


class Hasty(ApiConnection):
    headers_timeout: ClassVar[float] = 0.15
    write_timeout: ClassVar[float] = 0.45


class Patient(Hasty):
    write_timeout: ClassVar[float] = 1.0


class Connection:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer, which has a length."""
        head = (await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
        headers = dict(line.lower().split(": ", 1) for line in head.strip().split("\r\n")[1:])
        return int(head.split(" ")[1]), await self._reader.readexactly(int(headers["content-length"]))

    async def take(self, size: int) -> bytes:
        """Reads that much and no more."""
        return await asyncio.wait_for(self._reader.readexactly(size), 10)

    async def leave(self) -> None:
        self._writer.transport.abort()

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        return await asyncio.wait_for(self._reader.read(), 10)

    @property
    def ended(self) -> bool:
        """Whether the server closed."""
        return self._reader.at_eof()

    async def closed(self) -> None:
        """Waits until the server closes; nothing may come before."""
        assert await asyncio.wait_for(self._reader.read(), 10) == b""


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the request's body."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served(
    connection_class: type[ApiConnection], app: Any = echo
) -> AsyncIterator[Callable[[], Awaitable[Connection]]]:
    """Runs a server with that connection class. Yields a function that opens connections to it."""
    config = uvicorn.Config(app, http=connection_class, ws="none", lifespan="off", log_config=None)
    config.load()
    state = uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: connection_class(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    # What the kernel keeps for a client that takes nothing would hide it from the server for long.
    listening.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL)
    address, writers = listening.sockets[0].getsockname(), list[asyncio.StreamWriter]()

    async def connect() -> Connection:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        client.setblocking(False)
        await loop.sock_connect(client, address)
        reader, writer = await asyncio.open_connection(sock=client, limit=_SMALL)
        writers.append(writer)
        return Connection(reader, writer)

    yield connect
    for writer in writers:
        writer.transport.abort()
    await until(lambda: not state.connections, "the end of every connection")
    listening.close()


def with_headers(size: int) -> bytes:
    """The beginning of a request with headers of that size, which do not end."""
    return REQUEST[:-2] + b"X-Large: " + b"a" * size


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["endless", "whole"])
@pytest.mark.parametrize("before", [0, 1], ids=["at once", "after another request"])
async def test_headers_over_64_kib_are_refused_as_openai_would(end: bytes, before: int) -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        for _ in range(before):
            await client.send(REQUEST)
            assert await client.answer() == (200, b"")
        await client.send(with_headers(MOST) + end)
        status, body = await client.answer()
        assert status == 431
        error = json.loads(body)["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert (error["type"], error["code"]) == ("invalid_request_error", "headers_too_large")
        await client.closed()


async def test_headers_of_nearly_64_kib_with_a_body_behind_them_are_taken() -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        body = b"b" * MOST
        await client.send(with_headers(MOST - 200) + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert await client.answer() == (200, body)


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
FRAMING = {
    "many trailers": (b"0\r\n", b"a:\r\n" * 256),
    "a trailer's endless name": (b"0\r\n", b"a" * 1024),
    "a trailer's endless value": (b"0\r\nX: ", b"a" * 1024),
    "trailers behind a part of the body": (b"4\r\nbody\r\n0\r\n", b"a:\r\n" * 256),
    "a chunk's endless extension": (b"1;", b"a" * 1024),
    "many extensions of a chunk": (b"1", b";a=b" * 256),
    "an extension's endless quoted value": (b'1;a="', b"a" * 1024),
    "a size with leading zeros": (b"", b"0" * 1024),
    "an extension of a later chunk": (b"4\r\nbody\r\n1;", b"a" * 1024),
}
"""How a chunked body can be framed without an end: how it begins, and what follows again and again."""


@pytest.mark.parametrize(("begun", "more"), FRAMING.values(), ids=FRAMING)
async def test_a_body_is_framed_with_64_kib_at_most(begun: bytes, more: bytes) -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        # What comes in one segment with headers or with a part of the body is not counted.
        for part, pause in ((CHUNKED + begun, 0.02), (more * 63, 0.02), (more * 2, 0)):
            assert not client.ended
            await client.send(part)
            await asyncio.sleep(pause)
        status, body = await client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_http")
        await client.closed()


@pytest.mark.parametrize(("begun", "more"), FRAMING.values(), ids=FRAMING)
async def test_a_request_that_was_answered_early_is_framed_with_64_kib_at_most(begun: bytes, more: bytes) -> None:
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with served(ApiConnection, refusing) as connect:
        client = await connect()
        await client.send(CHUNKED)
        assert await client.answer() == (401, b"")
        await client.send(begun + more * 65)
        # A second reply to one request would be taken for the next one's.
        await client.closed()


async def test_what_is_wrong_behind_a_request_is_not_told_within_its_reply() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        begun.set()
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"b"})

    async with served(ApiConnection, slow) as connect:
        client = await connect()
        await client.send(REQUEST)
        await begun.wait()
        await client.send(b"no request\r\n\r\n")
        await asyncio.sleep(0.02)
        go_on.set()
        assert (await client.rest()).endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "wrong", [b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", b"no request\r\n\r\n", with_headers(2 * MOST) + b"\r\n\r\n"],
    ids=["no address", "no request", "large headers"],
)  # fmt: skip
async def test_what_is_wrong_behind_a_request_leaves_that_requests_answer_alone(wrong: bytes) -> None:
    go_on = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await echo(scope, receive, send)

    async with served(ApiConnection, slow) as connect:
        client = await connect()
        await client.send(REQUEST + wrong + REQUEST)
        await asyncio.sleep(0.02)
        go_on.set()
        assert await client.answer() == (200, b"")
        await client.closed()


async def test_an_address_that_is_none_is_refused() -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        await client.send(b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer())[0] == 400
        await client.closed()


@pytest.mark.parametrize("offer", [b"", b"Connection: Upgrade\r\nUpgrade: x\r\n"], ids=["plain", "upgrade"])
async def test_requests_without_an_end_in_one_segment_are_answered_up_to_a_bound(offer: bytes) -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        await client.send((REQUEST[:-2] + offer + b"\r\n") * 400)
        answered = (await client.rest()).count(b"HTTP/1.1 200 OK")
        assert 100 <= answered <= 110


async def test_empty_lines_without_an_end_are_cut_off_as_headers_are() -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        await client.send(b"\r\n" * (MOST // 2 + 1))
        assert (await client.answer())[0] == 431
        await client.closed()


async def test_a_body_in_many_small_chunks_is_taken() -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        await client.send(CHUNKED + b"1;a=b\r\nx\r\n" * (MOST // 4) + b"0\r\nX-Trailer: 1\r\n\r\n" + REQUEST)
        assert await client.answer() == (200, b"x" * (MOST // 4))
        assert await client.answer() == (200, b"")


async def test_trailers_are_dropped() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.extend(scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with served(ApiConnection, reading) as connect:
        client = await connect()
        trailers = b"Authorization: Bearer key\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n\r\n"
        await client.send(CHUNKED + b"4\r\nbody\r\n0\r\n" + trailers)
        assert await client.answer() == (200, b"")
    assert seen == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize("sent", [REQUEST, CHUNKED + b"0\r\n" + b"a:\r\n" * MOST, b"no request\r\n\r\n", REQUEST[:9]])
async def test_a_connection_that_ended_leaves_nothing_to_the_garbage_collector(sent: bytes) -> None:
    made = list[weakref.ref[ApiConnection]]()

    class Noted(ApiConnection):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            made.append(weakref.ref(self))

    gc.disable()
    try:
        async with served(Noted) as connect:
            client = await connect()
            await client.send(sent)
            await asyncio.sleep(0.02)
            await client.leave()
        await until(lambda: made and made[0]() is None, "the end of the connection's memory")
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01 is a TLS handshake\r\n\r\n", b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"],
    ids=["TLS", "a tunnel"],
)
async def test_what_is_no_request_is_refused_as_openai_would(sent: bytes) -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        await client.send(sent)
        status, body = await client.answer()
        assert status == 400
        assert json.loads(body)["error"]["code"] == "invalid_http"
        await client.closed()


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET", REQUEST[:-2]])
async def test_a_connection_whose_headers_do_not_come_is_closed(begun: bytes) -> None:
    async with served(Hasty) as connect:
        client = await connect()
        await client.send(begun)
        await client.closed()


@pytest.mark.parametrize("begun", [b"\r\n", b"G", REQUEST[:-2]])
async def test_a_connection_is_closed_too_where_a_later_requests_headers_do_not_come(begun: bytes) -> None:
    async with served(Hasty) as connect:
        client = await connect()
        await client.send(REQUEST)
        assert await client.answer() == (200, b"")
        await client.send(begun)
        await client.closed()


async def test_headers_that_begin_behind_another_request_are_waited_for_as_long() -> None:
    async with served(Hasty) as connect:
        client = await connect()
        await client.send(REQUEST + REQUEST[:10])
        assert await client.answer() == (200, b"")
        await client.closed()


async def test_an_idle_connection_is_kept_for_further_requests() -> None:
    async with served(Hasty) as connect:
        client, watch = await connect(), await connect()
        await client.send(REQUEST)
        assert await client.answer() == (200, b"")
        # By the time this one is closed, the other one has been idle for longer than headers may take.
        await watch.closed()
        second = await connect()
        await second.closed()
        await client.send(REQUEST)
        assert await client.answer() == (200, b"")


async def test_a_body_may_take_longer_than_headers() -> None:
    async with served(Hasty) as connect:
        client = await connect()
        await client.send(REQUEST[:-2] + b"Content-Length: 4\r\n\r\n")
        for part in (b"sl", b"ow"):
            watch = await connect()
            await watch.closed()
            await client.send(part)
        assert await client.answer() == (200, b"slow")


async def test_requests_may_follow_each_other_without_waiting() -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na" * 3 + REQUEST)
        assert [await client.answer() for _ in range(4)] == [(200, b"a")] * 3 + [(200, b"")]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_request_that_offers_another_protocol_is_answered_in_this_one(at_once: bool) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    head, body = REQUEST[:-2].replace(b"GET", b"POST") + offer + b"Content-Length: 4\r\n\r\n", b"body"
    async with served(ApiConnection) as connect:
        client = await connect()
        for _ in range(2):
            for part in [head + body] if at_once else [head[:-40], head[-40:], body[:1], body[1:]]:
                await client.send(part)
                await asyncio.sleep(0.01)
            assert await client.answer() == (200, body)


async def test_a_stream_ends_when_its_client_leaves_even_where_that_has_sent_another_request() -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"][EXTENSION].watch(gone.set)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.is_set():
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            begun.set()
            await asyncio.sleep(0.001)

    async with served(ApiConnection, endless) as connect:
        client = await connect()
        await client.send(REQUEST * 2)
        await begun.wait()
        await client.leave()
        await asyncio.wait_for(gone.wait(), 10)


async def test_a_client_that_takes_nothing_of_its_answer_is_dropped() -> None:
    gone = asyncio.Event()

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2):
            await send({"type": "http.response.body", "body": b"a" * LARGE, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with served(Hasty, large) as connect:
        client = await connect()
        await client.send(REQUEST)
        await asyncio.wait_for(gone.wait(), 10)


async def test_a_client_that_takes_its_answer_slowly_gets_all_of_it() -> None:
    async with served(Patient) as connect:
        client = await connect()
        body = b"b" * LARGE
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert b"200 OK" in await client.take(100)
        taken = 100
        # Until the last of these is closed it takes longer than a client may take nothing.
        for _ in range(8):
            watch = await connect()
            await watch.closed()
            taken += len(await client.take(LARGE // 8 - 100))
        assert taken > LARGE - 1_000


async def test_a_byte_of_the_headers_now_and_then_gives_them_no_more_time() -> None:
    async with served(Hasty) as connect:
        client = await connect()
        await client.send(REQUEST[:5])
        for each in range(5, len(REQUEST) - 1):
            if client.ended:
                return
            await client.send(REQUEST[each : each + 1])
            await asyncio.sleep(0.05)
        pytest.fail("the connection outlived what its headers may take")


async def test_a_client_that_asks_first_is_told_to_send_its_body() -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await client.take(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"ok")
        assert await client.answer() == (200, b"ok")


async def chunked(scope: Any, receive: Any, send: Any) -> None:
    """Answers with two parts and no length."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b"})


async def test_an_answer_without_a_length_goes_out_in_chunks() -> None:
    async with served(ApiConnection, chunked) as connect:
        client = await connect()
        await client.send(REQUEST[:-2] + b"Connection: close\r\n\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert body == b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"


async def test_to_an_old_client_an_answer_without_a_length_ends_with_the_connection() -> None:
    async with served(ApiConnection, chunked) as connect:
        client = await connect()
        await client.send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert (b"transfer-encoding" in head, body) == (False, b"ab")


async def test_a_head_request_gets_no_body() -> None:
    async with served(ApiConnection) as connect:
        client = await connect()
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        assert (await client.rest()).endswith(b"content-length: 2\r\nconnection: close\r\n\r\n")


async def test_no_header_can_begin_another_line() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1\r\nx-b: 2")]})
        await send({"type": "http.response.body", "body": b""})

    async with served(ApiConnection, broken) as connect:
        client = await connect()
        await client.send(REQUEST)
        status, _ = await client.answer()
        assert status == 500
        await client.closed()


async def test_an_answer_that_the_application_does_not_finish_ends_the_connection() -> None:
    async def unfinished(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError

    async with served(ApiConnection, unfinished) as connect:
        client = await connect()
        await client.send(REQUEST)
        assert (await client.rest()).endswith(b"\r\n\r\nhalf")
