"""Every kind of upstream fault, at the router model, at the only target and at the first of two, whole and streamed.

The client's outcome is the contract's, the books are exact, and nothing is left running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from stages import PRICE, ROUTER_PRICE, Served, Stage, events, exact, router_section, target
from upstreams import (
    Answer,
    Body,
    Exchange,
    chunk,
    chunks,
    closed_port,
    completion,
    cut_after,
    encoded,
    error,
    event,
    half_a_body_then,
    hang,
    html,
    huge,
    reset,
    stream,
    text,
    trickle,
    whole,
)

HALF = event(chunk({"content": "half"}))


@dataclass(frozen=True)
class Fault:
    """A fault, and what the contract says of it where it is the only target's.

    `status` is the client's for a whole answer, `streamed` for a stream (200: it had begun), `done` whether a begun
    stream is whole after all. `attempts` are the calls that are made, `calls` what each of them is booked as.
    """

    answer: Answer | None
    status: int
    streamed: int
    attempts: int = 1
    calls: str = "error"
    whole: bool = False
    done: bool = False
    replaced: bool = True
    """Whether another candidate is asked in its place."""


def either(whole_answer: Answer, streamed_answer: Answer) -> Answer:
    """One for whole answers, one for streams."""

    async def answer(exchange: Exchange) -> None:
        await (streamed_answer if exchange.streamed else whole_answer)(exchange)

    return answer


def half_then(then: Callable[[Exchange], Any]) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await half_a_body_then(exchange, then)

    return either(answer, cut_after([HALF], then))


def half_event_then(data: bytes) -> Answer:
    async def end(exchange: Exchange) -> None:
        await exchange.piece(data)
        await exchange.end()

    return cut_after([HALF], end)


WHOLE = encoded(completion())
TOO_LONG = error(400, "maximum context length is 8192 tokens", code="context_length_exceeded")
BROKEN_TEXT = b'{"choices":[{"index":0,"message":{"content":"\xff\xfe"},"delta":{"content":"\xff\xfe"}}]}'

FAULTS = {
    "refused": Fault(None, 503, 503, attempts=2),
    "reset before the first byte": Fault(reset, 502, 502, attempts=2),
    "reset after the first byte": Fault(half_then(reset), 502, 200),
    "hang": Fault(hang, 504, 504, calls="timeout"),
    "hang after the first byte": Fault(half_then(Exchange.until_dropped), 504, 200, calls="timeout"),
    "slow trickle": Fault(trickle(30), 200, 200, calls="ok", whole=True, done=True),
    "400 of its own limit": Fault(TOO_LONG, 400, 400),
    "400 for the client's fault": Fault(error(400, "bad seed"), 400, 400, replaced=False),
    "401": Fault(error(401, "no such key"), 502, 502),
    "429 with Retry-After": Fault(error(429, "slow down", Retry_After="60"), 429, 429),
    "429 without Retry-After": Fault(error(429, "slow down"), 429, 429, attempts=2),
    "500": Fault(error(500, "oops"), 502, 502),
    "502 HTML": Fault(html(502), 502, 502, attempts=2),
    "truncated JSON": Fault(either(whole(WHOLE[:-20]), half_event_then(event(encoded(chunk({}))[:-20]))), 502, 200),
    "wrong content type": Fault(whole(b"<html>hello</html>", content_type="text/html"), 502, 502),
    "a whole answer to a stream and the reverse": Fault(either(stream(chunks()), whole(completion())), 502, 502),
    "empty choices": Fault(either(whole({**completion(), "choices": []}),
                                  stream([{"id": "x", "choices": []}])), 502, 502),
    "stream without [DONE] but finished": Fault(either(text(), stream(chunks(), done=False)), 200, 200, calls="ok",
                                                whole=True, done=True),
    "stream without [DONE], unfinished": Fault(cut_after([HALF], Exchange.end), 502, 200),
    "stream error event": Fault(either(whole({"error": {"message": "overloaded"}}),
                                       half_event_then(event({"error": {"message": "overloaded"}}))), 502, 200),
    "stream error event at once": Fault(either(whole({"error": {"message": "overloaded"}}),
                                               stream([{"error": {"message": "overloaded"}}])), 502, 502),
    "invalid UTF-8": Fault(either(whole(BROKEN_TEXT), half_event_then(event(BROKEN_TEXT))), 502, 200),
    "50 MB": Fault(huge, 502, 502),
    "redirect": Fault(whole(b"", status=302, Location="http://127.0.0.1:9/"), 502, 502),
}  # fmt: skip
FREE = {"refused", "401", "500", "502 HTML", "redirect", "429 with Retry-After", "429 without Retry-After",
        "400 of its own limit", "400 for the client's fault"}  # fmt: skip
"""Faults of a call that was refused before anything was generated."""


async def upstream_url(stage: Stage, fault: Fault) -> str:
    return closed_port() if fault.answer is None else (await stage.upstream(fault.answer)).url


async def ask(served: Served, *, streamed: bool) -> tuple[int, Any, Body]:
    """The status, the last event or the body, and its metadata."""
    response = await served.ask(stream=streamed)
    if response.headers["content-type"].startswith("application/json"):
        body = exact(response.content)
        return response.status_code, body, body["router_metadata"]
    found = events(response.content)
    bearing = [each for each in found if "router_metadata" in each]
    assert len(bearing) == 1
    return response.status_code, found[-1], bearing[0]["router_metadata"]


def cost(entry: Body, price: Body) -> Decimal:
    used = entry["usage"]
    if used is None:
        return Decimal(0)
    written = used["prompt_tokens"] * Decimal(price["input"]) + used["completion_tokens"] * Decimal(price["output"])
    return written / 1_000_000


def check_books(served: Served, metadata: Body) -> None:
    """To the last digit, and the log's line says the same."""
    for entry in metadata["call_history"]:
        assert entry["cost"] == cost(entry, PRICE)
    for entry in metadata["router_calls"]:
        assert entry["cost"] == cost(entry, ROUTER_PRICE)
    assert metadata["target_models_cost"] == sum(entry["cost"] for entry in metadata["call_history"])
    assert metadata["router_cost"] == sum(entry["cost"] for entry in metadata["router_calls"])
    assert metadata["total_cost"] == metadata["router_cost"] + metadata["target_models_cost"]
    (ledger,) = served.ledgers
    for name in ("total_cost", "router_cost", "target_models_cost", "routing_strategy", "model_used", "turns_used"):
        assert ledger[name] == metadata[name]
    kept = ("call_id", "model_id", "cost", "tokens_used", "usage", "status")
    for name in ("call_history", "router_calls"):
        assert [[entry[each] for each in kept] for entry in ledger[name]] == [
            [entry[each] for each in kept] for entry in metadata[name]
        ]


