"""The contract's table "When things fail", row by row."""

from __future__ import annotations

import asyncio
import email.utils
import time
from decimal import Decimal
from typing import Any

import pytest
from stages import QUESTION, Stage, events, exact, router_section, target, until
from upstreams import (
    Answer,
    Body,
    Exchange,
    Upstream,
    by,
    chunk,
    closed_port,
    completion,
    cut_after,
    decision,
    error,
    event,
    half_a_body_then,
    hang,
    html,
    huge,
    in_turn,
    reset,
    said,
    select,
    text,
    whole,
)
from upstreams import stream as streaming

SHAPE = {"message", "type", "param", "code"}


def strategy(body: Body) -> tuple[str, str]:
    return body["router_metadata"]["routing_strategy"], body["router_metadata"]["model_used"]


def history(body: Body) -> list[tuple[str, str]]:
    return [(entry["model_id"], entry["status"]) for entry in body["router_metadata"]["call_history"]]


# Router model down, slow, anything but a readable 2xx.


@pytest.mark.parametrize("trouble", [error(500, "x"), html(502), hang, reset, error(401, "x"), whole(b"{")])
async def test_a_router_model_in_trouble_leaves_the_fallback_order(stage: Stage, trouble: Answer) -> None:
    cast = await stage.routed(trouble, None, text("from beta"), routing={"fallback": ["beta", "alpha"]})
    body = await cast.answer()
    assert strategy(body) == ("fallback", "beta")
    assert len(cast.model.requests) == 1


async def test_a_dead_router_model_does_not_cost_every_request_its_timeout(stage: Stage) -> None:
    cast = await stage.routed(hang, None, None, router={"timeout": 0.1})
    for _ in range(5):
        assert strategy(await cast.answer())[0] == "fallback"
    assert len(cast.model.requests) == 5
    for _ in range(5):
        assert strategy(await cast.answer())[0] == "fallback"
    assert len(cast.model.requests) == 5


async def test_a_router_model_that_was_replaced_is_asked_for_its_name_again(stage: Stage) -> None:
    served = "listed-model"

    def decides(asked: Exchange) -> Answer | Body:
        return decision("call_beta") if asked.body["model"] == served else error(404, "There is no such model.")

    cast = await stage.routed(by(decides), text("from alpha"), text("from beta"),
                              router={"model": None}, routing={"review": "never"})  # fmt: skip
    assert strategy(await cast.answer()) == ("committed", "beta")
    served = "another-model"
    cast.model.listing = whole({"object": "list", "data": [{"id": served, "max_model_len": 8192}]})
    assert strategy(await cast.answer())[0] == "fallback"
    assert strategy(await cast.answer()) == ("committed", "beta")


async def test_unreadable_decisions_do_not_open_the_breaker(stage: Stage) -> None:
    cast = await stage.routed(whole(said("no call")), None, None, routing={"direct_answers": False})
    for _ in range(6):
        await cast.answer()
    assert len(cast.model.requests) == 12


# A retry at the same target.

ONCE: dict[str, Answer] = {"reset": reset, "429": error(429, "slow down", Retry_After="0"), "502": html(502),
                           "503": error(503, "busy", Retry_After="0")}  # fmt: skip


@pytest.mark.parametrize("fault", ONCE)
async def test_a_passing_fault_gets_one_retry_at_the_same_target(stage: Stage, fault: str) -> None:
    cast = await stage.routed(None, in_turn(ONCE[fault], completion("better")), None)
    body = await cast.answer()
    assert history(body) == [("alpha", "error"), ("alpha", "ok")]
    assert strategy(body) == ("select_response", "alpha")


@pytest.mark.parametrize("fault", ["reset", "502", "503"])
async def test_there_is_no_second_retry(stage: Stage, fault: str) -> None:
    cast = await stage.routed(None, ONCE[fault], None)
    assert history(await cast.answer()) == [("alpha", "error"), ("alpha", "error"), ("beta", "ok")]


