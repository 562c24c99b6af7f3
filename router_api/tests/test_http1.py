"""HTTP/1.1 connections of clients that are slow, never stop sending, or send invalid bytes."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.http1.deadlines import Deadlines
from rl_router_api.http1.reader import RequestReader
from rl_router_api.http1.request_response import EXTENSION
from rl_router_api.server.connection import ApiConnection

from fakes.testbed.framing import ENDLESS_FRAMING
from fakes.testbed.http1 import RawClient, http1_server
from fakes.testbed.responses import ERROR_FIELDS
from fakes.testbed.waiting import until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LIMIT = 64 * 1024
"""The maximum size in bytes of headers, and of the framing of a body."""
LARGE = 2 * 1024 * 1024


class ShortTimeouts(ApiConnection):
    headers_timeout: ClassVar[float] = 0.15
    write_timeout: ClassVar[float] = 0.45
    linger: ClassVar[float] = 0.05


class LongerWriteTimeout(ShortTimeouts):
    write_timeout: ClassVar[float] = 1.0


def recorded(connections: list[ApiConnection]) -> type[ApiConnection]:
    """Returns a kind of connection of which each new connection is added to `connections`."""

    class Recorded(ApiConnection):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            connections.append(self)

    return Recorded


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


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answers before the request's body is complete."""
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def with_headers(size: int) -> bytes:
    """Returns the beginning of a request with unfinished headers of that size in bytes."""
    return REQUEST[:-2] + b"X-Large: " + b"a" * size


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["endless", "whole"])
@pytest.mark.parametrize("before", [0, 1], ids=["at once", "after another request"])
async def test_headers_over_64_kib_are_a_431_with_openais_error(end: bytes, before: int) -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        for _ in range(before):
            await client.send(REQUEST)
            assert await client.answer() == (200, b"")
        await client.send(with_headers(LIMIT) + end)
        status, body = await client.answer()
        assert status == 431
        error = json.loads(body)["error"]
        assert error.keys() == ERROR_FIELDS
        assert (error["type"], error["code"]) == ("invalid_request_error", "headers_too_large")
        await client.until_closed()


async def test_headers_of_nearly_64_kib_with_a_body_are_accepted() -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        body = b"b" * LIMIT
        await client.send(with_headers(LIMIT - 200) + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert await client.answer() == (200, body)


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(("begun", "more"), ENDLESS_FRAMING.values(), ids=ENDLESS_FRAMING)
async def test_the_framing_of_a_body_may_have_64_kib(begun: bytes, more: bytes) -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        # Bytes in one segment with headers or with a part of the body are not counted.
        for part, pause in ((CHUNKED + begun, 0.02), (more * 63, 0.02), (more * 2, 0)):
            assert not client.ended
            await client.send(part)
            await asyncio.sleep(pause)
        status, body = await client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_http")
        await client.until_closed()


@pytest.mark.parametrize(("begun", "more"), ENDLESS_FRAMING.values(), ids=ENDLESS_FRAMING)
async def test_the_framing_of_a_request_that_was_answered_early_may_have_64_kib(begun: bytes, more: bytes) -> None:
    async with http1_server(ApiConnection, refuse) as connect:
        client = await connect()
        await client.send(CHUNKED)
        assert await client.answer() == (401, b"")
        await client.send(begun + more * 65)
        # The client would take a second response for the response to its next request.
        await client.until_closed()


@pytest.mark.parametrize(
    ("begun", "status"),
    [(CHUNKED + b"x\r\n", 400), (REQUEST[:-2] + b"Connection: close\r\nContent-Length: 9999999\r\n\r\n", 401)],
    ids=["an error in the body", "an early answer"],
)
async def test_a_client_that_still_sends_its_body_receives_the_last_response(begun: bytes, status: int) -> None:
    async with http1_server(ApiConnection, refuse) as connect:
        client = await connect()
        for part in (begun, *[b"a" * 65_536] * 20):
            await client.send(part)
            await asyncio.sleep(0)
        assert (await client.answer())[0] == status
        await client.until_closed()


async def test_a_client_that_never_stops_sending_is_disconnected_after_its_last_response() -> None:
    async with http1_server(ShortTimeouts, echo) as connect:
        client = await connect()
        with pytest.raises(ConnectionError):
            while True:
                await client.send(b"no request\r\n\r\n")
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("headers", [b"", b"Connection: close\r\n"])
async def test_a_client_that_closes_its_sending_side_after_the_request_receives_its_response(headers: bytes) -> None:
    begun, released = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await released.wait()
        await echo(scope, receive, send)

    async with http1_server(ApiConnection, slow) as connect:
        client = await connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + headers + b"Content-Length: 2\r\n\r\nhi")
        await begun.wait()
        await client.close_sending_side()
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await client.read(2 * len(interim)) == 2 * interim
        released.set()
        received = (await client.rest()).replace(interim, b"")
    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"\r\n\r\nhi")


