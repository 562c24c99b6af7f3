"""Contains scripts of faulty upstreams: no response, resets, errors, and slow, truncated or oversized responses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from fakes.upstreams.answers import either, whole
from fakes.upstreams.bodies import chunk, chunks, completion, encoded, event
from fakes.upstreams.exchange import Answer, Exchange

_PAUSE = 0.02
"""The seconds between two pieces of a slow response, and between the sent data and a fault."""


async def hang(exchange: Exchange) -> None:
    """Sends no response and waits until the router closes the connection."""
    await exchange.until_dropped()


async def reset(exchange: Exchange) -> None:
    """Resets the connection and sends nothing before the reset."""
    exchange.reset()


def error(status: int, message: str, *, code: str | None = None, param: str | None = None, **headers: str) -> Answer:
    """Returns a script that sends an error in OpenAI's format."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    return whole(body, status=status, **headers)


def html(status: int) -> Answer:
    """Returns a script that sends the HTML error page of a gateway, with the status `status`."""
    return whole(b"<html><body>a gateway's page with sk-secret</body></html>", status=status, content_type="text/html")


def cut_after(pieces: Iterable[bytes], then: Callable[[Exchange], Awaitable[None]]) -> Answer:
    """Returns a script that begins a stream with the pieces `pieces` and runs the script `then`, such as a fault."""

    async def answer(exchange: Exchange) -> None:
        await exchange.head("text/event-stream")
        for piece in pieces:
            await exchange.piece(piece)
        # A reset of the connection may overtake the data that was sent before the reset.
        await asyncio.sleep(_PAUSE)
        await then(exchange)

    return answer


def half_body_then(then: Callable[[Exchange], Awaitable[None]]) -> Answer:
    """Returns a script that sends the first half of a completion and then causes the fault `then`.

    The header Content-Length contains the length of the whole completion.
    """

    async def answer(exchange: Exchange) -> None:
        data = encoded(completion())
        await exchange.head("application/json", length=len(data))
        await exchange.send(data[: len(data) // 2])
        await asyncio.sleep(_PAUSE)
        await then(exchange)

    return answer


HALF = event(chunk({"content": "half"}))


def half_then(then: Callable[[Exchange], Awaitable[None]]) -> Answer:
    """Returns a script that sends half a completion or, for a streamed request, one event, and then runs `then`."""
    return either(half_body_then(then), cut_after([HALF], then))


def half_then_data(data: bytes) -> Answer:
    """Returns a script that begins a stream with the event HALF, sends `data` as an HTTP chunk, and ends the body."""

    async def end(exchange: Exchange) -> None:
        await exchange.piece(data)
        await exchange.end()

    return cut_after([HALF], end)


def trickle(pieces: int) -> Answer:
    """Returns a script that sends an answer in at most `pieces` small pieces.

    With enough pieces, the whole answer takes longer than the router's idle timeout, although each pause between two
    pieces is shorter than the idle timeout.
    """

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
            await asyncio.sleep(_PAUSE)
        await exchange.end()

    return answer


async def huge(exchange: Exchange) -> None:
    """Sends more than 50 MB of an incomplete completion or, for a streamed request, of an incomplete event."""
    part, count = b"a" * 1_000_000, 50
    start = event(chunk({"content": ""}))[:-4] if exchange.streamed else encoded(completion())[:-2]
    start += b',"padding":"'
    kind = "text/event-stream" if exchange.streamed else "application/json"
    await exchange.head(kind, length=len(start) + len(part) * count)
    await exchange.send(start)
    for _ in range(count):
        await exchange.send(part)
