"""The list-watch against a fake client whose lists and watches fail on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rl_router_operator.cluster.list_watch import ListWatch, Source
from rl_router_operator.cluster.store import Store
from rl_router_operator.cluster.transport import OPENED, UnreachableError
from rl_router_operator.objects.kinds import BY_NAME
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.refusal import RefusedError

from fakes.cluster.waiting import eventually

UNREACHABLE = UnreachableError("refused")


class FakeClient:
    """A client whose lists are empty and whose watches end immediately.

    `lists` and `watches` have the error of each list and watch in order; None for success. The last entry repeats.
    """

    def __init__(self, lists: list[Exception | None], watches: list[Exception | None]) -> None:
        self._lists, self._watches = lists, watches
        self.list_times: list[float] = []

    async def list_all(self, *_: Any) -> tuple[list[Manifest], str]:
        self.list_times.append(asyncio.get_running_loop().time())
        _fail(self._lists)
        return [], "1"

    async def watch(self, *_: Any) -> AsyncIterator[tuple[str, Manifest]]:
        _fail(self._watches)
        yield OPENED, {}


def _fail(faults: list[Exception | None]) -> None:
    if fault := faults.pop(0) if len(faults) > 1 else faults[0]:
        raise fault


@asynccontextmanager
async def watching(client: FakeClient, changed: Callable[[], None] = lambda: None) -> AsyncIterator[ListWatch]:
    """Runs a list-watch of Services."""
    source = Source(BY_NAME["Service"], None, {}, lambda _: (), lambda body: body)
    list_watch = ListWatch(client, Store(lambda _key, _gone: None), source, changed)  # type: ignore[arg-type]
    running = asyncio.create_task(list_watch.run())
    yield list_watch
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def _holds(condition: bool) -> None:
    assert condition


EXPIRED = RefusedError(410, {"message": "too old"})


@pytest.mark.parametrize(
    ("lists", "watches"),
    [([None, UNREACHABLE], [None]), ([None], [None]), ([None], [EXPIRED]), ([None, EXPIRED], [None])],
    ids=["unreachable", "watches that end at once", "watches that expire at once", "lists that expire"],
)
async def test_the_pauses_between_lists_grow_while_lists_or_watches_fail(
    lists: list[Exception | None], watches: list[Exception | None]
) -> None:
    client = FakeClient(lists, watches)
    async with watching(client):
        await eventually(lambda: _holds(len(client.list_times) >= 7), within=30)
    pauses = [later - earlier for earlier, later in zip(client.list_times, client.list_times[1:], strict=False)]
    assert pauses[5] > 4 * pauses[0]


async def test_a_kind_that_was_listed_before_and_fails_repeatedly_is_reported() -> None:
    client = FakeClient([None, RefusedError(500, {"message": "conversion webhook failed"})], [None])
    async with watching(client) as watch:
        await eventually(lambda: _holds(watch.synced))
        await eventually(lambda: _holds(watch.last_error == "conversion webhook failed"), within=30)
        assert not watch.synced


async def test_a_kind_that_may_be_listed_but_not_watched_does_not_alternate_between_states() -> None:
    changes: list[int] = []
    client = FakeClient([None], [RefusedError(403, {"message": "cannot watch"})])
    async with watching(client, lambda: changes.append(1)) as watch:
        await eventually(lambda: _holds(len(client.list_times) >= 4), within=30)
        assert watch.last_error == "cannot watch"
    assert changes == []
