"""A target that holds requests back until a test releases them."""

from __future__ import annotations

import asyncio

from fakes.upstreams.answers import text
from fakes.upstreams.bodies import chunk, event
from fakes.upstreams.exchange import Exchange
from fakes.upstreams.faults import error


class HoldingTarget:
    """A script of a target that holds requests back.

    If the content of a request's first message is `wait`, the script holds the request back until a test sets the
    event `released`. If a held request asks for a stream, the script sends the first chunk at once. If the content is
    `fail`, the script sends an error. The script answers all other requests at once.
    """

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.waiting = 0
        """The number of requests that the target has held back so far."""

    async def __call__(self, exchange: Exchange) -> None:
        content = exchange.body["messages"][0]["content"]
        if content == "fail":
            await error(500, "broken")(exchange)
        elif content != "wait":
            await text("a")(exchange)
        elif exchange.streamed:
            await self._held_stream(exchange)
        else:
            await self._wait()
            await text("a")(exchange)

    async def _held_stream(self, exchange: Exchange) -> None:
        await exchange.head("text/event-stream")
        await exchange.piece(event(chunk({"role": "assistant", "content": "be"})))
        await self._wait()
        await exchange.piece(event(chunk({"content": "gun"})) + event(chunk({}, "stop")) + event(b"[DONE]"))
        await exchange.end()

    async def _wait(self) -> None:
        self.waiting += 1
        await self.released.wait()