async def check_nothing_is_left(served: Served, tasks: set[asyncio.Task[Any]]) -> None:
    assert served.calls_under_way == 0
    assert served.app.runtime.in_flight == 0
    for _ in range(200):
        if not (left := leftover(tasks)):
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"still running: {left}")


def leftover(before: set[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """The application's own tasks; a server's reader of a kept connection is none."""
    fresh = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
    return [task for task in fresh if "Upstream._serve" not in repr(task)]


def check_is_error(said: Body) -> None:
    assert said["error"].keys() == {"message", "type", "param", "code"}
    assert "choices" not in said


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", FAULTS)
async def test_a_fault_of_the_only_target(stage: Stage, kind: str, streamed: bool) -> None:
    fault = FAULTS[kind]
    model = await stage.upstream()
    only = target("alpha", await upstream_url(stage, fault))
    served = await stage.serve(router=router_section(model.url), targets=[only])
    tasks = asyncio.all_tasks()
    status, last, metadata = await ask(served, streamed=streamed)

    assert status == (fault.streamed if streamed else fault.status)
    if fault.done if streamed else fault.whole:
        assert last == "[DONE]" if streamed else last["choices"][0]["message"]["content"]
    else:
        check_is_error(last)
    assert [entry["status"] for entry in metadata["call_history"]] == [fault.calls] * fault.attempts
    assert all(bool(entry["cost"]) is (kind not in FREE) for entry in metadata["call_history"])
    assert all(bool(entry.get("estimated")) is (kind not in FREE and fault.calls != "ok")
               for entry in metadata["call_history"])  # fmt: skip
    assert not model.requests
    check_books(served, metadata)
    await check_nothing_is_left(served, tasks)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", FAULTS)
async def test_a_fault_of_the_first_of_two_targets(stage: Stage, kind: str, streamed: bool) -> None:
    fault = FAULTS[kind]
    model, second = await stage.upstream(), await stage.upstream(text("from beta"))
    first = target("alpha", await upstream_url(stage, fault))
    served = await stage.serve(router=router_section(model.url), targets=[first, target("beta", second.url)])
    tasks = asyncio.all_tasks()
    status, last, metadata = await ask(served, streamed=streamed)

    begun = fault.streamed == 200 if streamed else fault.whole
    called = [entry["model_id"] for entry in metadata["call_history"]]
    if begun or not fault.replaced:
        assert set(called) == {"alpha"}
        assert status == (fault.streamed if streamed else fault.status)
        if not (fault.done if streamed else fault.whole):
            check_is_error(last)
    else:
        assert called == ["alpha"] * fault.attempts + ["beta"]
        assert (status, metadata["model_used"]) == (200, "beta")
        assert last == "[DONE]" if streamed else last["choices"][0]["message"]["content"] == "from beta"
    check_books(served, metadata)
    await check_nothing_is_left(served, tasks)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", FAULTS)
async def test_a_fault_of_the_router_model(stage: Stage, kind: str, streamed: bool) -> None:
    fault = FAULTS[kind]
    alpha, beta = await stage.upstream(), await stage.upstream(text("from beta"))
    # A decision is never streamed; a direct answer would be a readable decision, and is off.
    routing = {"fallback": ["beta", "alpha"], "direct_answers": False}
    served = await stage.serve(
        router=router_section(await upstream_url(stage, fault)),
        targets=[target("alpha", alpha.url), target("beta", beta.url)],
        routing=routing,
    )
    tasks = asyncio.all_tasks()
    status, last, metadata = await ask(served, streamed=streamed)

    assert (status, metadata["routing_strategy"], metadata["model_used"]) == (200, "fallback", "beta")
    assert last == "[DONE]" if streamed else last["choices"][0]["message"]["content"] == "from beta"
    assert [entry["model_id"] for entry in metadata["call_history"]] == ["beta"]
    assert not alpha.requests
    # A text is a whole answer that is no decision, and gets its repair try; everything else is asked once.
    readable_text = kind == "stream without [DONE] but finished"
    assert len(metadata["router_calls"]) == (2 if readable_text else 1)
    check_books(served, metadata)
    await check_nothing_is_left(served, tasks)
