"""Clients that send their bodies slowly, or never completely, do not take the capacity of others."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
from rl_router_api.config import RequestHandlingConfig
from rl_router_api.errors import ApiError
from rl_router_api.runtime.load import Load
from rl_router_api.upstreams.in_flight import InFlight, WorkerRow, make_in_flight_table

from fakes.testbed.http1 import RawClient
from fakes.testbed.keys import KeysFile, bearer
from fakes.testbed.requests import chat_body
from fakes.testbed.router import Setup, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import text
from fakes.upstreams.faults import hang

Connect = Callable[[Setup], Awaitable[RawClient]]
KIB = 1024


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens a connection to a router. All connections are closed when the test ends."""
    clients = list[RawClient]()

    async def connected(setup: Setup) -> RawClient:
        url = setup.client.base_url
        clients.append(RawClient(*await asyncio.open_connection(url.host, url.port)))
        return clients[-1]

    yield connected
    for client in clients:
        await client.leave()


def head(length: int, path: str = "/v1/chat/completions", key: str | None = None) -> bytes:
    headers = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    headers += "".join(f"{name}: {value}\r\n" for name, value in bearer(key).items()) if key else ""
    return f"POST {path} HTTP/1.1\r\n{headers}\r\n".encode()


def load_of(setup: Setup) -> Load:
    return setup.router.app.runtime.load


async def test_unfinished_bodies_take_no_slot_of_max_in_flight(testbed: Testbed, connect: Connect) -> None:
    setup = await testbed.start(None, None, server={"max_in_flight": 1})
    for path in ("/v1/chat/completions", "/v1/route"):
        await (await connect(setup)).send(head(100, path) + b"{")
    await until(lambda: load_of(setup).pending_bytes == 2, "both bodies")
    assert load_of(setup).in_flight == 0
    assert (await setup.send()).status_code == 200


async def test_a_slow_body_is_answered_when_it_is_complete(testbed: Testbed, connect: Connect) -> None:
    setup, body = await testbed.start(None, None), chat_body()
    client = await connect(setup)
    await client.send(head(len(body)) + body[:5])
    await until(lambda: load_of(setup).pending_bytes == 5, "the first part")
    await client.send(body[5:])
    assert (await client.answer())[0] == 200
    assert (load_of(setup).pending_bytes, load_of(setup).in_flight) == (0, 0)


async def test_a_slow_body_counts_for_max_in_flight_when_it_is_complete(testbed: Testbed, connect: Connect) -> None:
    setup = await testbed.start(None, hang, server={"max_in_flight": 1}, changes={"alpha": {"timeout": 30}})
    slow, early, body = await connect(setup), await connect(setup), chat_body()
    await slow.send(head(len(body)) + body[:5])
    await until(lambda: load_of(setup).pending_bytes == 5, "the first part")
    request = asyncio.create_task(setup.send())
    await until(lambda: setup.alpha.requests, "the call of the other request")
    await slow.send(body[5:])
    # A client whose body is not complete learns at once that there is no free slot.
    await early.send(head(len(body)) + body[:5])
    for client in (slow, early):
        status, error = await client.answer()
        assert (status, json.loads(error)["error"]["code"]) == (429, "overloaded")
    assert (load_of(setup).pending_bytes, load_of(setup).in_flight) == (0, 1)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)


async def test_bodies_over_max_pending_bytes_are_a_429_and_health_still_answers(
    testbed: Testbed, connect: Connect
) -> None:
    setup = await testbed.start(None, None, server={"max_body_bytes": 40 * KIB, "max_pending_bytes": 64 * KIB})
    clients = [await connect(setup) for _ in range(2)]
    for sent, client in enumerate(clients, 1):
        await client.send(head(40 * KIB) + bytes(30 * KIB))
        await until(lambda: load_of(setup).pending_bytes == sent * 30 * KIB, "the bytes of the body")  # noqa: B023
    third = await connect(setup)
    await third.send(head(40 * KIB) + bytes(5 * KIB))
    status, error = await third.answer()
    assert (status, json.loads(error)["error"]["code"]) == (429, "overloaded")
    assert load_of(setup).pending_bytes == 60 * KIB
    assert (await setup.client.get("/health")).status_code == 200
    # Requests that arrive at once need no memory for an unfinished body.
    assert (await setup.send()).status_code == 200
    for client in clients:
        await client.leave()
    await until(lambda: load_of(setup).pending_bytes == 0, "the end of both bodies")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_decompressed_bodies_count_for_max_pending_bytes_until_their_requests_end(
    testbed: Testbed, coding: str
) -> None:
    limits = {"max_body_bytes": 40 * KIB, "max_pending_bytes": 64 * KIB}
    setup = await testbed.start(None, hang, server=limits, changes={"alpha": {"timeout": 30}})
    plain = chat_body(model="alpha", messages=[{"role": "user", "content": "a" * 30 * KIB}])
    compressed = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)
    headers = {"content-type": "application/json", "content-encoding": coding}

    def send() -> Coroutine[Any, Any, httpx.Response]:
        return setup.client.post("/v1/chat/completions", content=compressed, headers=headers)

    running = [asyncio.create_task(send()) for _ in range(2)]
    await until(lambda: len(setup.alpha.requests) == 2, "both calls")
    held = 2 * (len(plain) - len(compressed))
    assert load_of(setup).pending_bytes == held
    refused = await send()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "overloaded")
    assert load_of(setup).pending_bytes == held
    for request in running:
        request.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await until(lambda: load_of(setup).pending_bytes == 0, "the end of both requests")


