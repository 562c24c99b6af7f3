"""Ten thousand requests, 100 at a time, with faults and impatient clients: exact costs, and nothing left over."""

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
from fakes.testbed.responses import metric
from fakes.testbed.router import RunningRouter, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import sensible_decision, stream, text, whole
from fakes.upstreams.bodies import chunks, reply, usage
from fakes.upstreams.exchange import Answer, Exchange
from fakes.upstreams.faults import error, hang, html, reset

REQUESTS, AT_ONCE = 10_000, 100
WARM_UP = 2_000
"""Requests after which pools and caches do not grow any more."""
MAX_GROWTH = 12 * 1024 * 1024
"""Bytes by which the memory may grow after the warm-up."""
# Faults are rare because open breakers would keep requests away from them.
FAULTS: list[Answer] = [reset, error(500, "broken"), error(429, "slow down", retry_after="0"), html(502), hang]
CUT = stream([*chunks("Once ", "upon")[:2]], done=False)


def unsteady(seed: int, *, deciding: bool) -> Answer:
    """Returns a script that answers well nine times out of ten."""
    chance = random.Random(seed)

    async def answer(exchange: Exchange) -> None:
        if chance.random() < 0.1:
            await chance.choice([*FAULTS, CUT] if exchange.streamed else FAULTS)(exchange)
        elif deciding:
            body = sensible_decision(exchange) if chance.random() < 0.9 else reply("I would rather not.")
            await whole(body)(exchange)
        else:
            await text(used=usage(chance.randrange(1, 900), chance.randrange(1, 90)))(exchange)

    return answer


class Totals:
    """The sums of all ledgers in the log. Counted log lines are deleted."""

    def __init__(self, router: RunningRouter) -> None:
        self._router = router
        self.requests, self.cost = 0, Decimal(0)

    def count(self) -> None:
        for line in self._router.ledgers:
            calls = Decimal(sum(call["cost"] for call in line["call_history"]))
            decisions = Decimal(sum(call["cost"] for call in line["router_calls"]))
            assert line["target_models_cost"] == calls
            assert line["total_cost"] == calls + decisions
            self.requests += 1
            self.cost += line["total_cost"]
        self._router.log.clear()


async def test_costs_are_exact_and_nothing_is_left_after_ten_thousand_faulty_requests(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Otherwise pytest would keep the whole log in memory.
    monkeypatch.setattr(logging.getLogger("rl_router"), "propagate", False)
    model = await testbed.upstream(unsteady(1, deciding=True))
    targets = [await testbed.upstream(unsteady(seed, deciding=False)) for seed in (2, 3, 4)]
    router = await testbed.start_router(
        router=router_section(model.url, timeout=0.5),
        targets=[target(name, each.url, timeout=0.5) for name, each in zip("abc", targets, strict=True)],
        routing={"deadline": 5},
    )
    totals = Totals(router)
    tasks = len(asyncio.all_tasks())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        url, chance = f"{str(router.client.base_url).rstrip('/')}/v1/chat/completions", random.Random(5)
        answered = await _send(session, url, chance, WARM_UP, [model, *targets], totals)
        before = _memory()
        answered += await _send(session, url, chance, REQUESTS - WARM_UP, [model, *targets], totals)
        growth = _memory() - before
    await until(lambda: not router.calls_in_flight and not router.app.runtime.in_flight, "the end of every request")
    await until(lambda: len(asyncio.all_tasks()) <= tasks + len(targets) + 1 + _idle(router), "the end of every task")
    totals.count()
    # The most impatient clients disconnected before they had sent their request.
    assert answered <= totals.requests <= REQUESTS
    assert answered > REQUESTS * 0.8
    assert await _metered_cost(router) == round(totals.cost, 9)
    assert growth < MAX_GROWTH


def _idle(router: RunningRouter) -> int:
    """Returns the maximum number of idle connections. Each is a task of an upstream."""
    return AT_ONCE * (len(router.app.runtime.fleet.targets) + 1)


async def _send(
    session: aiohttp.ClientSession, url: str, chance: random.Random, count: int, upstreams: list[Any], totals: Totals
) -> int:
    """Sends `count` requests and returns how many were answered."""
    left = iter(range(count))

    async def one_after_another() -> int:
        answered = 0
        for number in left:
            answered += await _one(session, url, chance)
            if number % 100 == 0:
                totals.count()
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
    page = (await router.client.get("/metrics")).text
    return round(metric(page, "rl_router_cost_usd_total"), 9)


def _memory() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
