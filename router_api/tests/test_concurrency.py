"""The costs of concurrent requests are never mixed."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from fakes.testbed.configuration import router_section, target
from fakes.testbed.responses import events, exact, streamed_text
from fakes.testbed.router import Testbed
from fakes.upstreams.answers import by_request, text
from fakes.upstreams.bodies import call, decision, select, usage
from fakes.upstreams.exchange import Body, Exchange

PRICES = {
    "alpha": {"input": "0.137", "output": "0.731"},
    "beta": {"input": "1.25", "cached_input": "0.125", "output": "10", "request": "0.000001"},
    "gamma": {"input": "3.333333", "output": "15.000000000001"},
}
REQUESTS = 50


def number_of(text: str) -> int:
    """Returns the number of a request, which its text contains as `#NUMBER#`."""
    return int(text.split("#")[1])


def tokens(number: int, name: str) -> Body:
    """Returns a usage that is different for every request and target."""
    cached = {"prompt_tokens_details": {"cached_tokens": number}}
    return usage(1000 + number * 7 + len(name), 100 + number * 13, **cached)


def cost(used: Body, price: Body) -> Decimal:
    cached = used.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    cached_price = Decimal(price.get("cached_input", price["input"]))
    fresh = (used["prompt_tokens"] - cached) * Decimal(price["input"])
    written = used["completion_tokens"] * Decimal(price["output"])
    return (fresh + cached * cached_price + written) / 1_000_000 + Decimal(price.get("request", 0))


def decide(request: Exchange) -> Body:
    number = number_of(request.body["messages"][1]["content"])
    used = usage(number + 1, 2 * number + 1)
    names = list(PRICES)
    if "select_response" in request.offered:
        return {**select("call_1"), "usage": used}
    chosen = {names[number % 3], names[(number + number // 3) % 3]}
    return decision(*[call(f"call_{name}") for name in sorted(chosen)], used=used)


def answer_of(name: str) -> Any:
    async def answer(request: Exchange) -> None:
        number = number_of(request.body["messages"][0]["content"])
        await asyncio.sleep(0.001 * (number % 5))
        await text(f"{name} to #{number}#", used=tokens(number, name))(request)

    return answer


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_each_of_fifty_concurrent_requests_has_its_own_exact_costs(testbed: Testbed, streamed: bool) -> None:
    router_price = {"input": "0.05", "output": "0.1"}
    model = await testbed.upstream(by_request(decide))
    targets = [
        target(name, (await testbed.upstream(answer_of(name))).url, price=price, timeout=30)
        for name, price in PRICES.items()
    ]
    router = await testbed.start_router(
        router=router_section(model.url, price=router_price, timeout=30), targets=targets
    )

    async def send(number: int) -> tuple[int, str, Body]:
        response = await router.send(messages=[{"role": "user", "content": f"#{number}#"}], stream=streamed)
        assert response.status_code == 200
        if not streamed:
            body = exact(response.content)
            return number, body["choices"][0]["message"]["content"], body["router_metadata"]
        received = events(response.content)
        return number, streamed_text(received), received[-2]["router_metadata"]

    answers = await asyncio.gather(*map(send, range(REQUESTS)))
    for number, content, metadata in answers:
        assert content == f"{metadata['model_used']} to #{number}#"
        for entry in metadata["call_history"]:
            used = tokens(number, entry["model_id"])
            assert entry["usage"] == used
            assert entry["cost"] == cost(used, PRICES[entry["model_id"]])
        for entry in metadata["router_calls"]:
            assert entry["usage"] == usage(number + 1, 2 * number + 1)
            assert entry["cost"] == cost(entry["usage"], router_price)
        assert metadata["target_models_cost"] == sum(entry["cost"] for entry in metadata["call_history"])
        assert metadata["router_cost"] == sum(entry["cost"] for entry in metadata["router_calls"])
        assert metadata["total_cost"] == metadata["router_cost"] + metadata["target_models_cost"]

    assert len({metadata["request_id"] for _, _, metadata in answers}) == REQUESTS
    logged = {ledger["request_id"]: ledger["total_cost"] for ledger in router.ledgers}
    assert logged == {metadata["request_id"]: metadata["total_cost"] for _, _, metadata in answers}
