"""Ten thousand requests, a hundred at once, with faults and impatient clients: books exact, nothing left."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.testbed.configuration import router_section, target
from fakes.testbed.requests import QUESTION
from fakes.testbed.router import RunningRouter, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import sensible_decision, stream, text, whole
from fakes.upstreams.bodies import chunks, reply, usage
from fakes.upstreams.exchange import Answer, Exchange
from fakes.upstreams.faults import error, hang, html, reset

REQUESTS, AT_ONCE = 10_000, 100
WARM = 2_000
"""Requests after which pools and caches have their size."""
MOST_GROWTH = 12 * 1024 * 1024
# Breakers would soon keep the faults away: mostly well, some of everything else.
FAULTS: list[Answer] = [reset, error(500, "broken"), error(429, "slow down", retry_after="0"), html(502), hang]
CUT = stream([*chunks("Once ", "upon")[:2]], done=False)


def unsteady(seed: int, *, deciding: bool) -> Answer:
    """A server that answers well nine times of ten."""
    chance = random.Random(seed)

    async def answer(exchange: Exchange) -> None:
        if chance.random() < 0.1:
            await chance.choice([*FAULTS, CUT] if exchange.streamed else FAULTS)(exchange)
        elif deciding:
            await whole(sensible_decision(exchange) if chance.random() < 0.9 else reply("I would rather not."))(
                exchange
            )
        else:
            await text(used=usage(chance.randrange(1, 900), chance.randrange(1, 90)))(exchange)

    return answer


class Books:
    """What the log's ledgers add up to; lines are forgotten once they are counted."""

    def __init__(self, router: RunningRouter) -> None:
        self._served = served
        self.requests, self.cost = 0, Decimal(0)

    def count(self) -> None:
        for line in self._served.ledgers:
            calls = Decimal(sum(call["cost"] for call in line["call_history"]))
            decisions = Decimal(sum(call["cost"] for call in line["router_calls"]))
            assert line["target_models_cost"] == calls
            assert line["total_cost"] == calls + decisions
            self.requests += 1
            self.cost += line["total_cost"]
        self._served.log.clear()


async def test_books_are_exact_and_nothing_is_left_after_ten_thousand_unruly_requests(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest would keep all of the log.
    monkeypatch.setattr(logging.getLogger("rl_router"), "propagate", False)
    model = await testbed.upstream(unsteady(1, deciding=True))
    targets = [await testbed.upstream(unsteady(seed, deciding=False)) for seed in (2, 3, 4)]
    router = await testbed.start_router(
        router=router_section(model.url, timeout=0.5),
        targets=[target(name, each.url, timeout=0.5) for name, each in zip("abc", targets, strict=True)],
        routing={"deadline": 5},
    )
    books = Books(router)
    tasks = len(asyncio.all_tasks())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        url, chance = f"{str(router.client.base_url).rstrip('/')}/v1/chat/completions", random.Random(5)
        answered = await _send(session, url, chance, WARM, [model, *targets], books)
        before = _memory()
        answered += await _send(session, url, chance, REQUESTS - WARM, [model, *targets], books)
        growth = _memory() - before
    await until(lambda: not router.calls_in_flight and not router.app.runtime.in_flight, "the end of every request")
    await until(lambda: len(asyncio.all_tasks()) <= tasks + len(targets) + 1 + _idle(router), "the end of every task")
    books.count()
    # The most impatient clients were gone before their request had left.
    assert answered <= books.requests <= REQUESTS
    assert answered > REQUESTS * 0.8
    assert await _metered_cost(router) == round(books.cost, 9)
    assert growth < MOST_GROWTH


def _idle(router: RunningRouter) -> int:
    """Connections that the router keeps to its upstreams are a task each on the upstreams' side."""
    return AT_ONCE * (len(router.app.runtime.fleet.targets) + 1)


async def _send(
    session: aiohttp.ClientSession, url: str, chance: random.Random, count: int, upstreams: list[Any], books: Books
) -> int:
    """Sends `count` requests and says how many were answered."""
    left = iter(range(count))

    async def one_after_another() -> int:
        answered = 0
        for number in left:
            answered += await _one(session, url, chance)
            if number % 100 == 0:
                books.count()
                for upstream in upstreams:
                    upstream.requests.clear()
        return answered

    return sum(await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE))))


async def _one(session: aiohttp.ClientSession, url: str, chance: random.Random) -> bool:
    body = {"model": chance.choice(["router", "router", "a"]), "messages": QUESTION, "stream": chance.random() < 0.3}
    impatient = aiohttp.ClientTimeout(total=chance.random() * 0.05 if chance.random() < 0.1 else 20)
    try:
        async with session.post(url, json=body, timeout=impatient) as response:
            await response.read()
            assert response.status in (200, 429, 502, 503, 504)
            return True
    except TimeoutError:
        assert impatient.total is not None
        assert impatient.total < 1
        return False


async def _metered_cost(router: RunningRouter) -> Decimal:
    lines = (await router.client.get("/metrics")).text.splitlines()
    costs = [Decimal(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("rl_router_cost_usd_total")]
    return round(sum(costs, Decimal(0)), 9)


def _memory() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
