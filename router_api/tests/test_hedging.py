"""A target that keeps silent for `hedge_after` is not waited for alone."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from stages import Cast, Stage, exact, until
from upstreams import (
    Answer,
    Body,
    Exchange,
    chunk,
    chunks,
    completion,
    decision,
    encoded,
    error,
    event,
    hang,
    in_turn,
    select,
    text,
)


async def hedged(stage: Stage, *targets: Answer | None, model: Answer | None = None, **routing: Any) -> Cast:
    """A router that hedges after a moment, in front of targets that may be silent for long."""
    names = ["alpha", "beta", "gamma", "delta"][: len(targets)]
    order = {"hedge_after": 0.1, "fallback": names}
    patient = {name: {"timeout": 30} for name in names}
    return await stage.routed(model, *targets, routing={**order, **routing}, changes=patient)


def history(metadata: Body) -> list[tuple[str, str]]:
    return [(entry["model_id"], entry["status"]) for entry in metadata["call_history"]]


def words(events: list[Any]) -> str:
    return "".join(each["choices"][0]["delta"].get("content") or "" for each in events if each != "[DONE]")


def once(gate: asyncio.Event, then: Answer) -> Answer:
    """Answers when the gate opens."""

    async def answer(exchange: Exchange) -> None:
        await gate.wait()
        await then(exchange)

    return answer


async def only_the_head(exchange: Exchange) -> None:
    """Headers of a stream or of a whole answer, and not a byte of it."""
    await exchange.head("text/event-stream" if exchange.streamed else "application/json")
    await exchange.until_dropped()


async def test_the_next_target_of_the_fallback_order_is_asked_and_its_answer_goes_out(stage: Stage) -> None:
    cast = await hedged(stage, hang, text("b"), text("c"), fallback=["alpha", "gamma", "beta"])
    body = await cast.answer()
    assert body["choices"][0]["message"]["content"] == "c"
    assert body["router_metadata"]["model_used"] == "gamma"
    assert history(body["router_metadata"]) == [("alpha", "cancelled"), ("gamma", "ok")]
    await until(lambda: cast.alpha.requests[0].gone, "the end of the slower call")
    assert not cast.beta.requests


@pytest.mark.parametrize("stream", [False, True])
async def test_the_slower_call_is_booked_as_cancelled_and_estimated(stage: Stage, stream: bool) -> None:
    cast = await hedged(stage, hang, text("b"))
    await cast.ask(stream=stream)
    (ledger,) = cast.served.ledgers
    slower, faster = ledger["call_history"]
    assert (slower["status"], slower["estimated"], slower["selected"]) == ("cancelled", True, False)
    assert slower["cost"] > 0
    assert (faster["status"], faster["selected"]) == ("ok", True)
    assert "estimated" not in faster
    assert ledger["target_models_cost"] == slower["cost"] + faster["cost"]
    await until(lambda: cast.alpha.requests[0].gone, "the end of the slower call")


async def test_in_a_stream_the_first_content_wins(stage: Stage) -> None:
    cast = await hedged(stage, hang, text("b"))
    *found, last, done = await cast.stream()
    assert done == "[DONE]"
    assert words([*found, last]) == "b"
    assert history(last["router_metadata"]) == [("alpha", "cancelled"), ("beta", "ok")]
    await until(lambda: cast.alpha.requests[0].gone, "the end of the slower call")


async def test_headers_of_a_stream_are_no_content_yet(stage: Stage) -> None:
    cast = await hedged(stage, only_the_head, text("b"))
    assert words(await cast.stream()) == "b"


async def test_the_first_target_may_still_win(stage: Stage) -> None:
    asked = asyncio.Event()

    async def then_silent(exchange: Exchange) -> None:
        asked.set()
        await hang(exchange)

    cast = await hedged(stage, once(asked, text("a")), then_silent)
    body = await cast.answer()
    assert body["choices"][0]["message"]["content"] == "a"
    assert history(body["router_metadata"]) == [("alpha", "ok"), ("beta", "cancelled")]
    await until(lambda: cast.beta.requests[0].gone, "the end of the second call")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_target_that_has_begun_to_answer_is_not_hedged(stage: Stage, stream: bool) -> None:
    async def slow_behind_its_first_byte(exchange: Exchange) -> None:
        if exchange.streamed:
            kind, data = "text/event-stream", b"".join(map(event, [*chunks("a"), b"[DONE]"]))
            first = len(event(chunk({"role": "assistant", "content": ""})))
        else:
            kind, data, first = "application/json", encoded(completion("a")), 1
        await exchange.head(kind)
        await exchange.piece(data[:first])
        # Longer than `hedge_after`.
        await asyncio.sleep(0.3)
        await exchange.piece(data[first:])
        await exchange.end()

    cast = await hedged(stage, slow_behind_its_first_byte, text("b"))
    response = await cast.ask(stream=stream)
    assert response.status_code == 200
    assert not cast.beta.requests


async def test_a_fast_target_is_not_hedged(stage: Stage) -> None:
    cast = await hedged(stage, text("a"), text("b"), hedge_after=5)
    body = await cast.answer()
    assert history(body["router_metadata"]) == [("alpha", "ok")]
    assert not cast.beta.requests


async def test_without_hedge_after_nobody_else_is_asked(stage: Stage) -> None:
    cast = await stage.routed(None, hang, text("b"), changes={"alpha": {"timeout": 30}})
    response = await cast.ask(router={"deadline_ms": 300})
    assert response.status_code == 504
    assert not cast.beta.requests


@pytest.mark.parametrize("stream", [False, True])
async def test_a_pinned_request_is_not_hedged(stage: Stage, stream: bool) -> None:
    cast = await hedged(stage, hang, text("b"))
    response = await cast.ask(model="alpha", stream=stream, router={"deadline_ms": 300})
    assert response.status_code == 504
    assert not cast.beta.requests


async def test_where_both_fail_another_target_is_asked(stage: Stage) -> None:
    hedge_failed = asyncio.Event()

    async def fails(exchange: Exchange) -> None:
        hedge_failed.set()
        await error(500, "b is broken")(exchange)

    cast = await hedged(stage, once(hedge_failed, error(500, "a is broken")), fails, text("c"))
    body = await cast.answer()
    assert history(body["router_metadata"]) == [("alpha", "error"), ("beta", "error"), ("gamma", "ok")]
    assert body["choices"][0]["message"]["content"] == "c"


@pytest.mark.parametrize("stream", [False, True])
async def test_where_both_fail_and_nobody_is_left_the_client_hears_of_it(stage: Stage, stream: bool) -> None:
    hedge_failed = asyncio.Event()

    async def fails(exchange: Exchange) -> None:
        hedge_failed.set()
        await error(500, "b is broken")(exchange)

    cast = await hedged(stage, once(hedge_failed, error(500, "a is broken")), fails)
    response = await cast.ask(stream=stream)
    assert response.status_code == 502
    assert history(exact(response.content)["router_metadata"]) == [("alpha", "error"), ("beta", "error")]


async def test_a_hedge_that_fails_leaves_the_first_call_under_way(stage: Stage) -> None:
    hedge_failed = asyncio.Event()

    async def fails(exchange: Exchange) -> None:
        await error(500, "b is broken")(exchange)
        hedge_failed.set()

    cast = await hedged(stage, once(hedge_failed, text("a")), fails)
    body = await cast.answer()
    assert body["choices"][0]["message"]["content"] == "a"
    assert sorted(history(body["router_metadata"])) == [("alpha", "ok"), ("beta", "error")]


async def test_max_calls_leaves_no_room_for_a_hedge(stage: Stage) -> None:
    cast = await hedged(stage, hang, text("b"), max_calls=1)
    response = await cast.ask(router={"deadline_ms": 300})
    assert response.status_code == 504
    assert not cast.beta.requests


async def test_hedges_of_calls_that_are_silent_together_stay_within_max_calls(stage: Stage) -> None:
    both = in_turn(decision("call_alpha", "call_beta"), select("gamma"))
    cast = await hedged(stage, hang, hang, hang, hang, model=both, max_calls=3)
    await cast.ask(router={"deadline_ms": 400})
    assert sum(len(each.requests) for each in cast.targets.values()) == 3


async def test_calls_that_are_silent_together_are_hedged_by_targets_of_their_own(stage: Stage) -> None:
    both = in_turn(decision("call_alpha", "call_beta"), select("gamma"))
    cast = await hedged(stage, hang, hang, text("c"), text("d"), model=both)
    body = await cast.answer()
    assert sorted(history(body["router_metadata"])) == [
        ("alpha", "cancelled"), ("beta", "cancelled"), ("delta", "ok"), ("gamma", "ok"),
    ]  # fmt: skip
    await until(lambda: cast.alpha.requests[0].gone and cast.beta.requests[0].gone, "the end of the slower calls")


async def test_a_silent_call_is_hedged_although_another_of_its_turn_has_begun_to_answer(stage: Stage) -> None:
    hedge_asked = asyncio.Event()

    async def slow_behind_its_first_byte(exchange: Exchange) -> None:
        data = encoded(completion("b"))
        await exchange.head("application/json", length=len(data))
        await exchange.send(data[:1])
        await hedge_asked.wait()
        await exchange.send(data[1:])

    async def hedge(exchange: Exchange) -> None:
        hedge_asked.set()
        await text("c")(exchange)

    both = in_turn(decision("call_alpha", "call_beta"), select("gamma"))
    cast = await hedged(stage, hang, slow_behind_its_first_byte, hedge, model=both)
    body = await cast.answer(router={"deadline_ms": 5000})
    assert body["choices"][0]["message"]["content"] == "c"
    assert body["router_metadata"]["routing_strategy"] == "select_response"


async def test_retries_of_calls_that_fail_together_stay_within_max_calls(stage: Stage) -> None:
    both = in_turn(decision("call_alpha", "call_beta"), select("alpha"))
    cast = await stage.routed(both, *[error(503, "down")] * 2, routing={"max_calls": 3})
    await cast.ask()
    assert sum(len(each.requests) for each in cast.targets.values()) == 3


async def test_a_retry_must_fit_what_the_failed_call_left_of_max_cost(stage: Stage) -> None:
    async def cut(exchange: Exchange) -> None:
        exchange.reset()

    cast = await stage.routed(None, cut, changes={"alpha": {"price": {"request": "0.01"}}})
    body = exact((await cast.ask(model="alpha", router={"max_cost": 0.015})).content)
    assert body["router_metadata"]["total_cost"] == Decimal("0.01")
    assert len(cast.alpha.requests) == 1


async def test_the_hedge_must_fit_max_cost_beside_the_silent_call(stage: Stage) -> None:
    cast = await hedged(stage, hang, text("b"))
    response = await cast.ask(max_tokens=200, router={"max_cost": 0.003, "deadline_ms": 300})
    assert response.status_code == 504
    assert not cast.beta.requests


async def test_a_client_that_goes_away_ends_both_calls(stage: Stage) -> None:
    cast = await hedged(stage, hang, hang)
    asking = asyncio.create_task(cast.ask())
    await until(lambda: cast.beta.requests, "the hedge")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: cast.alpha.requests[0].gone and cast.beta.requests[0].gone, "the end of both calls")
    await until(lambda: cast.served.ledgers, "the ledger")
    assert history(cast.served.ledgers[0]) == [("alpha", "cancelled"), ("beta", "cancelled")]
