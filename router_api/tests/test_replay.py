"""`answer(request, limits)` contains all of routing: with a recorded transport it needs no socket."""

from __future__ import annotations

from decimal import Decimal

import pytest
from rl_router_api import policies
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.config import Configuration
from rl_router_api.conversation.answer import text_of
from rl_router_api.conversation.request import Request
from rl_router_api.errors import ApiError
from rl_router_api.routing.answer import Answerer
from rl_router_api.routing.ask import RouterModel
from rl_router_api.routing.decide import PolicySetup
from rl_router_api.routing.limits import limits_of
from rl_router_api.routing.outcome import Outcome
from rl_router_api.upstreams.fleet import fleet_of

from fakes.testbed.requests import chat_request
from fakes.upstreams.bodies import call, completion, decision, select
from fakes.upstreams.recorded import RecordedTransport, Recording

PRICE = {"input": "1", "output": "10"}
CONFIGURATION = Configuration.model_validate(
    {
        "router": {"base_url": "http://router/v1", "model": "the-router", "context_length": 8192, "price": PRICE},
        "targets": [
            {"name": name, "base_url": f"http://{name}/v1", "price": PRICE} for name in ("alpha", "beta")
        ],
    }
)  # fmt: skip


async def replayed(recording: Recording, request: Request) -> tuple[Outcome, Ledger]:
    transport = RecordedTransport(recording)
    fleet = fleet_of(CONFIGURATION, CONFIGURATION.targets or (), transport)
    policy = policies.create("rl", PolicySetup(fleet.router, fleet.routing, RouterModel(fleet).ask))
    limits = limits_of(request, fleet, None, Ledger("req_1"))
    outcome = await Answerer(fleet, lambda _: policy).answer(request, limits)
    limits.ledger.close()
    assert transport.finished
    return outcome, limits.ledger


TWO_TURNS: Recording = [
    ("router", 200, decision(call("call_alpha"), call("call_beta"))),
    ("alpha", 200, completion("5")),
    ("beta", 200, completion("4")),
    ("router", 200, select("call_2")),
]


async def test_a_recorded_request_is_replayed_without_a_socket() -> None:
    outcome, ledger = await replayed(TWO_TURNS, chat_request())
    assert outcome.target == "beta"
    assert outcome.answer is not None
    assert text_of(outcome.answer.first) == "4"
    assert (ledger.strategy, ledger.turns) == ("select_response", 2)
    assert (ledger.router_cost, ledger.target_cost) == (Decimal("0.0006"), Decimal("0.00012"))


async def test_every_replay_has_the_same_cost() -> None:
    costs = {
        ledger.metadata("none")["total_cost"]
        for _ in range(3)
        for _, ledger in [await replayed(TWO_TURNS, chat_request())]
    }
    assert costs == {Decimal("0.00072")}


async def test_after_a_recorded_failure_the_fallback_order_is_used() -> None:
    recording: Recording = [
        ("router", 200, decision(call("call_alpha"))),
        ("alpha", 401, {"error": {"message": "no key"}}),
        ("router", 0, None),
        ("beta", 200, completion("4")),
    ]
    outcome, ledger = await replayed(recording, chat_request())
    assert (outcome.target, ledger.strategy) == ("beta", "fallback")
    assert [entry.status for entry in ledger.target_calls] == ["error", "ok"]


async def test_the_limits_of_a_request_are_enforced_in_a_replay() -> None:
    with pytest.raises(ApiError) as raised:
        await replayed([], chat_request(router={"max_cost": 0}))
    assert raised.value.code == "max_cost_too_low"
