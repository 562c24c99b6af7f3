"""Tests of the size, the content type, the timeouts and the memory of request bodies."""

from __future__ import annotations

import asyncio
import gzip
import math
import random
import zlib
from typing import Any

import pytest
from rl_router_api.config import RequestHandlingConfig
from rl_router_api.errors import ApiError, ClientGoneError
from rl_router_api.runtime.load import Load
from rl_router_api.server.body import BodyLimits, coding_of, decompressed, read_parts, whole_body
from rl_router_api.server.client import AsgiClient
from rl_router_api.upstreams.in_flight import InFlight
from starlette.types import Receive

from fakes.testbed.waiting import until

LIMIT = 10
MIB = 1024 * 1024


def scope(**headers: str) -> dict[str, Any]:
    fields = {"content_type": "application/json", **headers}
    return {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]}


def sending(*parts: bytes, then: str = "end") -> Receive:
    """Returns the `receive` of a client that sends `parts` and then ends the body, disconnects or stays silent."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or then != "end"}
        if then == "silence":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return receive


def body_limits(limit: int = LIMIT, pending: int = 1_000, **bounds: Any) -> BodyLimits:
    """Returns limits for a server without other requests. They may be lower than a configuration allows."""
    server = RequestHandlingConfig.model_construct(max_body_bytes=limit, max_pending_bytes=pending)
    return BodyLimits(**{"server": server, "load": Load(InFlight()), "deadline": math.inf, "duration": 600.0, **bounds})


async def read(headers: dict[str, Any], receive: Receive, limit: int = LIMIT, **bounds: Any) -> bytes:
    """Reads the body that an ASGI client sends, as the handler does. Fails if bytes of the body stay counted."""

    async def send(message: Any) -> None:
        """Discards the message."""

    assert whole_body(headers, AsgiClient(receive, send), limit) is None
    coding, limits = coding_of(headers), body_limits(limit, **bounds)
    try:
        body = await read_parts(receive, limits)
    finally:
        assert limits.load.pending_bytes == 0
    return body if coding is None else decompressed(body, coding, limit)


async def test_a_body_in_parts_is_joined() -> None:
    assert await read(scope(), sending(b"{", b"", b"}")) == b"{}"


async def test_a_body_of_exactly_the_limit_is_accepted() -> None:
    assert await read(scope(content_length="10"), sending(b"a" * LIMIT)) == b"a" * LIMIT


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
async def test_a_content_type_may_have_parameters_and_capitals(kind: str) -> None:
    assert await read(scope(content_type=kind), sending(b"{}")) == b"{}"


@pytest.mark.parametrize("parts", [[b"a" * 11], [b"aaaa"] * 3])
@pytest.mark.parametrize("headers", [{}, {"content_length": "11"}])
async def test_a_body_over_the_limit_is_a_413(headers: dict[str, str], parts: list[bytes]) -> None:
    with pytest.raises(ApiError) as refused:
        await read(scope(**headers), sending(*parts))
    assert refused.value.status == 413


async def test_a_body_that_does_not_arrive_in_time_is_a_408() -> None:
    with pytest.raises(ApiError) as refused:
        await read(scope(), sending(b"{", then="silence"), read_timeout=0.01)
    assert (refused.value.status, refused.value.code) == (408, "request_timeout")


async def test_a_body_that_is_not_complete_at_the_deadline_is_a_504() -> None:
    with pytest.raises(ApiError, match="request body was not complete within the deadline") as refused:
        await read(scope(), sending(b"{", then="silence"), deadline=asyncio.get_running_loop().time() + 0.01)
    assert (refused.value.status, refused.value.code, refused.value.retryable) == (504, "deadline_exceeded", False)


async def test_unfinished_bodies_share_a_limit_and_the_body_that_exceeds_it_is_a_429() -> None:
    held, read_twice = asyncio.Event(), asyncio.Event()
    limits = body_limits(LIMIT, pending=LIMIT + 5)

    async def halting() -> dict[str, Any]:
        if held.is_set():
            await read_twice.wait()
            return {"type": "http.request", "body": b"b"}
        held.set()
        return {"type": "http.request", "body": b"a" * 9, "more_body": True}

    first = asyncio.create_task(read_parts(halting, limits))
    await held.wait()
    await until(lambda: limits.load.pending_bytes == 9, "the first part")
    assert await read_parts(sending(b"a" * 3, b"b" * 3), limits) == b"aaabbb"
    with pytest.raises(ApiError, match=str(LIMIT + 5)) as refused:
        await read_parts(sending(b"a" * 3, b"b" * 4), limits)
    assert (refused.value.status, refused.value.code, refused.value.retry_after) == (429, "overloaded", 1)
    read_twice.set()
    assert (await first, limits.load.pending_bytes) == (b"a" * 9 + b"b", 0)


async def test_a_single_body_may_have_the_maximum_size_of_a_body() -> None:
    assert await read(scope(), sending(b"a" * 5, b"b" * 5), pending=7) == b"aaaaabbbbb"


async def test_a_client_that_disconnects_during_its_body_is_gone() -> None:
    with pytest.raises(ClientGoneError):
        await read(scope(), sending(b"{", then="disconnect"))


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonl"])
async def test_another_content_type_is_a_415_that_names_it(kind: str) -> None:
    with pytest.raises(ApiError, match=kind or "missing") as refused:
        await read(scope(content_type=kind), sending(b"{}"))
    assert refused.value.status == 415


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("Deflate", lambda body: zlib.compress(body)[2:-4]),
    ],
)
async def test_a_compressed_body_is_decompressed(coding: str, compress: Any) -> None:
    text = b'{"messages": []}' * 50
    assert await read(scope(content_encoding=coding), sending(compress(text)), 800) == text


@pytest.mark.parametrize("coding", ["identity", ""])
async def test_a_plain_body_may_say_so(coding: str) -> None:
    assert await read(scope(content_encoding=coding), sending(b"{}")) == b"{}"


async def test_the_limit_applies_to_the_decompressed_body() -> None:
    with pytest.raises(ApiError) as refused:
        await read(scope(content_encoding="gzip"), sending(gzip.compress(bytes(10_000_000))), 20_000)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "body", [b"{}", gzip.compress(b"{}" * 100)[:-9], gzip.compress(b"{}")[:5]], ids=["plain", "truncated", "begun"]
)
async def test_a_body_that_is_not_compressed_as_declared_is_a_400(body: bytes) -> None:
    with pytest.raises(ApiError, match="not valid gzip") as refused:
        await read(scope(content_encoding="gzip"), sending(body), 1_000)
    assert refused.value.status == 400


async def test_a_gzip_body_may_have_10000_members() -> None:
    members = [gzip.compress(b"a"), *[gzip.compress(b"")] * 9_998]
    assert await read(scope(content_encoding="gzip"), sending(b"".join([*members, gzip.compress(b"b")])), MIB) == b"ab"
    with pytest.raises(ApiError, match="more than 10,000 gzip members") as refused:
        await read(scope(content_encoding="gzip"), sending(b"".join(members * 2)), MIB)
    assert refused.value.status == 400


async def test_a_long_body_that_hardly_compresses_is_decompressed() -> None:
    text = random.Random(1).randbytes(3 * MIB)
    for coding, compress in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        compressed = compress(text) + bytes(3)
        body = await read(scope(content_encoding=coding), sending(compressed), 4 * MIB, pending=8 * MIB)
        assert body == text


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "utf-8"])
async def test_another_content_encoding_is_a_415_that_names_the_accepted_ones(coding: str) -> None:
    with pytest.raises(ApiError, match="gzip, deflate") as refused:
        await read(scope(content_encoding=coding), sending(b"{}"))
    assert (refused.value.status, refused.value.headers) == (415, {"accept-encoding": "gzip, deflate"})
