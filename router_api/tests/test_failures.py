"""What the router does when the router model, a target or a client fails, and what the client receives."""

from __future__ import annotations

import asyncio
import email.utils
import time
from decimal import Decimal
from typing import Any

import pytest

from fakes.ports import closed_url
from fakes.testbed.configuration import router_section, target
from fakes.testbed.requests import QUESTION, chat_body
from fakes.testbed.responses import ERROR_FIELDS, events, exact, history, strategy
from fakes.testbed.router import Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import by_request, in_turn, text, whole
from fakes.upstreams.answers import stream as streaming
from fakes.upstreams.bodies import chunk, completion, decision, encoded, event, reply, select, usage
from fakes.upstreams.exchange import Answer, Body, Exchange
from fakes.upstreams.faults import cut_after, error, half_body_then, hang, html, huge, reset

# Failures of the router model.


@pytest.mark.parametrize("failure", [error(500, "x"), html(502), hang, reset, error(401, "x"), whole(b"{")])
async def test_if_the_router_model_fails_the_fallback_order_is_used(testbed: Testbed, failure: Answer) -> None:
    setup = await testbed.start(failure, None, text("from beta"), routing={"fallback": ["beta", "alpha"]})
    body = await setup.answer()
    assert strategy(body) == ("fallback", "beta")
    assert len(body["router_metadata"]["router_calls"]) == 1


async def test_requests_do_not_wait_for_a_router_model_whose_breaker_is_open(testbed: Testbed) -> None:
    setup = await testbed.start(hang, None, None, router={"timeout": 0.3})
    for _ in range(5):
        assert strategy(await setup.answer())[0] == "fallback"
    assert len(setup.model.requests) == 5
    for _ in range(5):
        assert strategy(await setup.answer())[0] == "fallback"
    assert len(setup.model.requests) == 5


async def test_if_the_router_model_was_replaced_its_name_is_read_again(testbed: Testbed) -> None:
    name = "listed-model"

    def decide(request: Exchange) -> Answer | Body:
        return decision("call_beta") if request.body["model"] == name else error(404, "There is no such model.")

    setup = await testbed.start(by_request(decide), text("from alpha"), text("from beta"),
                              router={"model": None}, routing={"review": "never"})  # fmt: skip
    assert strategy(await setup.answer()) == ("committed", "beta")
    name = "another-model"
    setup.model.models_answer = whole({"object": "list", "data": [{"id": name, "max_model_len": 8192}]})
    assert strategy(await setup.answer())[0] == "fallback"
    assert strategy(await setup.answer()) == ("committed", "beta")


async def test_unreadable_decisions_do_not_open_the_breaker(testbed: Testbed) -> None:
    setup = await testbed.start(whole(reply("no call")), None, None, routing={"direct_answers": False})
    for _ in range(6):
        await setup.answer()
    assert len(setup.model.requests) == 12


# Retries at the same target.

# The first reset ends a connection that was used before, so the request is sent again without an entry.
RETRIED: dict[str, list[Answer]] = {
    "reset": [reset, reset],
    "429": [error(429, "slow down", Retry_After="0")],
    "502": [html(502)],
    "503": [error(503, "busy", Retry_After="0")],
}


@pytest.mark.parametrize("fault", RETRIED)
async def test_a_temporary_fault_is_retried_once_at_the_same_target(testbed: Testbed, fault: str) -> None:
    setup = await testbed.start(None, in_turn(*RETRIED[fault], completion("better")), None)
    body = await setup.answer()
    assert history(body) == [("alpha", "error"), ("alpha", "ok")]
    assert strategy(body) == ("select_response", "alpha")


@pytest.mark.parametrize("fault", ["reset", "502", "503"])
async def test_a_call_is_retried_only_once(testbed: Testbed, fault: str) -> None:
    setup = await testbed.start(None, RETRIED[fault][0], None)
    assert history(await setup.answer()) == [("alpha", "error"), ("alpha", "error"), ("beta", "ok")]


async def test_a_request_on_a_connection_that_the_target_closes_is_sent_again_without_an_entry(
    testbed: Testbed,
) -> None:
    setup = await testbed.start(None, in_turn(reset, completion("better")), None)
    assert history(await setup.answer()) == [("alpha", "ok")]
    assert len(setup.alpha.requests) == 2