async def test_a_target_that_is_ready_too_late_is_left_for_another(stage: Stage) -> None:
    cast = await stage.routed(None, error(429, "slow down", Retry_After="5"), None)
    assert history(await cast.answer()) == [("alpha", "error"), ("beta", "ok")]


async def test_a_retry_after_may_be_a_date(stage: Stage) -> None:
    later = email.utils.formatdate(time.time() + 90, usegmt=True)
    cast = await stage.routed(None, error(429, "slow down", Retry_After=later))
    response = await cast.ask()
    assert response.status_code == 429
    assert 60 < int(response.headers["retry-after"]) <= 91


async def test_a_timeout_is_never_retried_at_the_same_target(stage: Stage) -> None:
    cast = await stage.routed(None, hang, None)
    assert history(await cast.answer()) == [("alpha", "timeout"), ("beta", "ok")]
    assert history(exact((await cast.ask(model="alpha")).content)) == [("alpha", "timeout")]


@pytest.mark.parametrize("then", [lambda exchange: exchange.until_dropped(), reset])
async def test_what_breaks_off_after_the_first_byte_is_not_retried(stage: Stage, then: Any) -> None:
    async def half(exchange: Any) -> None:
        await half_a_body_then(exchange, then)

    cast = await stage.routed(None, half, None)
    body = await cast.answer()
    assert [model for model, _ in history(body)] == ["alpha", "beta"]


async def test_the_router_model_hears_that_a_call_failed_and_chooses_again(stage: Stage) -> None:
    cast = await stage.routed(None, error(500, "sk-inner-text"), text("b"), None)
    body = await cast.answer()
    assert strategy(body) == ("select_response", "beta")
    second = cast.model.requests[1]
    assert "failed" in second.body["messages"][-1]["content"]
    assert "sk-inner-text" not in second.raw.decode()
    assert second.offered == ["call_beta", "call_gamma"]


async def test_a_target_that_said_429_is_set_aside_for_other_requests(stage: Stage) -> None:
    cast = await stage.routed(None, error(429, "slow down", Retry_After="30"), None, None)
    await cast.answer()
    cast.model.requests.clear()
    await cast.answer()
    assert cast.model.requests[0].offered == ["call_beta", "call_gamma"]
    assert len(cast.alpha.requests) == 1


async def test_an_open_breaker_sets_a_target_aside(stage: Stage) -> None:
    cast = await stage.routed(None, error(500, "down"), None, None)
    for _ in range(5):
        await cast.ask(model="alpha")
    await cast.answer()
    assert cast.model.requests[0].offered == ["call_beta", "call_gamma"]


async def test_where_every_breaker_is_open_the_call_is_made_all_the_same(stage: Stage) -> None:
    cast = await stage.routed(None, in_turn(*[error(500, "down")] * 6, completion("back")))
    for _ in range(6):
        assert (await cast.ask()).status_code == 502
    assert (await cast.ask()).status_code == 200


# A 400, 413 or 422 of a target.

