"""Compressed responses: decoded in bounded steps, whichever way servers compress them."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import Awaitable, Callable

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.content_coding import compression_of
from rl_router_api.errors import TransportError
from rl_router_api.upstreams.decompression import Decompressed, decompressed
from rl_router_api.upstreams.transport import HttpTransport, read_whole

from fakes.testbed.router import Testbed
from fakes.upstreams.answers import whole
from fakes.upstreams.bodies import chunks, completion, encoded, event
from fakes.upstreams.exchange import Exchange
from fakes.upstreams.raw import sending

Compress = Callable[[bytes], bytes]


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


def in_two_members(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(data[half:])


zstd = zstandard.ZstdCompressor().compress
SKIPPED = b"\x5f\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
CODINGS: dict[str, tuple[str, Compress]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip in two members": ("gzip", in_two_members),
    "gzip with padding": ("gzip", lambda data: gzip.compress(data) + bytes(5)),
    "deflate": ("deflate", zlib.compress),
    "deflate without a header": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstd),
    "zstd in two frames": ("zstd", lambda data: zstd(data[: len(data) // 2]) + zstd(data[len(data) // 2 :])),
    "zstd with frames without data": ("zstd", lambda data: SKIPPED + zstd(data) + SKIPPED),
    "zstd with padding": ("zstd", lambda data: zstd(data) + bytes(5)),
}
each_coding = pytest.mark.parametrize("kind", CODINGS)


def pieces_of(data: bytes, size: int) -> Callable[[], Awaitable[bytes]]:
    """Returns a function that reads the data in pieces."""
    pieces = iter([data[start : start + size] for start in range(0, len(data), size)])

    async def read() -> bytes:
        return next(pieces, b"")

    return read


async def decoded(coding: str, data: bytes, size: int = 1_000) -> list[bytes]:
    """Returns the decoded pieces of compressed data that arrive in pieces of `size` bytes."""
    body = Decompressed(coding, pieces_of(data, size))
    steps = []
    while step := await body.read():
        steps.append(step)
    return steps


@each_coding
@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("text", [b'{"choices": []}', json.dumps(list(range(2_000))).encode(), "né😀".encode() * 100])
async def test_a_compressed_body_is_decoded_however_it_arrives(kind: str, size: int, text: bytes) -> None:
    coding, compress = CODINGS[kind]
    assert b"".join(await decoded(coding, compress(text), size)) == text


@each_coding
async def test_a_body_that_expands_a_lot_is_decoded_in_steps(kind: str) -> None:
    coding, compress = CODINGS[kind]
    steps = await decoded(coding, compress(bytes(20_000_000)), 100_000)
    assert sum(map(len, steps)) == 20_000_000
    assert max(map(len, steps)) <= 128 * 1024


@each_coding
async def test_other_tasks_run_while_a_body_that_expands_a_lot_is_decoded(kind: str) -> None:
    coding, compress = CODINGS[kind]
    body, turns, size = Decompressed(coding, pieces_of(compress(bytes(20_000_000)), 1_000_000)), 0, 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    while step := await body.read():
        size += len(step)
    counting.cancel()
    assert turns > size / (256 * 1024)


ODD_EVENTS = {
    "empty lines": b"\n",
    "comments": b": p\n\n",
    "events without data": b"data:\n\n",
    "odd data": b"data: 1\n\n",
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("odd", ODD_EVENTS.values(), ids=ODD_EVENTS)
async def test_the_deadline_ends_a_small_stream_that_expands_to_many_empty_events(
    testbed: Testbed, odd: bytes, streamed: bool
) -> None:
    first, *rest = map(event, [*chunks("4"), b"[DONE]"])
    bomb = gzip.compress(first + odd * (24_000_000 // len(odd)) + b"".join(rest), 1)

    async def compressed(exchange: Exchange) -> None:
        await exchange.head("text/event-stream", Content_Encoding="gzip")
        await exchange.piece(bomb)
        await exchange.end()

    setup = await testbed.start(None, compressed, None)
    asked = time.monotonic()
    response = await setup.send(model="alpha", stream=streamed, router={"deadline_ms": 300})
    assert "deadline_exceeded" in response.text
    assert time.monotonic() - asked < 2


@each_coding
async def test_a_truncated_body_is_broken(kind: str) -> None:
    coding, compress = CODINGS[kind]
    with pytest.raises(TransportError, match=r"truncated|not valid"):
        await decoded(coding, compress(b"some text that is long enough to cut")[:12])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_body_that_is_not_compressed_as_announced_is_broken(coding: str) -> None:
    with pytest.raises(TransportError) as raised:
        await decoded(coding, b'{"choices": [{"message": {"content": "hello"}}]}')
    assert raised.value.kind == "broken"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_an_empty_body_is_not_truncated(coding: str) -> None:
    assert await decoded(coding, b"") == []


async def test_if_the_package_of_a_coding_is_missing_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "brotli", None)
    with pytest.raises(TransportError, match="Install the package brotli"):
        await decoded("br", b"x")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3_000), st.integers(1, 500), st.sampled_from(list(CODINGS)))
async def test_any_bytes_survive_compression(text: bytes, size: int, kind: str) -> None:
    coding, compress = CODINGS[kind]
    assert b"".join(await decoded(coding, compress(text), size)) == text


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (b"gzip", "gzip"),
        (b" X-GZIP ", "gzip"),
        (b"Deflate", "deflate"),
        (b"identity", None),
        (b"utf-8", None),
        (b"", None),
    ],
)
def test_only_compressions_are_decoded(header: bytes, coding: str | None) -> None:
    assert compression_of(header) == coding


def several(*codings: str) -> bytes:
    """Returns a response whose body `ok` is compressed with each of the codings in turn."""
    body, compress = b"ok", {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd}
    for coding in codings:
        body = compress[coding](body) if coding in compress else body
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("headers", "codings"),
    [
        ("Content-Encoding: gzip, identity", ["gzip"]),
        ("Content-Encoding: identity,gzip", ["gzip"]),
        ("Content-Encoding: gzip, utf-8", ["gzip"]),
        ("Content-Encoding: gzip, gzip", ["gzip", "gzip"]),
        ("Content-Encoding: deflate ,\tGZIP", ["deflate", "gzip"]),
        ("Content-Encoding: br, zstd, gzip", ["br", "zstd", "gzip"]),
        ("Content-Encoding: gzip\r\nContent-Encoding: deflate", ["gzip", "deflate"]),
        ("Content-Encoding: , ,", []),
    ],
)
async def test_every_compression_that_the_headers_name_is_decoded(headers: str, codings: list[str]) -> None:
    async with sending(f"HTTP/1.1 200 OK\r\n{headers}\r\n".encode() + several(*codings)) as (url, _):
        transport = HttpTransport()
        response = await transport.send("GET", url, {}, None, 5.0)
        assert await read_whole(response, 1_000) == b"ok"
        response.close()
        await transport.close()


async def test_a_response_with_more_than_three_compressions_is_broken() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip, gzip, gzip\r\n"
    async with sending(head + several(*["gzip"] * 4)) as (url, _):
        transport = HttpTransport()
        response = await transport.send("GET", url, {}, None, 5.0)
        with pytest.raises(TransportError, match="more than 3 compressions"):
            await response.read()
        response.close()
        await transport.close()


async def test_the_size_between_two_compressions_is_limited() -> None:
    data = gzip.compress(b"\x5f\x2a\x4d\x18" + (80_000_000).to_bytes(4, "little") + bytes(80_000_000), 1)
    body = decompressed(["zstd", "gzip"], pieces_of(data, 100_000))
    with pytest.raises(TransportError, match="over 67108864 bytes"):
        while await body.read():
            pass


@pytest.mark.parametrize("streamed", [False, True])
@each_coding
async def test_the_client_of_a_compressing_target_gets_a_plain_answer(
    testbed: Testbed, kind: str, streamed: bool
) -> None:
    coding, compress = CODINGS[kind]
    plain = b"".join(map(event, [*chunks("4"), b"[DONE]"])) if streamed else encoded(completion("4"))

    async def compressed(exchange: Exchange) -> None:
        await exchange.head("text/event-stream" if streamed else "application/json", Content_Encoding=coding)
        await exchange.piece(compress(plain))
        await exchange.end()

    setup = await testbed.start(None, compressed, None)
    response = await setup.send(model="alpha", stream=streamed)
    assert response.status_code == 200
    assert "content-encoding" not in response.headers
    assert '"content":"4"' in response.text.replace(" ", "")


async def test_a_compressed_error_is_read(testbed: Testbed) -> None:
    body = gzip.compress(encoded({"error": {"message": "prompt is too long", "type": "invalid_request_error"}}))
    setup = await testbed.start(None, whole(body, status=400, Content_Encoding="gzip"), None)
    response = await setup.send(model="alpha")
    assert response.json()["error"]["message"] == "prompt is too long"