@pytest.mark.parametrize("rest", [b"GET / HTTP/1.1\r\nHo", b"\r\n"])
async def test_a_request_that_begins_in_a_large_segment_must_be_completed_in_time(rest: bytes) -> None:
    async with http1_server(ShortTimeouts, echo) as connect:
        client = await connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Padding: " + b"a" * 3_000 + b"\r\n\r\n" + rest)
        assert (await client.answer())[0] == 200
        await client.rest()


async def test_pipelined_requests_are_read_only_when_the_earlier_ones_are_answered() -> None:
    connections = list[ApiConnection]()
    async with http1_server(recorded(connections), echo) as connect:
        client = await connect()
        most = 0
        for _ in range(200):
            await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" * 25)
            for _ in range(5):
                assert (await client.answer())[0] == 200
            most = max(most, len(connections[0]._pipeline.waiting))
    assert most <= 200


@pytest.mark.parametrize("line_breaks", [b"", b"\r\n", b"\r\n\r\n"])
async def test_a_client_that_closes_its_connection_is_disconnected_before_its_response_begins(
    line_breaks: bytes,
) -> None:
    begun, disconnected = asyncio.Event(), asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        begun.set()
        assert (await receive())["type"] == "http.disconnect"
        disconnected.set()

    async with http1_server(ApiConnection, endless) as connect:
        client = await connect()
        body = b"a" * 3_000
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n" + body + line_breaks)
        await begun.wait()
        client.close()
        await asyncio.wait_for(disconnected.wait(), 30)


LATER = {
    "a request": REQUEST,
    "two requests": REQUEST * 2,
    "line breaks and a request": b"\r\n" + REQUEST,
    "the begin of a request": REQUEST[:9],
    "the begin of a body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1",
    "a large body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"1" * 60_000,
    "many requests": REQUEST * 3_000,
}


@pytest.mark.parametrize("later", LATER.values(), ids=LATER)
@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_client_that_leaves_after_a_part_of_its_next_request_is_disconnected_in_a_second(
    how: str, later: bytes
) -> None:
    begun, disconnected = asyncio.Event(), asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"][EXTENSION].watch(disconnected.set)
        begun.set()
        await disconnected.wait()

    async with http1_server(ApiConnection, endless) as connect:
        client = await connect()
        sending = asyncio.create_task(client.send(REQUEST + later))
        await begun.wait()
        await asyncio.sleep(0.05)
        sending.cancel()
        client.close() if how == "end" and len(later) < LIMIT else await client.leave()
        await asyncio.wait_for(disconnected.wait(), 1)
        await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize("count", [2, 3])
async def test_a_client_that_closes_its_sending_side_after_pipelined_requests_receives_all_responses(
    count: int,
) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.5)
        await echo(scope, receive, send)

    async with http1_server(ApiConnection, slow) as connect:
        client = await connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" * count)
        await client.close_sending_side()
        received = await client.rest()
    assert received.count(interim) == count
    assert received.count(b"HTTP/1.1 200") == received.count(b"\r\n\r\nhi") == count


async def test_an_error_about_later_bytes_is_not_sent_within_a_running_response() -> None:
    begun, released = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        begun.set()
        await released.wait()
        await send({"type": "http.response.body", "body": b"b"})

    async with http1_server(ApiConnection, slow) as connect:
        client = await connect()
        await client.send(REQUEST)
        await begun.wait()
        await client.send(b"no request\r\n\r\n")
        await asyncio.sleep(0.02)
        released.set()
        assert (await client.rest()).endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "invalid",
    [b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", b"no request\r\n\r\n", with_headers(2 * LIMIT) + b"\r\n\r\n"],
    ids=["invalid address", "no request", "large headers"],
)  # fmt: skip
async def test_invalid_bytes_after_a_request_do_not_change_its_response(invalid: bytes) -> None:
    released = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await released.wait()
        await echo(scope, receive, send)

    async with http1_server(ApiConnection, slow) as connect:
        client = await connect()
        await client.send(REQUEST + invalid + REQUEST)
        await asyncio.sleep(0.02)
        released.set()
        assert await client.answer() == (200, b"")
        # Only bytes that were not parsed before this response get a response themselves.
        assert (await client.rest())[:12] == (b"HTTP/1.1 431" if len(invalid) > LIMIT else b"")


