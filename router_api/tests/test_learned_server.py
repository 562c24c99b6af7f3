"""The policy `rl` describes decisions to a router model whose server announces a learned policy, and to no other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rl_router_policy.situation import Candidate, Price
from rl_router_policy.wire import situation_from

from fakes.policy.artefacts import write_artefact
from fakes.testbed.configuration import router_section, target
from fakes.testbed.model_server import running_model_server
from fakes.testbed.requests import QUESTION
from fakes.testbed.router import RunningRouter, Testbed
from fakes.upstreams.answers import in_turn, whole
from fakes.upstreams.bodies import completion, decision, reply, select
from fakes.upstreams.exchange import Answer, Body
from fakes.upstreams.faults import error
from fakes.upstreams.server import Upstream

RECORDED = json.loads((Path(__file__).with_name("corpus") / "router_model_requests.json").read_text())
"""The bodies that the router API sent to the router model before the learned policy existed, by protocol."""
TWO_TURNS: dict[str, tuple[Body, Body]] = {
    "tools": (decision("call_alpha"), select("call_1")),
    "json_schema": (reply('{"ask":"alpha"}'), reply('{"select":"call_1"}')),
}
ARTEFACT = "a" * 64
ANNOUNCEMENT = {"decisions": 1, "artefact": ARTEFACT}
REASONS = {
    "artefact": ARTEFACT,
    "reason": "the best of 2 candidates",
    "challenger": None,
    "candidates": [{"tool": "call_alpha", "quality": 0.75, "preference": 0.5, "cost": 0.25}],
}


def listing(announcement: Any, name: str = "the-router") -> Answer:
    """Returns a list of models with one model. The entry of the model announces `announcement`."""
    entry = {"id": name, "max_model_len": 8192, **({} if announcement is None else {"rl_router": announcement})}
    return whole({"object": "list", "data": [entry]})


async def started(
    testbed: Testbed, listed: Answer, answers: Sequence[Answer | Body], router: Body | None = None, **routing: Any
) -> tuple[RunningRouter, Upstream]:
    """Starts a router with two targets, and a router model whose server has a list of models."""
    model = await testbed.upstream(in_turn(*answers))
    model.models_answer = listed
    alpha, beta = [await testbed.upstream(whole(completion("4"))) for _ in range(2)]
    targets = [target("alpha", alpha.url), target("beta", beta.url, price=None, model="maker/Beta")]
    section = router_section(model.url, **(router or {}))
    return await testbed.start_router(router=section, targets=targets, routing=routing), model


def described(body: bytes) -> Any:
    return json.loads(body)["rl_router"]


@pytest.mark.parametrize("protocol", TWO_TURNS)
@pytest.mark.parametrize("announcement", [None, "yes", {"decisions": 2, "artefact": ARTEFACT}])
async def test_a_server_without_the_announcement_gets_the_recorded_bytes(
    testbed: Testbed, protocol: str, announcement: Any
) -> None:
    router, model = await started(testbed, listing(announcement), TWO_TURNS[protocol], {"protocol": protocol})
    await router.answer(temperature=0.5)
    assert [request.raw.decode() for request in model.requests] == RECORDED[protocol]


@pytest.mark.parametrize("protocol", TWO_TURNS)
async def test_a_server_with_the_announcement_gets_the_same_request_and_the_situation(
    testbed: Testbed, protocol: str
) -> None:
    router, model = await started(testbed, listing(ANNOUNCEMENT), TWO_TURNS[protocol], {"protocol": protocol})
    await router.answer(temperature=0.5)
    bodies = [request.raw.decode() for request in model.requests]
    assert [body.partition(',"rl_router":')[0] + "}" for body in bodies] == RECORDED[protocol]
    first, second = [situation_from(described(request.raw)) for request in model.requests]
    assert first.text == "What is 2 + 2?"
    assert first.candidates[0] == Candidate(
        "call_alpha", "alpha", price=Price(1.25, 10), cost=first.candidates[0].cost, latency=None
    )
    assert first.candidates[1] == Candidate("call_beta", "beta", model="maker/Beta")
    assert (first.guard, first.calls) == ("unproven", ())
    (call,) = second.calls
    assert (call.call_id, call.tool, call.status, call.answer) == ("call_1", "call_alpha", "ok", "4")


async def test_the_situation_contains_the_guard_and_the_fallback_order(testbed: Testbed) -> None:
    router, model = await started(
        testbed, listing(ANNOUNCEMENT), [decision("call_alpha")], guard=False, fallback=["beta", "alpha"], max_turns=1
    )
    await router.answer()
    situation = situation_from(described(model.requests[0].raw))
    assert (situation.guard, situation.ranking) == ("off", ("beta", "alpha"))


async def test_the_first_model_of_the_server_counts_if_no_router_model_is_configured(testbed: Testbed) -> None:
    router, model = await started(
        testbed, listing(ANNOUNCEMENT, "any"), [decision("call_alpha")], {"model": None}, max_turns=1
    )
    await router.answer()
    assert described(model.requests[0].raw)["version"] == 1


async def test_another_model_of_the_same_server_gets_no_situation(testbed: Testbed) -> None:
    router, model = await started(testbed, listing(ANNOUNCEMENT, "another"), [decision("call_alpha")], max_turns=1)
    await router.answer()
    assert "rl_router" not in model.requests[0].body


async def test_the_reasons_of_the_server_are_part_of_the_metadata(testbed: Testbed) -> None:
    answer = {**decision("call_alpha"), "rl_router": REASONS}
    router, _ = await started(testbed, listing(ANNOUNCEMENT), [answer], max_turns=1)
    explained = (await router.answer())["router_metadata"]["decision"]
    assert (explained["policy"], explained["artefact"], explained["chosen"]) == ("rl", ARTEFACT, "alpha")
    assert (explained["reason"], explained["guard"]["verdict"]) == ("the best of 2 candidates", "unproven")
    (estimate,) = explained["candidates"]
    assert [estimate[name] for name in ("target", "quality", "preference", "cost", "propensity")] == [
        "alpha", 0.75, 0.5, 0.25, 1,
    ]  # fmt: skip


async def test_the_reasons_of_a_server_that_announces_no_policy_do_not_count(testbed: Testbed) -> None:
    answer = {**decision("call_alpha"), "rl_router": REASONS}
    router, _ = await started(testbed, listing(None), [answer], max_turns=1)
    assert "decision" not in (await router.answer())["router_metadata"]


@pytest.mark.parametrize("reasons", [None, "x", {"artefact": 5}, {"artefact": "a", "reason": "b", "candidates": {}}])
async def test_reasons_that_cannot_be_read_do_not_count(testbed: Testbed, reasons: Any) -> None:
    answer = {**decision("call_alpha"), "rl_router": reasons}
    router, _ = await started(testbed, listing(ANNOUNCEMENT), [answer], max_turns=1)
    metadata = (await router.answer())["router_metadata"]
    assert metadata["model_used"] == "alpha"
    assert "decision" not in metadata


async def test_a_server_without_a_choice_is_not_called_again_for_the_same_decision(testbed: Testbed) -> None:
    reasons = {**REASONS, "reason": "every candidate's call failed"}
    router, model = await started(testbed, listing(ANNOUNCEMENT), [{**reply("no"), "rl_router": reasons}])
    metadata = (await router.answer())["router_metadata"]
    assert metadata["routing_strategy"] == "fallback"
    assert len(model.requests) == 1
    preview = await router.client.post("/v1/route", json={"model": "router", "messages": QUESTION})
    assert preview.json()["words"] == "every candidate's call failed"


async def test_the_cpu_fallback_decides_by_price_and_quality_without_its_language_model(
    testbed: Testbed, tmp_path: Path
) -> None:
    artefact = write_artefact(tmp_path / "artefact", {"alpha": 0.9, "beta": 0.8})
    prices = {"alpha": {"input": "10", "output": "100"}, "beta": {"input": "1", "output": "2"}}
    targets = [
        target(name, (await testbed.upstream(whole(completion(name)))).url, price=price)
        for name, price in prices.items()
    ]
    with running_model_server("--artefact", str(artefact)) as server:
        section = {"base_url": f"{server.url}/v1"}
        router = await testbed.start_router(router=section, targets=targets, routing={"guard": False, "max_turns": 1})
        chosen = {}
        for prefer in ("cost", 100):
            metadata = (await router.answer(router={"prefer": prefer}))["router_metadata"]
            assert metadata["decision"]["chosen"] == metadata["model_used"]
            chosen[prefer] = metadata["model_used"]
    assert chosen == {"cost": "beta", 100: "alpha"}
    assert not [line for line in server.lines if "loading" in line]


async def test_a_list_of_models_that_fails_does_not_change_decisions(testbed: Testbed) -> None:
    router, model = await started(testbed, error(500, "broken"), TWO_TURNS["tools"])
    await router.answer(temperature=0.5)
    assert [request.raw.decode() for request in model.requests] == RECORDED["tools"]
