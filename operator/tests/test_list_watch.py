"""A list and its watches, by an API server that answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from harness import eventually
from rl_router_operator.cluster.client import OPENED, UnreachableError
from rl_router_operator.cluster.list_watch import ListWatch, Source
from rl_router_operator.cluster.store import Store
from rl_router_operator.objects.kinds import BY_NAME
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.refusal import RefusedError

UNREACHABLE = UnreachableError("refused")


class Server:
    """Lists nothing; `lists` and `watches` are what each list and watch fails with in its turn, the last for ever; None
    is none. A watch that was taken ends at once."""

    def __init__(self, lists: list[Exception | None], watches: list[Exception | None]) -> None:
        self._lists, self._watches = lists, watches
        self.listed: list[float] = []

    async def list_all(self, *_: Any) -> tuple[list[Manifest], str]:
        self.listed.append(asyncio.get_running_loop().time())
        _fail(self._lists)
        return [], "1"

    async def watch(self, *_: Any) -> AsyncIterator[tuple[str, Manifest]]:
        _fail(self._watches)
        yield OPENED, {}
        raise UNREACHABLE


def _fail(faults: list[Exception | None]) -> None:
    if fault := faults.pop(0) if len(faults) > 1 else faults[0]:
        raise fault


@asynccontextmanager
async def watching(server: Server, changed: Callable[[], None] = lambda: None) -> AsyncIterator[ListWatch]:
    """A watch that runs."""
    source = Source(BY_NAME["Service"], None, {}, lambda _: (), lambda body: body)
    watch = ListWatch(server, Store(lambda _key, _gone: None), source, changed)  # type: ignore[arg-type]
    running = asyncio.create_task(watch.run())
    yield watch
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def _is(so: bool) -> None:
    assert so


async def test_an_api_server_that_is_away_is_asked_ever_less_often() -> None:
    server = Server([None, UNREACHABLE], [None])
    async with watching(server):
        await eventually(lambda: _is(len(server.listed) >= 7), within=30)
    pauses = [later - earlier for earlier, later in zip(server.listed, server.listed[1:], strict=False)]
    assert pauses[5] > 4 * pauses[0]


async def test_a_kind_that_fails_again_and_again_is_told_though_it_was_seen_before() -> None:
    server = Server([None, RefusedError(500, {"message": "conversion webhook failed"})], [None])
    async with watching(server) as watch:
        await eventually(lambda: _is(watch.synced))
        await eventually(lambda: _is(watch.last_error == "conversion webhook failed"), within=30)
        assert not watch.synced


async def test_a_kind_that_may_be_listed_and_not_watched_is_not_seen_by_turns() -> None:
    told: list[int] = []
    server = Server([None], [RefusedError(403, {"message": "cannot watch"})])
    async with watching(server, lambda: told.append(1)) as watch:
        await eventually(lambda: _is(len(server.listed) >= 4), within=30)
        assert watch.last_error == "cannot watch"
    assert told == []