@pytest.mark.parametrize(("others", "allowed"), [([], 4), (["ben"], 2)], ids=["only key", "several keys"])
async def test_one_of_several_keys_leaves_memory_for_the_bodies_of_the_other_keys(
    testbed: Testbed, connect: Connect, tmp_path: Path, others: list[str], allowed: int
) -> None:
    keys = KeysFile(tmp_path / "keys.yaml")
    ann, *rest = [keys.add(name) for name in ("ann", *others)]
    limits = {"max_body_bytes": 20 * KIB, "max_pending_bytes": 80 * KIB, "api_keys_file": str(keys.path)}
    setup = await testbed.start(None, text("a"), server=limits)
    for sent in range(1, allowed + 1):
        await (await connect(setup)).send(head(20 * KIB, key=ann) + bytes(20 * KIB - 1))
        await until(lambda: load_of(setup).pending_bytes == sent * (20 * KIB - 1), "the bytes of the body")  # noqa: B023
    further = await connect(setup)
    await further.send(head(20 * KIB, key=ann) + bytes(KIB))
    status, error = await further.answer()
    assert (status, json.loads(error)["error"]["code"]) == (429, "overloaded")
    for key in rest:
        body, other = chat_body(model="alpha"), await connect(setup)
        await other.send(head(len(body), key=key) + body[:5])
        await until(lambda: load_of(setup).pending_bytes == allowed * (20 * KIB - 1) + 5, "the first part")
        await other.send(body[5:])
        assert (await other.answer())[0] == 200


async def test_the_deadline_covers_the_body(testbed: Testbed, connect: Connect) -> None:
    setup = await testbed.start(None, None, routing={"deadline": 0.2})
    client = await connect(setup)
    await client.send(head(100) + b"{")
    status, error = await client.answer()
    assert (status, json.loads(error)["error"]["code"]) == (504, "deadline_exceeded")
    assert (load_of(setup).pending_bytes, load_of(setup).in_flight) == (0, 0)


async def test_the_clients_deadline_starts_before_the_body(testbed: Testbed, connect: Connect) -> None:
    setup, body = await testbed.start(None, hang), chat_body(router={"deadline_ms": 1})
    client, loop = await connect(setup), asyncio.get_running_loop()
    await client.send(head(len(body)) + body[:5])
    await until(lambda: load_of(setup).pending_bytes == 5, "the first part")
    received = loop.time()
    await until(lambda: loop.time() > received + 0.001, "the deadline")
    await client.send(body[5:])
    status, error = await client.answer()
    assert (status, json.loads(error)["error"]["code"]) == (504, "deadline_exceeded")
    assert not setup.model.requests


async def test_a_client_that_disconnects_during_its_body_leaves_nothing_behind(
    testbed: Testbed, connect: Connect
) -> None:
    setup = await testbed.start(None, None)
    client = await connect(setup)
    await client.send(head(100) + b"{")
    await until(lambda: load_of(setup).pending_bytes == 1, "the body")
    await client.leave()
    await until(lambda: load_of(setup).pending_bytes == 0, "the request's end")
    await until(lambda: setup.router.ledgers, "the request's log line")
    assert load_of(setup).in_flight == 0


LIMITS = RequestHandlingConfig(max_body_bytes=KIB, max_pending_bytes=6 * KIB)


def test_one_of_several_keys_may_have_half_of_the_bytes_over_all_workers(tmp_path: Path) -> None:
    table = make_in_flight_table(str(tmp_path), 2)
    one, other = (Load(InFlight(WorkerRow(table, row, 2))) for row in range(2))
    one.hold(2 * KIB, LIMITS, "ann")
    other.hold(KIB, LIMITS, "ann")
    for load in (one, other):
        with pytest.raises(ApiError, match=f"`ann` is at its limit of {3 * KIB} bytes") as error:
            load.hold(1, LIMITS, "ann")
        load.release(1, "ann")
        assert (error.value.status, error.value.code, error.value.retry_after) == (429, "overloaded", 1)
    one.hold(3 * KIB, LIMITS, "ben")
    with pytest.raises(ApiError, match=f"server is at its limit of {6 * KIB} bytes"):
        other.hold(1, LIMITS, "eve")
    other.release(1, "eve")
    other.release(KIB, "ann")
    one.hold(KIB, LIMITS, "ann")


def test_one_of_several_keys_may_have_a_body_of_the_maximum_size() -> None:
    load, limits = Load(InFlight()), RequestHandlingConfig(max_body_bytes=4 * KIB, max_pending_bytes=6 * KIB)
    load.hold(4 * KIB, limits, "ann")
    with pytest.raises(ApiError, match="`ann`"):
        load.hold(1, limits, "ann")


def test_the_limits_hold_over_all_workers(tmp_path: Path) -> None:
    table = make_in_flight_table(str(tmp_path), 2)
    one, other = (Load(InFlight(WorkerRow(table, row, 2))) for row in range(2))
    server = RequestHandlingConfig(max_in_flight=1, max_body_bytes=KIB, max_pending_bytes=2 * KIB)
    one.begin(server)
    one.hold(KIB, server)
    other.hold(KIB, server)
    for refused in (other.begin, other.check, lambda limits: other.hold(1, limits)):
        with pytest.raises(ApiError) as error:
            refused(server)
        assert (error.value.status, error.value.code) == (429, "overloaded")
    assert (one.in_flight, one.pending_bytes) == (1, 2 * KIB + 1)
    one.end()
    one.release(KIB)
    other.begin(server)
    assert (one.in_flight, one.pending_bytes) == (1, KIB + 1)