async def test_an_invalid_address_is_refused() -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await client.send(b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer())[0] == 400
        await client.until_closed()


@pytest.mark.parametrize("offer", [b"", b"Connection: Upgrade\r\nUpgrade: x\r\n"], ids=["plain", "upgrade"])
async def test_all_requests_of_a_large_segment_are_answered(offer: bytes) -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await client.send((REQUEST[:-2] + offer + b"\r\n") * 4_000)
        for _ in range(4_000):
            assert await client.answer() == (200, b"")


SHORT_HEADERS = {"at once": [b"a:\r\n" * 300 + b"\r\n"], "in many pieces": [b"a:\r\n" * 10] * 30}


@pytest.mark.parametrize("pieces", SHORT_HEADERS.values(), ids=SHORT_HEADERS)
@pytest.mark.parametrize("before", [0, 1], ids=["first request", "second request"])
async def test_over_256_headers_are_a_431(pieces: list[bytes], before: int) -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        for _ in range(before):
            await client.send(REQUEST)
            assert await client.answer() == (200, b"")
        for piece in [REQUEST[:-2], *pieces]:
            await client.send(piece)
        status, body = await client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (431, "headers_too_large")


async def test_256_headers_are_accepted() -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        for piece in [REQUEST[:-2], *[b"a:\r\n" * 51] * 5, b"\r\n"]:
            await client.send(piece)
        assert await client.answer() == (200, b"")


PIPELINED = {
    "without a body": REQUEST,
    "with a length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n\r\n\r\nbody\n",
    "with a long body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n" + b"b\r\n\r\n..cd" * 1_000,
    "chunked": CHUNKED + b"4\r\n\r\n\r\n\r\n5\r\nbody\n\r\n0\r\n\r\n",
    "chunked with a trailer": CHUNKED + b"9\r\n\r\n\r\nbody\n\r\n0\r\nA: b\r\n\r\n",
    "with empty lines before it": b"\r\n\r\n" + REQUEST,
    "with an upgrade and a body": b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
    b"Content-Length: 9\r\n\r\n\r\n\r\nbody\n",
}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(sorted(PIPELINED)), min_size=1, max_size=60), st.sampled_from([1_000, 2_600, 50_000]))
async def test_pipelined_requests_are_answered_in_order_in_segments_of_any_size(kinds: list[str], size: int) -> None:
    bodies = {"with a long body": b"b\r\n\r\n..cd" * 1_000}
    sent = b"".join(PIPELINED[kind] for kind in kinds)
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        sending = asyncio.create_task(send_in_pieces(client, sent, size))
        for kind in kinds:
            empty = kind in ("without a body", "with empty lines before it")
            assert await client.answer() == (200, bodies.get(kind, b"" if empty else b"\r\n\r\nbody\n"))
        await sending


async def send_in_pieces(client: RawClient, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        await client.send(data[start : start + size])
        await asyncio.sleep(0)


async def test_a_large_segment_may_begin_anywhere_in_the_headers_of_a_waiting_request() -> None:
    released, connections = asyncio.Event(), list[ApiConnection]()

    async def headers(scope: Any, receive: Any, send: Any) -> None:
        await released.wait()
        answer = b"\n".join([b": ".join(field) for field in scope["headers"]])
        length = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": answer})

    head = b"POST / HTTP/1.1\r\nHost: x\r\nA: b\r\nContent-Length: 3010\r\n\r\n"
    body = b"Authorization: c\r\n\r\n".ljust(3010, b"d")
    async with http1_server(recorded(connections), headers) as connect:
        for cut in range(1, len(head)):
            released.clear()
            client = await connect()
            await client.send(REQUEST + head[:cut])
            await until(lambda: connections and connections[-1]._reader.overhead, "the first segment")
            await client.send(head[cut:] + body)
            await until(lambda: connections[-1]._reader.unread, "the second segment")
            released.set()
            assert await client.answer() == (200, b"host: x")
            assert await client.answer() == (200, b"host: x\na: b\ncontent-length: 3010"), cut


async def test_few_requests_of_a_large_segment_are_parsed_before_they_are_handled() -> None:
    released, connections = asyncio.Event(), list[ApiConnection]()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await released.wait()
        await echo(scope, receive, send)

    async with http1_server(recorded(connections), slow) as connect:
        client = await connect()
        await client.send(REQUEST * 200)
        await until(lambda: connections[0]._pipeline.running, "the first request")
        assert len(connections[0]._pipeline.waiting) <= 100
        released.set()
        for _ in range(200):
            assert await client.answer() == (200, b"")


BLANK = b"\r\n\r\n" * 15_000
"""Bytes that contain 15,000 possible ends of a request, within less than 64 KiB."""
FULL_OF_ENDS = {
    "a chunk": (b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BLANK) + BLANK + b"\r\n0\r\n\r\n", BLANK),
    "a body with a length": (b"Content-Length: %d\r\n\r\n" % len(BLANK) + BLANK, BLANK),
    "empty lines after the request": (b"\r\n" + BLANK, b""),
}