OWN_LIMITS = [
    error(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
    error(400, "Unsupported parameter: 'max_tokens'.", code="unsupported_parameter"),
    error(400, "The response was filtered.", code="content_filter"),
    error(413, "too large"),
]


@pytest.mark.parametrize("limit", OWN_LIMITS)
async def test_a_targets_own_limit_leads_to_another_candidate(stage: Stage, limit: Answer) -> None:
    cast = await stage.routed(None, limit, text("b"), None)
    assert history(await cast.answer()) == [("alpha", "error"), ("beta", "ok")]


async def test_no_third_candidate_is_asked_after_two_own_limits(stage: Stage) -> None:
    cast = await stage.routed(None, OWN_LIMITS[0], OWN_LIMITS[0], None)
    response = await cast.ask()
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert not cast.gamma.requests


@pytest.mark.parametrize("status", [400, 422])
async def test_the_clients_fault_goes_back_to_it_in_the_targets_words(stage: Stage, status: int) -> None:
    cast = await stage.routed(None, error(status, "`seed` must be an integer.", code="bad_seed", param="seed"), None)
    response = await cast.ask()
    assert response.status_code == status
    wanted = {"message": "`seed` must be an integer.", "type": "invalid_request_error", "param": "seed",
              "code": "bad_seed"}  # fmt: skip
    assert response.json()["error"] == wanted
    assert not cast.beta.requests


# 401, 403, 404, 3xx, and a 2xx that is no completion.

NO_COMPLETION: dict[str, Answer] = {
    "401": error(401, "Incorrect API key provided: sk-alphas-secret"),
    "403": error(403, "no"),
    "404": error(404, "no such model"),
    "302": whole(b"", status=302, Location="http://127.0.0.1:9/v1/chat/completions"),
    "no JSON": whole(b"<html>", content_type="text/html"),
    "truncated": whole(b'{"choices": [{"mess'),
    "invalid UTF-8": whole(b'{"choices":[{"message":{"content":"\xff\xfe"}}]}'),
    "no choices": whole({"choices": []}),
    "an error as a 200": whole({"error": {"message": "sk-alphas-secret"}}),
    "over 32 MiB": huge,
}


@pytest.mark.parametrize("fault", NO_COMPLETION)
async def test_a_failed_call_is_not_retried_and_its_text_stays_here(
    stage: Stage, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHAS_KEY", "sk-alphas-secret")
    cast = await stage.routed(None, NO_COMPLETION[fault], None, changes={"alpha": {"api_key_env": "ALPHAS_KEY"}})
    assert history(await cast.answer()) == [("alpha", "error"), ("beta", "ok")]
    response = await cast.ask(model="alpha")
    assert response.status_code == 502
    assert response.json()["error"].keys() == SHAPE
    assert "sk-alphas-secret" not in response.text + repr(cast.served.log)


# What can just be read may be too deep to be read or written again: where that begins depends on the stack.
DEPTHS = [*range(850, 1_000), 5_000]


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_nests_without_end_is_a_failed_call_in_openais_shape(stage: Stage, stream: bool) -> None:
    call = b'{"index":0,"id":"a","function":{"name":"f","arguments":%s}}'
    made = b'{"choices":[{"index":0,"%s":{"tool_calls":[' + call + b']},"finish_reason":"stop"}]}'

    def deep(exchange: Exchange) -> Answer:
        depth = int(exchange.body["messages"][0]["content"])
        body = made % (b"delta" if stream else b"message", nested(depth))
        return streaming([body]) if stream else whole(body)

    cast = await stage.routed(None, by(deep))
    for depth in DEPTHS:
        response = await cast.ask(messages=[{"role": "user", "content": str(depth)}], stream=stream)
        assert response.status_code in (200, 502), depth
        assert response.status_code == 200 or response.json()["error"].keys() == SHAPE
        cast.served.app.runtime.fleet.targets[0][1].breaker.succeeded()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_nests_too_deeply_is_a_400_whatever_it_would_go_through(
    stage: Stage, stream: bool
) -> None:
    loop = b'{"role":"assistant","tool_calls":[{"id":"a_rr123456","x":%s}]},{"role":"tool","tool_call_id":"a_rr123456"}'
    body = b'{"model":"router","stream":%s,"stream_options":{"x":%s},"messages":[' + loop + b"]}"
    cast = await stage.routed(None, None)
    for depth in DEPTHS:
        filled = body % (b"true" if stream else b"false", nested(depth), nested(depth))
        headers = {"content-type": "application/json"}
        response = await cast.client.post("/v1/chat/completions", content=filled, headers=headers)
        assert response.status_code in (200, 400), depth


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": %s}' % nested(5_000),
        b'{"error": {"message": "no", "code": %s, "param": %s}}' % (nested(100), nested(100)),
        b'{"error": {"message": ["no", {"key": "sk-alphas-secret"}]}}',
    ],
)
async def test_whatever_a_targets_error_holds_the_client_gets_one_in_openais_shape(
    stage: Stage, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHAS_KEY", "sk-alphas-secret")
    changes = {"alpha": {"api_key_env": "ALPHAS_KEY"}}
    cast = await stage.routed(None, whole(body, status=400), changes=changes)
    response = await cast.ask()
    assert response.status_code == 400
    error = response.json()["error"]
    assert error.keys() == SHAPE
    assert [name for name, value in error.items() if not isinstance(value, str | None)] == []
    assert "sk-alphas-secret" not in response.text


async def test_a_list_of_models_that_nests_without_end_is_no_list(stage: Stage) -> None:
    class Nesting(Upstream):
        async def _answer(self, exchange: Exchange) -> None:
            listing = exchange.path.endswith("/models")
            made = whole(b'{"data": [], "x": %s}' % nested(5_000))
            await (made(exchange) if listing else super()._answer(exchange))

    async with Nesting() as model, Nesting() as alpha:
        sections = {"router": {"base_url": model.url}, "targets": [target("alpha", alpha.url)]}
        async with stage.serving(**sections) as served:
            assert (await served.ask()).status_code == 200


async def test_no_redirect_is_followed(stage: Stage) -> None:
    elsewhere = await stage.upstream()
    cast = await stage.routed(None, whole(b"", status=302, Location=f"{elsewhere.url}/chat/completions"))
    assert (await cast.ask()).status_code == 502
    assert not elsewhere.requests


# Every candidate fails.


async def test_where_nobody_can_be_reached_the_answer_is_a_503(stage: Stage) -> None:
    model = await stage.upstream()
    targets = [target("alpha", closed_port()), target("beta", closed_port())]
    served = await stage.serve(router=router_section(model.url), targets=targets)
    response = await served.ask()
    assert response.status_code == 503
    assert response.json()["error"].keys() == SHAPE
    assert {model for model, _ in history(response.json())} == {"alpha", "beta"}


async def test_where_everybody_says_429_the_answer_is_a_429_with_the_shortest_wait(stage: Stage) -> None:
    cast = await stage.routed(None, error(429, "no", Retry_After="40"), error(429, "no", Retry_After="20"))
    response = await cast.ask()
    assert response.status_code == 429
    assert response.headers["retry-after"] in {"20", "21"}


async def test_where_everybody_times_out_the_answer_is_a_504(stage: Stage) -> None:
    cast = await stage.routed(None, hang, hang)
    response = await cast.ask()
    assert response.status_code == 504
    assert history(response.json()) == [("alpha", "timeout"), ("beta", "timeout")]


async def test_what_was_paid_for_nothing_stands_beside_the_error(stage: Stage) -> None:
    cast = await stage.routed(None, hang, error(500, "down"))
    response = await cast.ask()
    assert response.status_code == 502
    metadata = exact(response.content)["router_metadata"]
    silent, down = metadata["call_history"]
    assert silent["estimated"] is True
    assert silent["cost"] > 0
    assert down["cost"] == 0
    assert metadata["total_cost"] == metadata["router_cost"] + metadata["target_models_cost"] > 0


async def test_a_pinned_request_has_no_fallback(stage: Stage) -> None:
    cast = await stage.routed(None, error(500, "down"), None)
    assert (await cast.ask(model="alpha")).status_code == 502
    assert not cast.beta.requests + cast.model.requests


# Streams.


async def test_a_failure_before_the_first_byte_of_a_stream_is_a_json_error(stage: Stage) -> None:
    cast = await stage.routed(None, error(500, "down"))
    response = await cast.ask(stream=True)
    assert response.status_code == 502
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"].keys() == SHAPE


async def test_a_cut_stream_ends_with_an_error_event_and_what_it_cost(stage: Stage) -> None:
    pieces = [event(chunk({"content": "half an answer"}))]
    cast = await stage.routed(None, cut_after(pieces, reset))
    response = await cast.ask(stream=True)
    assert response.status_code == 200
    *_, last = events(response.content)
    assert last["error"].keys() == SHAPE
    (entry,) = last["router_metadata"]["call_history"]
    assert (entry["status"], entry["estimated"]) == ("error", True)
    assert entry["usage"]["completion_tokens"] == 4
    assert entry["cost"] > 0
    assert b"[DONE]" not in response.content


# The client goes away.


@pytest.mark.parametrize("stream", [False, True])
async def test_when_the_client_goes_away_every_upstream_call_is_cancelled_and_booked(
    stage: Stage, stream: bool
) -> None:
    cast = await stage.routed(in_turn(decision("call_alpha", "call_beta")), hang, hang,
                              changes={name: {"timeout": 30} for name in ("alpha", "beta")})  # fmt: skip
    asking = asyncio.create_task(cast.ask(stream=stream))
    await until(lambda: cast.alpha.requests and cast.beta.requests, "the calls")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: cast.alpha.requests[0].gone and cast.beta.requests[0].gone, "the end of the calls", within=1)
    await until(lambda: cast.served.ledgers, "the ledger")
    (ledger,) = cast.served.ledgers
    assert history({"router_metadata": ledger}) == [("alpha", "cancelled"), ("beta", "cancelled")]
    assert all(entry["cost"] > 0 for entry in ledger["call_history"])
    assert ledger["total_cost"] == Decimal("0.000007") + sum(entry["cost"] for entry in ledger["call_history"])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
