"""A request's body comes whole, within its bounds, or is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rl_router_api.errors import ApiError, ClientGoneError
from rl_router_api.server.body import read_body
from rl_router_api.server.client import AsgiClient
from starlette.types import Receive

LIMIT = 10


def scope(**headers: str) -> dict[str, Any]:
    found = {"content_type": "application/json", **headers}
    return {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in found.items()]}


def coming(*parts: bytes, then: str = "end") -> Receive:
    """A client that sends these parts and then ends its body, goes away, or says nothing more."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or then != "end"}
        if then == "silence":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return receive


async def read(headers: dict[str, Any], receive: Receive, **bounds: Any) -> bytes:
    """The body of a client whom ASGI's messages tell of."""

    async def send(message: Any) -> None:
        """Nothing is sent to it."""

    return await read_body(headers, AsgiClient(receive, send), receive, LIMIT, **bounds)


async def test_a_body_in_parts_is_whole() -> None:
    assert await read(scope(), coming(b"{", b"", b"}")) == b"{}"


async def test_a_body_of_just_the_limit_is_taken() -> None:
    assert await read(scope(content_length="10"), coming(b"a" * LIMIT)) == b"a" * LIMIT


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
async def test_a_type_may_have_parameters_and_capitals(kind: str) -> None:
    assert await read(scope(content_type=kind), coming(b"{}")) == b"{}"


@pytest.mark.parametrize("parts", [[b"a" * 11], [b"aaaa"] * 3])
@pytest.mark.parametrize("headers", [{}, {"content_length": "11"}])
async def test_a_larger_body_is_a_413(headers: dict[str, str], parts: list[bytes]) -> None:
    with pytest.raises(ApiError) as refused:
        await read(scope(**headers), coming(*parts))
    assert refused.value.status == 413


async def test_a_body_that_does_not_come_is_a_408() -> None:
    with pytest.raises(ApiError) as refused:
        await read(scope(), coming(b"{", then="silence"), read_timeout=0.01)
    assert (refused.value.status, refused.value.code) == (408, "request_timeout")


async def test_a_client_that_goes_in_the_middle_is_gone() -> None:
    with pytest.raises(ClientGoneError):
        await read(scope(), coming(b"{", then="goes"))


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonl"])
async def test_another_type_is_a_415_that_names_it(kind: str) -> None:
    with pytest.raises(ApiError, match=kind or "missing") as refused:
        await read(scope(content_type=kind), coming(b"{}"))
    assert refused.value.status == 415
