"""Hedging: if a target is silent for `hedge_after`, another target is called too."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from rl_router_api.conversation.affinity import affinity_of

from fakes.testbed.responses import exact, history, streamed_text
from fakes.testbed.router import Setup, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import after, in_turn, text
from fakes.upstreams.bodies import chunks, completion, decision, encoded, event, select
from fakes.upstreams.exchange import Answer, Exchange
from fakes.upstreams.faults import error, hang, reset


async def hedged(testbed: Testbed, *targets: Answer | None, model: Answer | None = None, **routing: Any) -> Setup:
    """Starts a router that hedges after 0.1 s, in front of targets with a long idle timeout."""
    names = ["alpha", "beta", "gamma", "delta"][: len(targets)]
    order = {"hedge_after": 0.1, "fallback": names}
    changes = {name: {"timeout": 30} for name in names}
    return await testbed.start(model, *targets, routing={**order, **routing}, changes=changes)


async def test_the_next_target_of_the_fallback_order_is_called_and_its_answer_returned(testbed: Testbed) -> None:
    setup = await hedged(testbed, hang, text("b"), text("c"), fallback=["alpha", "gamma", "beta"])
    body = await setup.answer()
    assert body["choices"][0]["message"]["content"] == "c"
    assert body["router_metadata"]["model_used"] == "gamma"
    assert history(body["router_metadata"]) == [("alpha", "cancelled"), ("gamma", "ok")]
    await until(lambda: setup.alpha.requests[0].dropped, "the end of the slower call")
    assert not setup.beta.requests


@pytest.mark.parametrize("stream", [False, True])
async def test_the_slower_call_is_recorded_as_cancelled_with_an_estimated_cost(testbed: Testbed, stream: bool) -> None:
    setup = await hedged(testbed, hang, text("b"))
    await setup.send(stream=stream)
    (ledger,) = setup.router.ledgers
    slower, faster = ledger["call_history"]
    assert (slower["status"], slower["estimated"], slower["selected"]) == ("cancelled", True, False)
    assert slower["cost"] > 0
    assert (faster["status"], faster["selected"]) == ("ok", True)
    assert "estimated" not in faster
    assert ledger["target_models_cost"] == slower["cost"] + faster["cost"]
    await until(lambda: setup.alpha.requests[0].dropped, "the end of the slower call")


async def test_in_a_stream_the_target_with_the_first_content_is_used(testbed: Testbed) -> None:
    setup = await hedged(testbed, hang, text("b"))
    received = await setup.stream()
    *_, last, done = received
    assert done == "[DONE]"
    assert streamed_text(received) == "b"
    assert history(last["router_metadata"]) == [("alpha", "cancelled"), ("beta", "ok")]
    await until(lambda: setup.alpha.requests[0].dropped, "the end of the slower call")


@pytest.mark.parametrize("kept_alive_by", [b"", b" ", b"\r\n", b": waiting\n\n"])
@pytest.mark.parametrize("stream", [False, True])
async def test_headers_white_space_and_comments_do_not_count_as_content(
    testbed: Testbed, kept_alive_by: bytes, stream: bool
) -> None:
    async def keeps_alive(exchange: Exchange) -> None:
        await exchange.head("text/event-stream" if exchange.streamed else "application/json")
        if kept_alive_by:
            for _ in range(3):
                await exchange.piece(kept_alive_by)
                await asyncio.sleep(0.02)
        await exchange.until_dropped()

    setup = await hedged(testbed, keeps_alive, text("b"))
    if stream:
        assert streamed_text(await setup.stream()) == "b"
    else:
        assert (await setup.answer())["choices"][0]["message"]["content"] == "b"


async def test_the_answer_of_the_first_target_is_used_if_it_is_faster(testbed: Testbed) -> None:
    hedge_called = asyncio.Event()

    async def then_silent(exchange: Exchange) -> None:
        hedge_called.set()
        await hang(exchange)

    setup = await hedged(testbed, after(hedge_called, text("a")), then_silent)
    body = await setup.answer()
    assert body["choices"][0]["message"]["content"] == "a"
    assert history(body["router_metadata"]) == [("alpha", "ok"), ("beta", "cancelled")]
    await until(lambda: setup.beta.requests[0].dropped, "the end of the second call")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_target_that_has_begun_to_answer_is_not_hedged(testbed: Testbed, stream: bool) -> None:
    async def slow_after_its_first_byte(exchange: Exchange) -> None:
        if exchange.streamed:
            kind, data = "text/event-stream", b"".join(map(event, [*chunks("a"), b"[DONE]"]))
            first = len(b"".join(map(event, chunks("a")[:2])))
        else:
            kind, data, first = "application/json", encoded(completion("a")), 1
        await exchange.head(kind)
        await exchange.piece(data[:first])
        # Longer than `hedge_after`.
        await asyncio.sleep(0.3)
        await exchange.piece(data[first:])
        await exchange.end()

    setup = await hedged(testbed, slow_after_its_first_byte, text("b"))
    response = await setup.send(stream=stream)
    assert response.status_code == 200
    assert not setup.beta.requests


async def test_a_fast_target_is_not_hedged(testbed: Testbed) -> None:
    setup = await hedged(testbed, text("a"), text("b"), hedge_after=5)
    body = await setup.answer()
    assert history(body["router_metadata"]) == [("alpha", "ok")]
    assert not setup.beta.requests


async def test_without_hedge_after_no_other_target_is_called(testbed: Testbed) -> None:
    setup = await testbed.start(None, hang, text("b"), changes={"alpha": {"timeout": 30}})
    response = await setup.send(router={"deadline_ms": 300})
    assert response.status_code == 504
    assert not setup.beta.requests


@pytest.mark.parametrize("stream", [False, True])
async def test_a_pinned_request_is_not_hedged(testbed: Testbed, stream: bool) -> None:
    setup = await hedged(testbed, hang, text("b"))
    response = await setup.send(model="alpha", stream=stream, router={"deadline_ms": 300})
    assert response.status_code == 504
    assert not setup.beta.requests


async def test_a_tool_result_is_not_sent_to_another_target(testbed: Testbed) -> None:
    gate = asyncio.Event()
    setup = await hedged(testbed, after(gate, text("a")), text("b"))
    asyncio.get_running_loop().call_later(0.3, gate.set)
    call_id = f"call_1_rr{affinity_of('alpha')}"
    call = {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "1"},
        {"role": "system", "content": "Be brief."},
    ]
    body = await setup.answer(messages=messages)
    assert history(body["router_metadata"]) == [("alpha", "ok")]


async def test_if_both_calls_fail_another_target_is_called(testbed: Testbed) -> None:
    hedge_failed = asyncio.Event()

    async def fails(exchange: Exchange) -> None:
        hedge_failed.set()
        await error(401, "b has no key")(exchange)

    setup = await hedged(testbed, after(hedge_failed, error(401, "a has no key")), fails, text("c"))
    body = await setup.answer()
    assert history(body["router_metadata"]) == [("alpha", "error"), ("beta", "error"), ("gamma", "ok")]
    assert body["choices"][0]["message"]["content"] == "c"


@pytest.mark.parametrize("stream", [False, True])
async def test_if_both_calls_fail_and_no_target_is_left_the_client_receives_an_error(
    testbed: Testbed, stream: bool
) -> None:
    hedge_failed = asyncio.Event()

    async def fails(exchange: Exchange) -> None:
        hedge_failed.set()
        await error(401, "b has no key")(exchange)

    setup = await hedged(testbed, after(hedge_failed, error(401, "a has no key")), fails)
    response = await setup.send(stream=stream)
    assert response.status_code == 502
    assert history(exact(response.content)["router_metadata"]) == [("alpha", "error"), ("beta", "error")]


async def test_a_failed_hedge_does_not_end_the_first_call(testbed: Testbed) -> None:
    hedge_failed = asyncio.Event()

    async def fails(exchange: Exchange) -> None:
        await error(401, "b has no key")(exchange)
        hedge_failed.set()

    setup = await hedged(testbed, after(hedge_failed, text("a")), fails)
    body = await setup.answer()
    assert body["choices"][0]["message"]["content"] == "a"
    assert sorted(history(body["router_metadata"])) == [("alpha", "ok"), ("beta", "error")]


async def test_a_hedge_counts_for_max_calls(testbed: Testbed) -> None:
    setup = await hedged(testbed, hang, text("b"), max_calls=1)
    response = await setup.send(router={"deadline_ms": 300})
    assert response.status_code == 504
    assert not setup.beta.requests


async def test_the_hedges_of_several_silent_calls_stay_within_max_calls(testbed: Testbed) -> None:
    both = in_turn(decision("call_alpha", "call_beta"), select("gamma"))
    setup = await hedged(testbed, hang, hang, hang, hang, model=both, max_calls=3)
    await setup.send(router={"deadline_ms": 400})
    assert sum(len(each.requests) for each in setup.targets.values()) == 3


async def test_several_silent_calls_are_hedged_by_different_targets(testbed: Testbed) -> None:
    both = in_turn(decision("call_alpha", "call_beta"), select("gamma"))
    setup = await hedged(testbed, hang, hang, text("c"), text("d"), model=both)
    body = await setup.answer()
    assert sorted(history(body["router_metadata"])) == [
        ("alpha", "cancelled"), ("beta", "cancelled"), ("delta", "ok"), ("gamma", "ok"),
    ]  # fmt: skip
    await until(
        lambda: setup.alpha.requests[0].dropped and setup.beta.requests[0].dropped, "the end of the slower calls"
    )


async def test_a_silent_call_is_hedged_even_if_another_call_of_its_turn_has_begun_to_answer(testbed: Testbed) -> None:
    hedge_called = asyncio.Event()

    async def slow_after_its_first_byte(exchange: Exchange) -> None:
        data = encoded(completion("b"))
        await exchange.head("application/json", length=len(data))
        await exchange.send(data[:1])
        await hedge_called.wait()
        await exchange.send(data[1:])

    async def hedge(exchange: Exchange) -> None:
        hedge_called.set()
        await text("c")(exchange)

    both = in_turn(decision("call_alpha", "call_beta"), select("gamma"))
    setup = await hedged(testbed, hang, slow_after_its_first_byte, hedge, model=both)
    body = await setup.answer(router={"deadline_ms": 5000})
    assert body["choices"][0]["message"]["content"] == "c"
    assert body["router_metadata"]["routing_strategy"] == "select_response"


async def test_the_retries_of_several_failed_calls_stay_within_max_calls(testbed: Testbed) -> None:
    both = in_turn(decision("call_alpha", "call_beta"), select("alpha"))
    setup = await testbed.start(both, *[error(503, "down")] * 2, routing={"max_calls": 3})
    await setup.send()
    assert sum(len(each.requests) for each in setup.targets.values()) == 3


async def test_a_retry_must_be_affordable_after_the_cost_of_the_failed_call(testbed: Testbed) -> None:
    setup = await testbed.start(None, reset, changes={"alpha": {"price": {"request": "0.01"}}})
    body = exact((await setup.send(model="alpha", router={"max_cost": 0.015})).content)
    assert body["router_metadata"]["total_cost"] == Decimal("0.01")
    assert len(body["router_metadata"]["call_history"]) == 1


async def test_a_hedge_must_be_affordable_in_addition_to_the_silent_call(testbed: Testbed) -> None:
    setup = await hedged(testbed, hang, text("b"))
    response = await setup.send(max_tokens=200, router={"max_cost": 0.003, "deadline_ms": 300})
    assert response.status_code == 504
    assert not setup.beta.requests


async def test_if_the_client_disconnects_both_calls_are_cancelled(testbed: Testbed) -> None:
    setup = await hedged(testbed, hang, hang)
    request = asyncio.create_task(setup.send())
    await until(lambda: setup.beta.requests, "the hedge")
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await until(lambda: setup.alpha.requests[0].dropped and setup.beta.requests[0].dropped, "the end of both calls")
    await until(lambda: setup.router.ledgers, "the ledger")
    assert history(setup.router.ledgers[0]) == [("alpha", "cancelled"), ("beta", "cancelled")]