async def test_if_retry_after_is_long_another_target_is_called(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(429, "slow down", Retry_After="5"), None)
    assert history(await setup.answer()) == [("alpha", "error"), ("beta", "ok")]


async def test_retry_after_may_be_a_date(testbed: Testbed) -> None:
    later = email.utils.formatdate(time.time() + 90, usegmt=True)
    setup = await testbed.start(None, error(429, "slow down", Retry_After=later))
    response = await setup.send()
    assert response.status_code == 429
    assert 60 < int(response.headers["retry-after"]) <= 91


async def test_a_timeout_is_never_retried_at_the_same_target(testbed: Testbed) -> None:
    setup = await testbed.start(None, hang, None)
    assert history(await setup.answer()) == [("alpha", "timeout"), ("beta", "ok")]
    assert history(exact((await setup.send(model="alpha")).content)) == [("alpha", "timeout")]


@pytest.mark.parametrize("then", [lambda exchange: exchange.until_dropped(), reset])
async def test_a_response_that_breaks_off_after_its_first_byte_is_not_retried(testbed: Testbed, then: Any) -> None:
    setup = await testbed.start(None, half_body_then(then), None)
    body = await setup.answer()
    assert [model for model, _ in history(body)] == ["alpha", "beta"]


async def test_the_router_model_learns_that_a_call_failed_and_decides_again(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(500, "sk-inner-text"), text("b"), None)
    body = await setup.answer()
    assert strategy(body) == ("select_response", "beta")
    second = setup.model.requests[1]
    assert "failed" in second.body["messages"][-1]["content"]
    assert "sk-inner-text" not in second.raw.decode()
    assert second.offered == ["call_beta", "call_gamma"]


async def test_a_target_in_cooldown_after_a_429_is_no_candidate_for_other_requests(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(429, "slow down", Retry_After="30"), None, None)
    await setup.answer()
    setup.model.requests.clear()
    await setup.answer()
    assert setup.model.requests[0].offered == ["call_beta", "call_gamma"]
    assert len(setup.alpha.requests) == 1


async def test_a_target_with_an_open_breaker_is_no_candidate(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(500, "down"), None, None)
    for _ in range(5):
        await setup.send(model="alpha")
    await setup.answer()
    assert setup.model.requests[0].offered == ["call_beta", "call_gamma"]


async def test_if_every_breaker_is_open_the_targets_are_called_nevertheless(testbed: Testbed) -> None:
    setup = await testbed.start(None, in_turn(*[error(500, "down")] * 12, completion("back")))
    for _ in range(6):
        assert (await setup.send()).status_code == 502
    assert (await setup.send()).status_code == 200


# Targets that answer 400, 413 or 422.

