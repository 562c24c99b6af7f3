"""Each kind of upstream fault, at the router model, at the only target and at the first of two, streamed and not.

The client receives the documented response, the ledger is exact, and no task is left.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from fakes.ports import closed_url
from fakes.testbed.configuration import PRICE, ROUTER_PRICE, router_section, target
from fakes.testbed.responses import ERROR_FIELDS, events, exact
from fakes.testbed.router import RunningRouter, Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import either, stream, text, whole
from fakes.upstreams.bodies import chunk, chunks, completion, encoded, event
from fakes.upstreams.exchange import Answer, Body, Exchange
from fakes.upstreams.faults import HALF, cut_after, error, half_then, half_then_data, hang, html, huge, reset, trickle


@dataclass(frozen=True)
class Fault:
    """A fault, and the expected result if the only target has it.

    `status` is the client's status, `streamed` the status for a stream (200 if the stream began before the fault).
    `attempts` is the number of calls, `calls` the status of each.
    """

    answer: Answer | None
    status: int
    streamed: int
    attempts: int = 1
    calls: str = "error"
    repeated: bool = False
    """Whether a streamed request is tried once more at the same target, without the addition of `stream_options`."""
    complete: bool = False
    """Whether the client receives an answer in spite of the fault."""
    replaced: bool = True
    """Whether another candidate is called."""


WHOLE = encoded(completion())
TOO_LONG = error(400, "maximum context length is 8192 tokens", code="context_length_exceeded")
BROKEN_JSON = b'{"choices":[{"index":0,"message":{"content":"4"\xff\xfe},"delta":{"content":"4"\xff\xfe}}]}'
RATE_LIMITED = {"index": 0, "finish_reason": "error", "error": {"code": 429, "message": "slow down"}}

FAULTS = {
    "refused": Fault(None, 503, 503, attempts=2),
    "reset before the first byte": Fault(reset, 502, 502, attempts=2),
    "reset after the first byte": Fault(half_then(reset), 502, 200),
    "hang": Fault(hang, 504, 504, calls="timeout"),
    "hang after the first byte": Fault(half_then(Exchange.until_dropped), 504, 200, calls="timeout"),
    "slow trickle": Fault(trickle(30), 200, 200, calls="ok", complete=True),
    "400 of its own limit": Fault(TOO_LONG, 400, 400, repeated=True),
    "400 of any kind": Fault(error(400, "bad seed"), 400, 400, repeated=True),
    "400 for a malformed body": Fault(error(400, "no 'messages'", code="missing"), 400, 400, replaced=False),
    "401": Fault(error(401, "no such key"), 502, 502),
    "429 with Retry-After": Fault(error(429, "slow down", Retry_After="60"), 429, 429),
    "429 without Retry-After": Fault(error(429, "slow down"), 429, 429, attempts=2),
    "429 in a choice": Fault(either(whole({"choices": [RATE_LIMITED]}), stream([{"choices": [RATE_LIMITED]}])),
                             429, 429),
    "a finish reason of a failed upstream": Fault(stream([chunk({"role": "assistant"}), chunk({}, "network_error")]),
                                                  502, 502),
    "500": Fault(error(500, "oops"), 502, 502, attempts=2),
    "402": Fault(error(402, "Insufficient Balance"), 429, 429),
    "502 HTML": Fault(html(502), 502, 502, attempts=2),
    "truncated JSON": Fault(either(whole(WHOLE[:-20]), half_then_data(event(encoded(chunk({}))[:-20]))), 502, 200),
    "wrong content type": Fault(whole(b"<html>hello</html>", content_type="text/html"), 502, 502),
    "empty choices": Fault(either(whole({**completion(), "choices": []}),
                                  stream([{"id": "x", "choices": []}])), 502, 502),
    "stream without [DONE] but finished": Fault(either(text(), stream(chunks(), done=False)), 200, 200, calls="ok",
                                                complete=True),
    "stream without [DONE], unfinished": Fault(cut_after([HALF], Exchange.end), 502, 200),
    "stream error event": Fault(either(whole({"error": {"message": "overloaded"}}),
                                       half_then_data(event({"error": {"message": "overloaded"}}))), 502, 200),
    "stream error event at once": Fault(either(whole({"error": {"message": "overloaded"}}),
                                               stream([{"error": {"message": "overloaded"}}])), 502, 502),
    "invalid UTF-8 outside a text": Fault(either(whole(BROKEN_JSON), half_then_data(event(BROKEN_JSON))), 502, 200),
    "50 MB": Fault(huge, 502, 502),
    "redirect": Fault(whole(b"", status=302, Location="http://127.0.0.1:9/"), 502, 502),
}  # fmt: skip
FREE = {"refused", "401", "402", "500", "502 HTML", "redirect", "429 with Retry-After", "429 without Retry-After",
        "400 of its own limit", "400 of any kind", "400 for a malformed body",
        "stream error event at once", "429 in a choice", "a finish reason of a failed upstream"}  # fmt: skip
"""Faults before the target generated anything, so that the call costs nothing."""


def is_free(kind: str, *, streamed: bool) -> bool:
    """Returns whether the call costs nothing. An error in the middle of an answer is not free."""
    return kind in FREE or (kind == "stream error event" and not streamed)


def is_estimated(kind: str, *, streamed: bool) -> bool:
    """Returns whether a call that costs money reports no usage."""
    reports_usage = FAULTS[kind].calls == "ok" or (kind == "empty choices" and not streamed)
    return not is_free(kind, streamed=streamed) and not reports_usage


each_fault = pytest.mark.parametrize("kind", FAULTS)
each_form = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


async def upstream_url(testbed: Testbed, fault: Fault) -> str:
    return closed_url() if fault.answer is None else (await testbed.upstream(fault.answer)).url


async def send(router: RunningRouter, *, streamed: bool) -> tuple[int, Any, Body]:
    """Sends a request. Returns the status, the body or the last event, and the metadata."""
    response = await router.send(stream=streamed)
    if response.headers["content-type"].startswith("application/json"):
        body = exact(response.content)
        return response.status_code, body, body["router_metadata"]
    received = events(response.content)
    (metadata,) = [each["router_metadata"] for each in received if "router_metadata" in each]
    return response.status_code, received[-1], metadata


def cost(entry: Body, price: Body) -> Decimal:
    used = entry["usage"]
    if used is None:
        return Decimal(0)
    per_million = used["prompt_tokens"] * Decimal(price["input"]) + used["completion_tokens"] * Decimal(price["output"])
    return per_million / 1_000_000


def check_costs(router: RunningRouter, metadata: Body) -> None:
    """Checks that every cost is exact and that the log line has the same costs."""
    for entry in metadata["call_history"]:
        assert entry["cost"] == cost(entry, PRICE)
    for entry in metadata["router_calls"]:
        assert entry["cost"] == cost(entry, ROUTER_PRICE)
    assert metadata["target_models_cost"] == sum(entry["cost"] for entry in metadata["call_history"])
    assert metadata["router_cost"] == sum(entry["cost"] for entry in metadata["router_calls"])
    assert metadata["total_cost"] == metadata["router_cost"] + metadata["target_models_cost"]
    (ledger,) = router.ledgers
    for name in ("total_cost", "router_cost", "target_models_cost", "routing_strategy", "model_used", "turns_used"):
        assert ledger[name] == metadata[name]
    fields = ("call_id", "model_id", "cost", "tokens_used", "usage", "status")
    for name in ("call_history", "router_calls"):
        assert [[entry[each] for each in fields] for entry in ledger[name]] == [
            [entry[each] for each in fields] for entry in metadata[name]
        ]


async def check_nothing_is_running(router: RunningRouter, tasks: set[asyncio.Task[Any]]) -> None:
    assert router.calls_in_flight == 0
    assert router.app.runtime.in_flight == 0

    await until(lambda: not leftover(tasks), "the end of every task")


def leftover(before: set[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Returns the application's new tasks, without upstreams' readers of idle connections."""
    fresh = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
    return [task for task in fresh if "Upstream._serve" not in repr(task)]