async def test_when_the_client_goes_away_the_router_model_is_not_left_deciding(stage: Stage, path: str) -> None:
    cast = await stage.routed(hang, None, None, router={"timeout": 30})
    asking = asyncio.create_task(cast.client.post(path, json={"model": "router", "messages": QUESTION}))
    await until(lambda: cast.model.requests, "the decision")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: cast.model.requests[0].gone, "the end of the decision", within=1)
    await until(lambda: cast.served.ledgers, "the ledger")
    (ledger,) = cast.served.ledgers
    assert (ledger["status"], ledger["router_calls"][0]["status"]) == (499, "cancelled")
    assert ledger["total_cost"] > 0


# Bad input.

JSON = {"content-type": "application/json"}
BAD: dict[str, tuple[int, str | None, str, bytes, dict[str, str]]] = {
    "no JSON": (400, None, "POST", b"{", JSON),
    "a list": (400, None, "POST", b"[]", JSON),
    "no model": (400, "model", "POST", b'{"messages": [{"role": "user", "content": "x"}]}', JSON),
    "no messages": (400, "messages", "POST", b'{"model": "router"}', JSON),
    "empty messages": (400, "messages", "POST", b'{"model": "router", "messages": []}', JSON),
    "no role": (400, "messages[0].role", "POST", b'{"model": "router", "messages": [{"content": "x"}]}', JSON),
    "n": (400, "n", "POST", b'{"model":"router","n":0,"messages":[{"role":"user","content":"x"}]}', JSON),
    "too many messages": (
        400,
        "messages",
        "POST",
        b'{"model":"router","messages":[%s]}' % b",".join([b'{"role":"user"}'] * 10_001),
        JSON,
    ),
    "too many parts": (
        400,
        "messages",
        "POST",
        b'{"model":"router","messages":[{"role":"user","content":[%s]}]}' % b",".join([b'{"type":"a"}'] * 10_001),
        JSON,
    ),
    "too many tool calls": (
        400,
        "messages",
        "POST",
        b'{"model":"router","messages":[{"role":"assistant","tool_calls":[%s]}]}' % b",".join([b"{}"] * 10_001),
        JSON,
    ),
    "too many fields": (400, None, "POST", b"{%s}" % b",".join(b'"%d":1' % number for number in range(1_001)), JSON),
    "tools that are no list": (
        400,
        "tools",
        "POST",
        b'{"model":"router","tools":{},"messages":[{"role":"user","content":"x"}]}',
        JSON,
    ),
    "n too large": (400, "n", "POST", b'{"model":"router","n":129,"messages":[{"role":"user","content":"x"}]}', JSON),
    "n beyond all memory": (
        400,
        "n",
        "POST",
        b'{"model":"router","n":%d,"stream":true,"messages":[{"role":"user","content":"x"}]}' % 10**30,
        JSON,
    ),
    "stream": (400, "stream", "POST", b'{"model":"router","stream":1,"messages":[{"role":"user","content":""}]}', JSON),
    "invalid UTF-8": (400, None, "POST", b'{"model": "\xff"}', JSON),
    "no content type": (415, None, "POST", b"{}", {}),
    "a form": (415, None, "POST", b"{}", {"content-type": "application/x-www-form-urlencoded"}),
    "wrong method": (405, None, "GET", b"", {}),
}