OWN_LIMITS = [
    error(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
    error(400, "Unsupported parameter: 'max_tokens'.", code="unsupported_parameter"),
    error(400, "The response was filtered.", code="content_filter"),
    error(413, "too large"),
]


@pytest.mark.parametrize("limit", OWN_LIMITS)
async def test_if_a_request_exceeds_a_limit_of_the_target_another_candidate_is_called(
    testbed: Testbed, limit: Answer
) -> None:
    setup = await testbed.start(None, limit, text("b"), None)
    assert history(await setup.answer()) == [("alpha", "error"), ("beta", "ok")]


async def test_if_a_request_exceeds_the_limits_of_two_targets_no_third_is_called(testbed: Testbed) -> None:
    setup = await testbed.start(None, OWN_LIMITS[0], OWN_LIMITS[0], None)
    response = await setup.send()
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert not setup.gamma.requests


@pytest.mark.parametrize("status", [400, 422])
async def test_a_targets_error_about_a_malformed_request_is_returned_unchanged(testbed: Testbed, status: int) -> None:
    refusal = error(status, "`messages` must be a list.", code="invalid_type", param="messages")
    setup = await testbed.start(None, refusal, None)
    response = await setup.send()
    assert response.status_code == status
    expected = {"message": "`messages` must be a list.", "type": "invalid_request_error", "param": "messages",
              "code": "invalid_type"}  # fmt: skip
    assert response.json()["error"] == expected
    assert not setup.beta.requests


# Targets that answer 401, 403, 404, 3xx, or 2xx with an invalid completion.

INVALID: dict[str, Answer] = {
    "401": error(401, "Incorrect API key provided: sk-alphas-secret"),
    "403": error(403, "no"),
    "404": error(404, "no such model"),
    "302": whole(b"", status=302, Location="http://127.0.0.1:9/v1/chat/completions"),
    "not JSON": whole(b"<html>", content_type="text/html"),
    "truncated": whole(b'{"choices": [{"mess'),
    "invalid UTF-8 outside a text": whole(b'{"choices":[{"message":{"content":"4"\xff\xfe}}]}'),
    "no choices": whole({"choices": []}),
    "an error as a 200": whole({"error": {"message": "sk-alphas-secret"}}),
    "an error of Cloudflare": whole({"success": False, "errors": [{"message": "sk-alphas-secret"}]}),
    "an error in a choice": whole({"choices": [{"message": {"content": "4"}, "error": {"message": "no"}}]}),
    "a failed generation": whole({"choices": [{"message": {"content": ""}, "finish_reason": "network_error"}]}),
    "over 32 MiB": huge,
}


@pytest.mark.parametrize("fault", INVALID)
async def test_an_invalid_response_is_not_retried_and_its_text_is_not_shown(
    testbed: Testbed, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHAS_KEY", "sk-alphas-secret")
    setup = await testbed.start(None, INVALID[fault], None, changes={"alpha": {"api_key_env": "ALPHAS_KEY"}})
    assert history(await setup.answer()) == [("alpha", "error"), ("beta", "ok")]
    response = await setup.send(model="alpha")
    assert response.status_code == 502
    assert response.json()["error"].keys() == ERROR_FIELDS
    assert "sk-alphas-secret" not in response.text + repr(setup.router.log)


# JSON of some depth can be read once but not read or written again. That depth depends on the stack.
DEPTHS = [*range(850, 1_000), 5_000]


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_nested_too_deeply_is_a_failed_call_with_openais_error(
    testbed: Testbed, stream: bool
) -> None:
    call = b'{"index":0,"id":"a","function":{"name":"f","arguments":%s}}'
    template = b'{"choices":[{"index":0,"%s":{"tool_calls":[' + call + b']},"finish_reason":"stop"}]}'

    def deep(exchange: Exchange) -> Answer:
        depth = int(exchange.body["messages"][0]["content"])
        body = template % (b"delta" if stream else b"message", nested(depth))
        return streaming([body]) if stream else whole(body)

    setup = await testbed.start(None, by_request(deep))
    for depth in DEPTHS:
        response = await setup.send(messages=[{"role": "user", "content": str(depth)}], stream=stream)
        assert response.status_code in (200, 502), depth
        assert response.status_code == 200 or response.json()["error"].keys() == ERROR_FIELDS
        setup.router.app.runtime.fleet.targets[0][1].breaker.succeeded()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_is_nested_too_deeply_is_a_400(testbed: Testbed, stream: bool) -> None:
    loop = b'{"role":"assistant","tool_calls":[{"id":"a_rr123456","x":%s}]},{"role":"tool","tool_call_id":"a_rr123456"}'
    body = b'{"model":"router","stream":%s,"stream_options":{"x":%s},"messages":[' + loop + b"]}"
    setup = await testbed.start(None, None)
    for depth in DEPTHS:
        content = body % (b"true" if stream else b"false", nested(depth), nested(depth))
        headers = {"content-type": "application/json"}
        response = await setup.client.post("/v1/chat/completions", content=content, headers=headers)
        assert response.status_code in (200, 400), depth


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": %s}' % nested(5_000),
        b'{"error": {"message": "no", "code": %s, "param": %s}}' % (nested(100), nested(100)),
        b'{"error": {"message": ["no", {"key": "sk-alphas-secret"}]}}',
    ],
)
async def test_any_error_of_a_target_is_returned_in_openais_format(
    testbed: Testbed, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHAS_KEY", "sk-alphas-secret")
    changes = {"alpha": {"api_key_env": "ALPHAS_KEY"}}
    setup = await testbed.start(None, whole(body, status=400), changes=changes)
    response = await setup.send()
    assert response.status_code == 400
    error = response.json()["error"]
    assert error.keys() == ERROR_FIELDS
    assert [name for name, value in error.items() if not isinstance(value, str | None)] == []
    assert "sk-alphas-secret" not in response.text


async def test_a_list_of_models_that_is_nested_too_deeply_is_ignored(testbed: Testbed) -> None:
    model, alpha = await testbed.upstream(), await testbed.upstream()
    model.models_answer = alpha.models_answer = whole(b'{"data": [], "x": %s}' % nested(5_000))
    router = await testbed.start_router(router={"base_url": model.url}, targets=[target("alpha", alpha.url)])
    assert (await router.send()).status_code == 200


async def test_redirects_are_not_followed(testbed: Testbed) -> None:
    elsewhere = await testbed.upstream()
    setup = await testbed.start(None, whole(b"", status=302, Location=f"{elsewhere.url}/chat/completions"))
    assert (await setup.send()).status_code == 502
    assert not elsewhere.requests


# Every candidate fails.


async def test_if_no_target_can_be_reached_the_status_is_503(testbed: Testbed) -> None:
    model = await testbed.upstream()
    targets = [target("alpha", closed_url()), target("beta", closed_url())]
    router = await testbed.start_router(router=router_section(model.url), targets=targets)
    response = await router.send()
    assert response.status_code == 503
    assert response.json()["error"].keys() == ERROR_FIELDS
    assert {model for model, _ in history(response.json())} == {"alpha", "beta"}


async def test_if_every_target_answers_429_the_status_is_429_with_the_shortest_wait(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(429, "no", Retry_After="40"), error(429, "no", Retry_After="20"))
    response = await setup.send()
    assert response.status_code == 429
    assert response.headers["retry-after"] in {"20", "21"}


async def test_if_every_target_times_out_the_status_is_504(testbed: Testbed) -> None:
    setup = await testbed.start(None, hang, hang)
    response = await setup.send()
    assert response.status_code == 504
    assert history(response.json()) == [("alpha", "timeout"), ("beta", "timeout")]


async def test_an_error_has_the_metadata_with_the_cost_of_the_failed_calls(testbed: Testbed) -> None:
    setup = await testbed.start(None, hang, error(500, "down"))
    response = await setup.send()
    assert response.status_code == 502
    metadata = exact(response.content)["router_metadata"]
    silent, *down = metadata["call_history"]
    assert silent["estimated"] is True
    assert silent["cost"] > 0
    assert [entry["cost"] for entry in down] == [0, 0]
    assert metadata["total_cost"] == metadata["router_cost"] + metadata["target_models_cost"] > 0


async def test_a_pinned_request_has_no_fallback(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(500, "down"), None)
    assert (await setup.send(model="alpha")).status_code == 502
    assert not setup.beta.requests + setup.model.requests


# Streams.


async def test_a_failure_before_the_first_byte_of_a_stream_is_a_json_error(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(500, "down"))
    response = await setup.send(stream=True)
    assert response.status_code == 502
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"].keys() == ERROR_FIELDS


async def test_a_cut_stream_ends_with_an_error_event_that_has_its_cost(testbed: Testbed) -> None:
    pieces = [event(chunk({"content": "half an answer"}))]
    setup = await testbed.start(None, cut_after(pieces, reset))
    response = await setup.send(stream=True)
    assert response.status_code == 200
    *_, last = events(response.content)
    assert last["error"].keys() == ERROR_FIELDS
    (entry,) = last["router_metadata"]["call_history"]
    assert (entry["status"], entry["estimated"]) == ("error", True)
    assert entry["usage"]["completion_tokens"] == 4
    assert entry["cost"] > 0
    assert b"[DONE]" not in response.content


# Answers to calls without a stream that end early.

TRUNCATED = encoded(completion("word " * 100))[:400]
REPORTED = {**chunk({"role": "assistant", "content": ""}), "usage": {"prompt_tokens": 5000, "completion_tokens": 0}}
WORDS = [event(chunk({"content": "abcd"}))] * 50
INCOMPLETE: dict[str, tuple[list[bytes], int | None, int]] = {
    "a stream": (WORDS, None, 50),
    "a stream that reports the input": ([event(REPORTED), *WORDS], 5000, 50),
    "a stream after comments": ([b": keep-alive\n\n", b": keep-alive\n\n" + WORDS[0], *WORDS], None, 51),
    "a stream with half of an event": ([*WORDS, WORDS[0][:-20]], None, 50),
    "comments": ([b": keep-alive\n\n"] * 500, None, 0),
    "white space": ([b"\n" * 1000] * 5, None, 0),
    "truncated JSON": ([TRUNCATED], None, 100),
    "truncated JSON between white space": ([b" \n" * 500, TRUNCATED + b" ", b"\n" * 500], None, 100),
    "truncated JSON after comments": ([b": keep-alive\n\n", TRUNCATED], None, 100),
    "a page": ([b"<html>" + b"x" * 400], None, 0),
    "a whole answer": ([encoded(completion("x" * 40, used=usage(10, 5)))], 10, 5),
    "a whole answer without a usage": ([encoded({**completion("x" * 40), "usage": None})], None, 10),
}
"""The pieces of a body, the reported input tokens (None if the router estimates them), and the output tokens."""


def check_incomplete(metadata: Body, status: str, prompt: int | None, output: int) -> None:
    (entry,) = metadata["call_history"]
    used = entry["usage"]
    assert (entry["status"], used["completion_tokens"]) == (status, output)
    assert (used["prompt_tokens"] < 100) if prompt is None else (used["prompt_tokens"] == prompt)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", INCOMPLETE)
async def test_an_answer_that_is_incomplete_at_the_deadline_costs_its_generated_text(
    testbed: Testbed, kind: str, stream: bool
) -> None:
    pieces, prompt, output = INCOMPLETE[kind]
    setup = await testbed.start(None, cut_after(pieces, Exchange.until_dropped), None)
    await setup.send(model="alpha", stream=stream, router={"deadline_ms": 300})
    await until(lambda: setup.router.ledgers, "the ledger")
    check_incomplete(setup.router.ledgers[0], "cancelled", prompt, output)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in INCOMPLETE if "whole" not in kind])
