"""What the learned policy reads of a request."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.config import Configuration
from rl_router_api.health import GuardVerdict
from rl_router_api.policies.rulings import Ruling, Rulings
from rl_router_api.policies.situation import Terms, situation_of
from rl_router_api.routing.decide import Candidate, PastCall
from rl_router_api.routing.limits import limits_of
from rl_router_api.upstreams.fleet import fleet_of
from rl_router_policy.features import Context
from rl_router_policy.situation import Situation

from fakes.testbed.requests import chat_request
from fakes.upstreams.recorded import UnusedTransport

RULING = Ruling(GuardVerdict(verdict="off"), ranking=("alpha",))
TERMS = Terms(unit=0.01, second_price=0.001, rulings=Rulings(RULING, {}))


def situation(
    *messages: dict[str, Any], candidates: tuple[Candidate, ...] = (), calls: tuple[PastCall, ...] = (), **fields: Any
) -> Situation:
    request = chat_request(messages=list(messages), **fields)
    limits = limits_of(request, fleet_of(Configuration(), (), UnusedTransport()), TERMS.unit, Ledger("r"))
    return situation_of(request, candidates, limits, calls, TERMS)


def says(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


async def test_the_text_is_the_last_user_message_and_the_context_describes_the_rest() -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    read = situation(
        says("system", "Be brief."),
        says("user", "Look."),
        says("assistant", None, tool_calls=[call]),
        says("tool", "a cat", tool_call_id="c1"),
        says("user", "And now?"),
        tools=[tool, tool],
    )
    assert read.text == "And now?"
    assert read.context == Context(messages=4, characters=len("Be brief.Look.a cat"), tools=2, tool_results=1)


async def test_the_text_consists_of_the_text_parts_of_a_message() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "What"}, picture, {"type": "text", "text": "is this?"}]
    assert situation(says("user", parts)).text == "What\nis this?"


async def test_without_a_user_message_the_text_is_the_last_message() -> None:
    read = situation(says("system", "Tell a joke."), says("assistant", None))
    assert (read.text, read.context.messages) == ("", 1)
    assert situation(says("system", "Tell a joke.")).text == "Tell a joke."


async def test_a_long_text_is_shortened() -> None:
    assert len(situation(says("user", "word " * 5_000)).text) == 8_001


@pytest.mark.parametrize(("prefer", "value"), [("cost", 0.01), ("quality", 0.5), (0.021, 0.02), (7.0, 1.0)])
async def test_the_value_follows_from_the_goal(prefer: object, value: float) -> None:
    assert situation(says("user", "Hi"), router={"prefer": prefer}).value == pytest.approx(value)


async def test_a_candidate_has_the_price_the_cost_and_the_size_of_its_target() -> None:
    price = {"input": "2", "output": "8", "request": "0.001"}
    configured = {"name": "alpha", "base_url": "http://a/v1", "model": "Org/Model-7B", "price": price}
    target = Configuration.model_validate({"targets": [configured]}).targets
    assert target is not None
    candidate = Candidate(
        "alpha", "call_alpha", price=target[0].price, input_tokens=1_000, latency=0.5, model="Org/Model-7B"
    )
    (read,) = situation(says("user", "Hi"), candidates=(candidate,)).candidates
    assert (read.tool, read.target, read.model, read.latency) == ("call_alpha", "alpha", "Org/Model-7B", 0.5)
    assert read.price is not None
    assert (read.price.input, read.price.output, read.cost) == (2.0, 8.0, pytest.approx(0.003))
    assert read.profile is not None
    assert read.profile.parameters == 7.0


async def test_nothing_is_invented_about_an_unknown_target() -> None:
    (read,) = situation(says("user", "Hi"), candidates=(Candidate("alpha", "call_alpha", model="alpha"),)).candidates
    assert (read.price, read.cost, read.profile, read.latency) == (None, None, None, None)


async def test_earlier_calls_are_part_of_the_situation() -> None:
    failed = PastCall("call_1", "alpha", "call_alpha", failure="status 500", cost=Decimal("0.25"), latency=1.5)
    good = PastCall("call_2", "beta", "call_beta", text="Four.")
    first, second = situation(says("user", "Hi"), calls=(failed, good)).calls
    assert (first.tool, first.status, first.cost, first.seconds) == ("call_alpha", "failed", 0.25, 1.5)
    assert (second.call_id, second.status, second.answer) == ("call_2", "ok", "Four.")