def check_is_error(body: Body) -> None:
    assert body["error"].keys() == ERROR_FIELDS
    assert "choices" not in body


@each_fault
@each_form
async def test_the_result_of_a_fault_of_the_only_target(testbed: Testbed, kind: str, streamed: bool) -> None:
    fault = FAULTS[kind]
    model = await testbed.upstream()
    only = target("alpha", await upstream_url(testbed, fault))
    router = await testbed.start_router(router=router_section(model.url), targets=[only])
    tasks = asyncio.all_tasks()
    status, last, metadata = await send(router, streamed=streamed)

    assert status == (fault.streamed if streamed else fault.status)
    if fault.complete:
        assert last == "[DONE]" if streamed else last["choices"][0]["message"]["content"]
    else:
        check_is_error(last)
    attempts = fault.attempts + (fault.repeated and streamed)
    assert [entry["status"] for entry in metadata["call_history"]] == [fault.calls] * attempts
    free, estimated = is_free(kind, streamed=streamed), is_estimated(kind, streamed=streamed)
    assert all(bool(entry["cost"]) is not free for entry in metadata["call_history"])
    assert all(bool(entry.get("estimated")) is estimated for entry in metadata["call_history"])
    assert not model.requests
    check_costs(router, metadata)
    await check_nothing_is_running(router, tasks)