async def test_an_answer_that_ends_before_it_is_complete_costs_its_generated_text(
    testbed: Testbed, kind: str, stream: bool
) -> None:
    pieces, prompt, output = INCOMPLETE[kind]
    setup = await testbed.start(None, cut_after(pieces, Exchange.end), None)
    await setup.send(model="alpha", stream=stream)
    await until(lambda: setup.router.ledgers, "the ledger")
    check_incomplete(setup.router.ledgers[0], "error", prompt, output)


# Clients that disconnect.


@pytest.mark.parametrize("stream", [False, True])
async def test_if_the_client_disconnects_every_upstream_call_is_cancelled_and_recorded(
    testbed: Testbed, stream: bool
) -> None:
    setup = await testbed.start(in_turn(decision("call_alpha", "call_beta")), hang, hang,
                              changes={name: {"timeout": 30} for name in ("alpha", "beta")})  # fmt: skip
    request = asyncio.create_task(setup.send(stream=stream))
    await until(lambda: setup.alpha.requests and setup.beta.requests, "the calls")
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await until(
        lambda: setup.alpha.requests[0].dropped and setup.beta.requests[0].dropped, "the end of the calls", within=1
    )
    await until(lambda: setup.router.ledgers, "the ledger")
    (ledger,) = setup.router.ledgers
    assert history(ledger) == [("alpha", "cancelled"), ("beta", "cancelled")]
    assert all(entry["cost"] > 0 for entry in ledger["call_history"])
    assert ledger["total_cost"] == Decimal("0.000007") + sum(entry["cost"] for entry in ledger["call_history"])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