@pytest.mark.parametrize("kind", BAD)
async def test_bad_input_is_answered_in_openais_shape_naming_the_field(stage: Stage, kind: str) -> None:
    status, param, method, data, headers = BAD[kind]
    cast = await stage.routed(None, None, None)
    response = await cast.client.request(method, "/v1/chat/completions", content=data, headers=headers)
    assert response.status_code == status
    found = response.json()["error"]
    assert found.keys() == SHAPE
    assert found["param"] == param
    assert found["type"] == "invalid_request_error"


async def test_a_path_that_is_not_there_is_a_404_in_openais_shape(stage: Stage) -> None:
    cast = await stage.routed(None, None)
    response = await cast.client.post("/v1/embeddings", json={})
    assert (response.status_code, response.json()["error"].keys()) == (404, SHAPE)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_a_413(stage: Stage, chunked: bool) -> None:
    cast = await stage.routed(None, None, server={"max_body_bytes": 2048})
    data = b'{"model": "router", "padding": "' + b"x" * 4096 + b'"}'

    async def pieces() -> Any:
        yield data

    response = await cast.client.post(
        "/v1/chat/completions", content=pieces() if chunked else data, headers={"content-type": "application/json"}
    )
    assert (response.status_code, response.json()["error"].keys()) == (413, SHAPE)