@each_fault
@each_form
async def test_a_fault_of_the_first_of_two_targets_leads_to_the_second(
    testbed: Testbed, kind: str, streamed: bool
) -> None:
    fault = FAULTS[kind]
    model, second = await testbed.upstream(), await testbed.upstream(text("from beta"))
    first = target("alpha", await upstream_url(testbed, fault))
    router = await testbed.start_router(router=router_section(model.url), targets=[first, target("beta", second.url)])
    tasks = asyncio.all_tasks()
    status, last, metadata = await send(router, streamed=streamed)

    begun = fault.streamed == 200 if streamed else fault.complete
    called = [entry["model_id"] for entry in metadata["call_history"]]
    if begun or not fault.replaced:
        assert set(called) == {"alpha"}
        assert status == (fault.streamed if streamed else fault.status)
        if not fault.complete:
            check_is_error(last)
    else:
        assert called == ["alpha"] * (fault.attempts + (fault.repeated and streamed)) + ["beta"]
        assert (status, metadata["model_used"]) == (200, "beta")
        assert last == "[DONE]" if streamed else last["choices"][0]["message"]["content"] == "from beta"
    check_costs(router, metadata)
    await check_nothing_is_running(router, tasks)


@each_fault
@each_form
async def test_a_fault_of_the_router_model_leads_to_the_fallback_order(
    testbed: Testbed, kind: str, streamed: bool
) -> None:
    fault = FAULTS[kind]
    alpha, beta = await testbed.upstream(), await testbed.upstream(text("from beta"))
    # Direct answers are off because a text would be a valid decision. Decisions are never streamed.
    routing = {"fallback": ["beta", "alpha"], "direct_answers": False}
    router = await testbed.start_router(
        router=router_section(await upstream_url(testbed, fault)),
        targets=[target("alpha", alpha.url), target("beta", beta.url)],
        routing=routing,
    )
    tasks = asyncio.all_tasks()
    status, last, metadata = await send(router, streamed=streamed)

    assert (status, metadata["routing_strategy"], metadata["model_used"]) == (200, "fallback", "beta")
    assert last == "[DONE]" if streamed else last["choices"][0]["message"]["content"] == "from beta"
    assert [entry["model_id"] for entry in metadata["call_history"]] == ["beta"]
    assert not alpha.requests
    # Only a text, which is a complete answer without a decision, is repaired once.
    is_text = kind == "stream without [DONE] but finished"
    assert len(metadata["router_calls"]) == (2 if is_text else 1)
    check_costs(router, metadata)
    await check_nothing_is_running(router, tasks)