async def test_if_the_client_disconnects_the_decision_is_cancelled(testbed: Testbed, path: str) -> None:
    setup = await testbed.start(hang, None, None, router={"timeout": 30})
    request = asyncio.create_task(setup.client.post(path, json={"model": "router", "messages": QUESTION}))
    await until(lambda: setup.model.requests, "the decision")
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await until(lambda: setup.model.requests[0].dropped, "the end of the decision", within=1)
    await until(lambda: setup.router.ledgers, "the ledger")
    (ledger,) = setup.router.ledgers
    assert (ledger["status"], ledger["router_calls"][0]["status"]) == (499, "cancelled")
    assert ledger["total_cost"] > 0


# Invalid requests.

JSON = {"content-type": "application/json"}
INVALID_REQUESTS: dict[str, tuple[int, str | None, str, bytes, dict[str, str]]] = {
    "not JSON": (400, None, "POST", b"{", JSON),
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
    "tools that are not a list": (
        400,
        "tools",
        "POST",
        b'{"model":"router","tools":{},"messages":[{"role":"user","content":"x"}]}',
        JSON,
    ),
    "n too large": (400, "n", "POST", b'{"model":"router","n":129,"messages":[{"role":"user","content":"x"}]}', JSON),
    "n larger than any memory": (
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
    "another method": (405, None, "GET", b"", {}),
}


@pytest.mark.parametrize("kind", INVALID_REQUESTS)
async def test_the_error_of_an_invalid_request_is_openais_and_names_the_field(testbed: Testbed, kind: str) -> None:
    status, param, method, data, headers = INVALID_REQUESTS[kind]
    setup = await testbed.start(None, None, None)
    response = await setup.client.request(method, "/v1/chat/completions", content=data, headers=headers)
    assert response.status_code == status
    error = response.json()["error"]
    assert error.keys() == ERROR_FIELDS
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


async def test_an_unknown_path_is_a_404_with_openais_error(testbed: Testbed) -> None:
    setup = await testbed.start(None, None)
    response = await setup.client.post("/v1/embeddings", json={})
    assert (response.status_code, response.json()["error"].keys()) == (404, ERROR_FIELDS)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_a_413(testbed: Testbed, chunked: bool) -> None:
    setup = await testbed.start(None, None, server={"max_body_bytes": 2048})
    data = b'{"model": "router", "padding": "' + b"x" * 4096 + b'"}'

    async def pieces() -> Any:
        yield data

    response = await setup.client.post(
        "/v1/chat/completions", content=pieces() if chunked else data, headers={"content-type": "application/json"}
    )
    assert (response.status_code, response.json()["error"].keys()) == (413, ERROR_FIELDS)


LONG = "a" * 1_000_000
LARGE_BODIES: dict[str, tuple[dict[str, Any], int]] = {
    "a long text": ({"messages": [{"role": "user", "content": LONG}]}, 200),
    "a long name of a model": ({"model": LONG}, 404),
    "a long option": ({"router": {LONG: 1}}, 400),
    "a long field with half of a surrogate pair": ({LONG: "\ud83d"}, 400),
    "many values": ({"x": [0] * 300_000}, 400),
}


@pytest.mark.parametrize(("fields", "status"), LARGE_BODIES.values(), ids=LARGE_BODIES)
async def test_a_large_body_gets_its_answer_or_a_short_error(
    testbed: Testbed, fields: dict[str, Any], status: int
) -> None:
    setup = await testbed.start(None, None)
    headers = {"content-type": "application/json"}
    response = await setup.client.post("/v1/chat/completions", content=chat_body(**fields), headers=headers)
    assert response.status_code == status
    assert len(response.content) < 20_000


# Overload.


async def test_requests_over_max_in_flight_are_a_429_and_health_still_answers(testbed: Testbed) -> None:
    setup = await testbed.start(None, hang, server={"max_in_flight": 1}, changes={"alpha": {"timeout": 30}})
    request = asyncio.create_task(setup.send())
    await until(lambda: setup.alpha.requests, "the call")
    response = await setup.send()
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert (await setup.client.get("/health")).status_code == 200
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await until(lambda: len(setup.router.ledgers) == 2, "the end of the first request")
    setup.alpha.answer = text()
    assert (await setup.send()).status_code == 200


async def test_previews_count_for_max_in_flight(testbed: Testbed) -> None:
    setup = await testbed.start(hang, None, None, server={"max_in_flight": 1}, router={"timeout": 30})
    body = {"model": "router", "messages": QUESTION}
    request = asyncio.create_task(setup.client.post("/v1/route", json=body))
    await until(lambda: setup.model.requests, "the decision")
    for path in ("/v1/route", "/v1/chat/completions"):
        response = await setup.client.post(path, json=body)
        assert (response.status_code, response.json()["error"]["code"]) == (429, "overloaded")
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_requests_that_are_decided_together_do_not_exceed_max_in_flight_of_a_target(
    testbed: Testbed, stream: bool
) -> None:
    together, released, in_flight = asyncio.Barrier(8), asyncio.Event(), [0, 0]

    async def decide_together(exchange: Exchange) -> None:
        await together.wait()
        await whole(decision("call_alpha"))(exchange)

    async def slow(exchange: Exchange) -> None:
        in_flight[0] += 1
        in_flight[1] = max(in_flight)
        await released.wait()
        await text("a")(exchange)
        in_flight[0] -= 1

    routing = {"fallback": ["alpha", "beta", "gamma"], "review": "never"}
    changes = {"alpha": {"max_in_flight": 2, "timeout": 30}}
    setup = await testbed.start(decide_together, slow, None, None, routing=routing, changes=changes)
    requests = [asyncio.create_task(setup.send(stream=stream, router={"max_turns": 1})) for _ in range(8)]
    await until(lambda: in_flight[0] == 2 and len(setup.beta.requests) == 6, "the calls")
    released.set()
    assert [(await request).status_code for request in requests] == [200] * 8
    assert in_flight[1] == 2


async def test_calls_for_which_a_target_has_no_free_slot_are_not_made(testbed: Testbed) -> None:
    many = decision(*["call_alpha"] * 5, "call_beta")
    setup = await testbed.start(
        in_turn(many, select("call_1")), None, None, changes={"alpha": {"max_in_flight": 2}}
    )  # fmt: skip
    body = await setup.answer()
    called = [(entry["model_id"], entry["status"]) for entry in body["router_metadata"]["call_history"]]
    assert called == [("alpha", "ok"), ("alpha", "ok"), ("beta", "ok")]


async def test_a_target_without_free_slots_is_no_candidate(testbed: Testbed) -> None:
    changes = {"alpha": {"timeout": 30, "max_in_flight": 1}}
    setup = await testbed.start(None, hang, None, None, changes=changes)
    request = asyncio.create_task(setup.send(model="alpha"))
    await until(lambda: setup.alpha.requests, "the call")
    await setup.answer()
    assert setup.model.requests[0].offered == ["call_beta", "call_gamma"]
    assert (await setup.send(model="alpha")).status_code == 429
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)