# Overload.


async def test_over_max_in_flight_a_429_comes_at_once_and_health_still_answers(stage: Stage) -> None:
    cast = await stage.routed(None, hang, server={"max_in_flight": 1}, changes={"alpha": {"timeout": 30}})
    asking = asyncio.create_task(cast.ask())
    await until(lambda: cast.alpha.requests, "the call")
    response = await cast.ask()
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert (await cast.client.get("/health")).status_code == 200
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: len(cast.served.ledgers) == 2, "the end of the first request")
    cast.alpha.answer = text()
    assert (await cast.ask()).status_code == 200


async def test_previews_are_requests_under_way_like_others(stage: Stage) -> None:
    cast = await stage.routed(hang, None, None, server={"max_in_flight": 1}, router={"timeout": 30})
    body = {"model": "router", "messages": QUESTION}
    asking = asyncio.create_task(cast.client.post("/v1/route", json=body))
    await until(lambda: cast.model.requests, "the decision")
    for path in ("/v1/route", "/v1/chat/completions"):
        response = await cast.client.post(path, json=body)
        assert (response.status_code, response.json()["error"]["code"]) == (429, "overloaded")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_of_requests_that_are_decided_together_no_more_reach_a_target_than_it_takes(
    stage: Stage, stream: bool
) -> None:
    together, go_on, under_way = asyncio.Barrier(8), asyncio.Event(), [0, 0]

    async def decide_together(exchange: Exchange) -> None:
        await together.wait()
        await whole(decision("call_alpha"))(exchange)

    async def slow(exchange: Exchange) -> None:
        under_way[0] += 1
        under_way[1] = max(under_way)
        await go_on.wait()
        await text("a")(exchange)
        under_way[0] -= 1

    routing = {"fallback": ["alpha", "beta", "gamma"], "review": "never"}
    changes = {"alpha": {"max_in_flight": 2, "timeout": 30}}
    cast = await stage.routed(decide_together, slow, None, None, routing=routing, changes=changes)
    asking = [asyncio.create_task(cast.ask(stream=stream, router={"max_turns": 1})) for _ in range(8)]
    await until(lambda: under_way[0] == 2 and len(cast.beta.requests) == 6, "the calls")
    go_on.set()
    assert [(await each).status_code for each in asking] == [200] * 8
    assert under_way[1] == 2


