"""Runs a scripted OpenAI-compatible server on this machine."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from fakes.upstreams.answers import well_behaved, whole
from fakes.upstreams.exchange import Answer, Body, Exchange, read_exchange


class Upstream:
    """A fake model server. The script `answer` answers requests for completions unless a router is starting."""

    def __init__(self, answer: Answer | None = None, host: str = "127.0.0.1") -> None:
        self._host = host
        self.answer: Answer = answer or well_behaved
        self.requests: list[Exchange] = []
        """The received requests for completions, except the requests that arrived while a router was starting."""
        self.starting = False
        """Whether a router is starting. While a router is starting, the requests for completions get valid answers and
        are not recorded."""
        self.models_answer: Answer = whole({"object": "list", "data": [{"id": "listed-model", "max_model_len": 8192}]})
        self.models_requests: list[Exchange] = []
        self.connections = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{host}:{self._server.sockets[0].getsockname()[1]}/v1"
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
            while not writer.is_closing() and (exchange := await read_exchange(reader, writer)):
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
                self.models_requests.append(exchange)
                await self.models_answer(exchange)
            elif self.starting:
                await well_behaved(exchange)
            else:
                self.requests.append(exchange)
                await self.answer(exchange)
        except ConnectionError:
            exchange.dropped = True