# Hedging.


async def test_a_silent_target_is_hedged_and_the_first_answer_is_returned(testbed: Testbed) -> None:
    changes = {"alpha": {"timeout": 30}}
    routing = {"hedge_after": 0.1, "fallback": ["alpha", "beta"]}
    setup = await testbed.start(None, hang, text("b"), routing=routing, changes=changes)
    body = await setup.answer()
    assert sorted(history(body)) == [("alpha", "cancelled"), ("beta", "ok")]
    assert body["router_metadata"]["model_used"] == "beta"
    assert body["choices"][0]["message"]["content"] == "b"
    await until(lambda: setup.alpha.requests[0].dropped, "the end of the slower call")


# Temporary errors and invalid behavior.


async def test_a_temporary_error_does_not_tell_clients_not_to_retry(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(503, "busy"))
    assert "x-should-retry" not in (await setup.send()).headers


async def test_any_invalid_decision_of_the_router_model_still_leads_to_an_answer(testbed: Testbed) -> None:
    decisions: list[Any] = [
        decision("call_nobody"), reply(""), reply("<think>"), reply("<tool_call>{"), reply("{}"), reply("[]"),
        decision(*["call_alpha"] * 10), select("call_1"), completion(None), {"choices": [{"message": None}]},
    ]  # fmt: skip
    for invalid in decisions:
        setup = await testbed.start(in_turn(invalid), text("a"), text("b"), routing={"direct_answers": False})
        body = await setup.answer()
        assert body["choices"][0]["message"]["content"] in "ab"