@pytest.mark.parametrize(("rest", "body"), FULL_OF_ENDS.values(), ids=FULL_OF_ENDS)
async def test_the_parser_runs_at_most_once_per_kilobyte(
    rest: bytes, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse, parts = RequestReader._parse, list[int]()

    def counted(reader: RequestReader, data: bytes) -> None:
        parts.append(len(data))
        parse(reader, data)

    monkeypatch.setattr(RequestReader, "_parse", counted)
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        headers = b"".join(b"a%d:\r\n" % number for number in range(248))
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + headers + rest)
        assert await client.answer() == (200, body)
        await client.send(REQUEST)
        assert await client.answer() == (200, b"")
    assert len(parts) < sum(parts) / 1_000


async def test_empty_lines_over_64_kib_are_a_431() -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await client.send(b"\r\n" * (LIMIT // 2 + 1))
        assert (await client.answer())[0] == 431
        await client.until_closed()


async def test_a_body_in_many_small_chunks_is_accepted() -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await client.send(CHUNKED + b"1;a=b\r\nx\r\n" * (LIMIT // 4) + b"0\r\nX-Trailer: 1\r\n\r\n" + REQUEST)
        assert await client.answer() == (200, b"x" * (LIMIT // 4))
        assert await client.answer() == (200, b"")


async def test_trailers_are_dropped() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def read_all(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.extend(scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with http1_server(ApiConnection, read_all) as connect:
        client = await connect()
        trailers = b"Authorization: Bearer key\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n\r\n"
        await client.send(CHUNKED + b"4\r\nbody\r\n0\r\n" + trailers)
        assert await client.answer() == (200, b"")
    assert seen == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize("sent", [REQUEST, CHUNKED + b"0\r\n" + b"a:\r\n" * LIMIT, b"no request\r\n\r\n", REQUEST[:9]])
async def test_a_closed_connection_is_freed_without_the_garbage_collector(sent: bytes) -> None:
    connections = list[weakref.ref[ApiConnection]]()

    class Recorded(ApiConnection):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            connections.append(weakref.ref(self))

    gc.disable()
    try:
        async with http1_server(Recorded, echo) as connect:
            client = await connect()
            await client.send(sent)
            await asyncio.sleep(0.02)
            await client.leave()
        await until(lambda: connections and connections[0]() is None, "the end of the connection's memory")
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01 is a TLS handshake\r\n\r\n", b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"],
    ids=["TLS", "a tunnel"],
)
async def test_bytes_that_are_not_a_request_are_a_400_with_openais_error(sent: bytes) -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await client.send(sent)
        status, body = await client.answer()
        assert status == 400
        assert json.loads(body)["error"]["code"] == "invalid_http"
        await client.until_closed()


async def test_after_an_error_a_connection_is_closed_even_if_the_client_keeps_it_open() -> None:
    lost = asyncio.Event()

    class Recorded(ShortTimeouts):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    async with http1_server(Recorded, echo) as connect:
        client = await connect()
        await client.send(b"no request\r\n\r\n" + REQUEST)
        assert (await client.answer())[0] == 400
        await client.until_closed()
        await asyncio.wait_for(lost.wait(), 10)


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET", REQUEST[:-2]])
async def test_a_connection_without_complete_headers_is_closed_after_the_timeout(begun: bytes) -> None:
    async with http1_server(ShortTimeouts, echo) as connect:
        client = await connect()
        await client.send(begun)
        await client.until_closed()


@pytest.mark.parametrize("begun", [b"\r\n", b"G", REQUEST[:-2]])
async def test_the_headers_timeout_holds_for_later_requests_of_a_connection(begun: bytes) -> None:
    async with http1_server(ShortTimeouts, echo) as connect:
        client = await connect()
        await client.send(REQUEST)
        assert await client.answer() == (200, b"")
        await client.send(begun)
        await client.until_closed()


async def test_the_headers_timeout_holds_for_headers_that_begin_behind_another_request() -> None:
    async with http1_server(ShortTimeouts, echo) as connect:
        client = await connect()
        await client.send(REQUEST + REQUEST[:10])
        assert await client.answer() == (200, b"")
        await client.until_closed()


async def test_an_idle_connection_is_kept_open_longer_than_the_headers_timeout() -> None:
    async with http1_server(ShortTimeouts, echo) as connect:
        client, watch = await connect(), await connect()
        await client.send(REQUEST)
        assert await client.answer() == (200, b"")
        # When this connection is closed, the other has been idle for longer than the headers timeout.
        await watch.until_closed()
        second = await connect()
        await second.until_closed()
        await client.send(REQUEST)
        assert await client.answer() == (200, b"")


async def test_a_body_may_take_longer_than_the_headers_timeout() -> None:
    async with http1_server(ShortTimeouts, echo) as connect:
        client = await connect()
        await client.send(REQUEST[:-2] + b"Content-Length: 4\r\n\r\n")
        for part in (b"sl", b"ow"):
            watch = await connect()
            await watch.until_closed()
            await client.send(part)
        assert await client.answer() == (200, b"slow")


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na" * 3 + REQUEST)
        assert [await client.answer() for _ in range(4)] == [(200, b"a")] * 3 + [(200, b"")]


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_offer_to_upgrade_the_protocol_is_ignored(at_once: bool) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    head, body = REQUEST[:-2].replace(b"GET", b"POST") + offer + b"Content-Length: 4\r\n\r\n", b"body"
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        for _ in range(2):
            for part in [head + body] if at_once else [head[:-40], head[-40:], body[:1], body[1:]]:
                await client.send(part)
                await asyncio.sleep(0.01)
            assert await client.answer() == (200, body)


async def test_a_stream_ends_if_its_client_disconnects_after_sending_another_request() -> None:
    begun, disconnected = asyncio.Event(), asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"][EXTENSION].watch(disconnected.set)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not disconnected.is_set():
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            begun.set()
            await asyncio.sleep(0.001)

    async with http1_server(ApiConnection, endless) as connect:
        client = await connect()
        await client.send(REQUEST * 2)
        await begun.wait()
        await client.leave()
        await asyncio.wait_for(disconnected.wait(), 10)


async def test_a_client_that_does_not_read_its_response_is_disconnected() -> None:
    disconnected = asyncio.Event()

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2):
            await send({"type": "http.response.body", "body": b"a" * LARGE, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        disconnected.set()

    async with http1_server(ShortTimeouts, large) as connect:
        client = await connect()
        await client.send(REQUEST)
        await asyncio.wait_for(disconnected.wait(), 10)


class UnreadTransport:
    """A transport whose client has not read `unread` bytes."""

    def __init__(self) -> None:
        self.unread = 100_000
        self.closing = self.aborted = False

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.unread


@pytest.mark.parametrize("unread", [10, 0])
async def test_a_client_that_reads_all_but_the_end_of_its_last_response_is_disconnected(unread: int) -> None:
    transport = UnreadTransport()
    deadlines = Deadlines(asyncio.get_running_loop(), transport, 10.0, 0.05)  # type: ignore[arg-type]
    deadlines.expect_reader()
    deadlines.close_connection()
    transport.unread = unread
    deadlines.reader_caught_up()
    if unread:
        await until(lambda: transport.aborted, "the end of the connection")
    else:
        assert deadlines._write_timer is None
    deadlines.close()


async def test_a_client_that_reads_slowly_receives_the_whole_response() -> None:
    async with http1_server(LongerWriteTimeout, echo) as connect:
        client = await connect()
        body = b"b" * LARGE
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert b"200 OK" in await client.read(100)
        received = 100
        # All of these together take longer than the write timeout.
        for _ in range(8):
            watch = await connect()
            await watch.until_closed()
            received += len(await client.read(LARGE // 8 - 100))
        assert received > LARGE - 1_000


async def test_single_bytes_of_headers_do_not_extend_the_headers_timeout() -> None:
    async with http1_server(ShortTimeouts, echo) as connect:
        client = await connect()
        await client.send(REQUEST[:5])
        for position in range(5, len(REQUEST) - 1):
            if client.ended:
                return
            await client.send(REQUEST[position : position + 1])
            await asyncio.sleep(0.05)
        pytest.fail("the connection is still open after the headers timeout")


async def test_a_client_that_expects_100_continue_receives_it() -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await client.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"ok")
        assert await client.answer() == (200, b"ok")


async def chunked(scope: Any, receive: Any, send: Any) -> None:
    """Answers in two parts without a length."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b"})


async def test_a_response_without_a_length_is_chunked() -> None:
    async with http1_server(ApiConnection, chunked) as connect:
        client = await connect()
        await client.send(REQUEST[:-2] + b"Connection: close\r\n\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert body == b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"


async def test_for_http_1_0_a_response_without_a_length_ends_with_the_connection() -> None:
    async with http1_server(ApiConnection, chunked) as connect:
        client = await connect()
        await client.send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert (b"transfer-encoding" in head, body) == (False, b"ab")


async def test_the_response_to_a_head_request_has_no_body() -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        assert (await client.rest()).endswith(b"content-length: 2\r\nconnection: close\r\n\r\n")


async def test_a_header_with_a_line_break_is_a_500() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1\r\nx-b: 2")]})
        await send({"type": "http.response.body", "body": b""})

    async with http1_server(ApiConnection, broken) as connect:
        client = await connect()
        await client.send(REQUEST)
        status, _ = await client.answer()
        assert status == 500
        await client.until_closed()


async def test_if_the_application_fails_during_a_response_the_connection_is_closed() -> None:
    async def unfinished(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError

    async with http1_server(ApiConnection, unfinished) as connect:
        client = await connect()
        await client.send(REQUEST)
        assert (await client.rest()).endswith(b"\r\n\r\nhalf")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("", 400),
        ("Host: x\r\nHost: x\r\n", 400),
        ("Host: x\r\nhost: y\r\n", 400),
        ("Host: a b\r\n", 400),
        ("Host: http://x\r\n", 400),
        ("Host: x@y\r\n", 400),
        ("Host: x:y\r\n", 400),
        ("Host: x,y/z\r\n", 400),
        ("Host: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n", 400),
        ("Host: x\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        ("Host: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501),
        ("Host:\r\n", 200),
        ("Host: router.example:8800\r\n", 200),
        ("Host: [::1]:8800\r\n", 200),
        ("HOST: 127.0.0.1\r\n", 200),
    ],
)
async def test_a_request_needs_one_valid_host_and_at_most_one_authorization(headers: str, status: int) -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await client.send(b"POST / HTTP/1.1\r\n" + headers.encode() + (b"" if "Transfer" in headers else b"\r\n"))
        if "Transfer" in headers:
            await client.send(b"\r\n0\r\n\r\n")
        answered, body = await client.answer()
        assert answered == status
        if status != 200:
            assert json.loads(body)["error"]["code"] == "invalid_http"


@pytest.mark.parametrize("length", [b"-1", b"+1", b"1 2", b"0" * 5_000 + b"2", b"9" * 20, b"9" * 5_000])
@pytest.mark.parametrize("size", [1_000, 100_000], ids=["small segments", "one segment"])
async def test_an_invalid_or_oversized_content_length_is_a_400(length: bytes, size: int) -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await send_in_pieces(client, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\nok", size)
        status, body = await client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_http")


async def test_http_1_0_needs_no_host_and_gets_no_interim_response() -> None:
    async with http1_server(ApiConnection, echo) as connect:
        client = await connect()
        await client.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok")
        assert await client.answer() == (200, b"ok")


async def test_the_absolute_form_of_a_target_may_have_no_path() -> None:
    async with http1_server(ApiConnection, path_of) as connect:
        client = await connect()
        await client.send(b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.answer() == (200, b"/")
        await client.send(b"GET http://x/a%20b?c HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.answer() == (200, b"/a b")


async def path_of(scope: Any, _: Any, send: Any) -> None:
    """Answers with the path of the request."""
    path = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(path))]})
    await send({"type": "http.response.body", "body": path})