async def test_calls_of_one_turn_leave_out_those_for_which_a_target_has_no_place(stage: Stage) -> None:
    many = decision(*["call_alpha"] * 5, "call_beta")
    cast = await stage.routed(
        in_turn(many, select("call_1")), None, None, changes={"alpha": {"max_in_flight": 2}}
    )  # fmt: skip
    body = await cast.answer()
    called = [(entry["model_id"], entry["status"]) for entry in body["router_metadata"]["call_history"]]
    assert called == [("alpha", "ok"), ("alpha", "ok"), ("beta", "ok")]


async def test_a_target_that_is_full_is_no_candidate(stage: Stage) -> None:
    changes = {"alpha": {"timeout": 30, "max_in_flight": 1}}
    cast = await stage.routed(None, hang, None, None, changes=changes)
    asking = asyncio.create_task(cast.ask(model="alpha"))
    await until(lambda: cast.alpha.requests, "the call")
    await cast.answer()
    assert cast.model.requests[0].offered == ["call_beta", "call_gamma"]
    assert (await cast.ask(model="alpha")).status_code == 429
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


# Hedging.


async def test_a_silent_target_is_hedged_and_the_first_answer_wins(stage: Stage) -> None:
    changes = {"alpha": {"timeout": 30}}
    routing = {"hedge_after": 0.1, "fallback": ["alpha", "beta"]}
    cast = await stage.routed(None, hang, text("b"), routing=routing, changes=changes)
    body = await cast.answer()
    assert sorted(history(body)) == [("alpha", "cancelled"), ("beta", "ok")]
    assert body["router_metadata"]["model_used"] == "beta"
    assert body["choices"][0]["message"]["content"] == "b"
    await until(lambda: cast.alpha.requests[0].gone, "the end of the slower call")


# Errors that a repeat can or cannot mend.


async def test_an_error_that_may_pass_does_not_say_that_a_repeat_is_useless(stage: Stage) -> None:
    cast = await stage.routed(None, error(503, "busy"))
    assert "x-should-retry" not in (await cast.ask()).headers


async def test_a_client_that_sends_half_a_request_and_goes_leaves_nothing_behind(stage: Stage) -> None:
    cast = await stage.routed(None, None)
    host, port = cast.client.base_url.host, cast.client.base_url.port
    _, writer = await asyncio.open_connection(host, port)
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    writer.write(f"{head}\r\n{{".encode())
    await writer.drain()
    await until(lambda: cast.served.app.runtime.in_flight == 1, "the request")
    writer.close()
    await writer.wait_closed()
    await until(lambda: cast.served.app.runtime.in_flight == 0, "the request's end")


async def test_whatever_mischief_the_router_model_makes_somebody_answers(stage: Stage) -> None:
    mischief: list[Any] = [
        decision("call_nobody"), said(""), said("<think>"), said("<tool_call>{"), said("{}"), said("[]"),
        decision(*["call_alpha"] * 10), select("call_1"), completion(None), {"choices": [{"message": None}]},
    ]  # fmt: skip
    for each in mischief:
        cast = await stage.routed(in_turn(each), text("a"), text("b"), routing={"direct_answers": False})
        body = await cast.answer()
        assert body["choices"][0]["message"]["content"] in "ab"
