"""Tests of the size, the content type and the read timeout of request bodies."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest
from rl_router_api.errors import ApiError, ClientGoneError
from rl_router_api.server.body import read_body
from rl_router_api.server.client import AsgiClient
from starlette.types import Receive

LIMIT = 10


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


async def read(headers: dict[str, Any], receive: Receive, limit: int = LIMIT, **bounds: Any) -> bytes:
    """Reads the body that an ASGI client sends."""

    async def send(message: Any) -> None:
        """Discards the message."""

    return await read_body(headers, AsgiClient(receive, send), receive, limit, **bounds)


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


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "utf-8"])
async def test_another_content_encoding_is_a_415_that_names_the_accepted_ones(coding: str) -> None:
    with pytest.raises(ApiError, match="gzip, deflate") as refused:
        await read(scope(content_encoding=coding), sending(b"{}"))
    assert (refused.value.status, refused.value.headers) == (415, {"accept-encoding": "gzip, deflate"})
