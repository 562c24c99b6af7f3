"""After a refusal, a target is asked once more without the router's additions, and is spared them for an hour."""

from __future__ import annotations

from typing import Any

import pytest
from rl_router_api.conversation.additions import FOREIGN_HISTORY
from rl_router_api.upstreams.refused_additions import RefusedAdditions

from fakes.testbed.requests import chat_request
from fakes.testbed.responses import history
from fakes.testbed.router import Setup, Testbed
from fakes.upstreams.answers import by_request, in_turn, text
from fakes.upstreams.bodies import call, completion, decision, select
from fakes.upstreams.exchange import Answer, Body, Exchange
from fakes.upstreams.faults import error

ADVICE = "Think hard."


def strict(*forbidden: str, message: str = "bad request") -> Answer:
    """Returns a target that refuses requests that contain one of the texts."""

    def answer(exchange: Exchange) -> Answer | Body:
        found = any(text in exchange.raw.decode() for text in forbidden)
        return error(400, message) if found else completion("4")

    return by_request(answer)


async def advising(testbed: Testbed, alpha: Answer, beta: Answer | None = None) -> Setup:
    """Starts a router whose router model advises a system prompt and a temperature for alpha."""
    advised = decision(call("call_alpha", optimized_system_prompt=ADVICE, temperature=0.3))
    return await testbed.start(in_turn(advised, select("alpha"), advised, select("alpha")), alpha, beta)


def additions(setup: Setup) -> list[list[str]]:
    """Returns which additions each request to alpha had."""
    marks = {"advice": ADVICE, "temperature": '"temperature"', "stream_options": '"stream_options"'}
    return [[name for name, mark in marks.items() if mark in request.raw.decode()] for request in setup.alpha.requests]


@pytest.mark.parametrize(
    ("message", "later"),
    [
        ("`temperature` and `top_p` cannot both be specified", ["advice"]),
        ("bad request", []),
    ],
)
async def test_a_refused_addition_is_taken_back_and_remembered(testbed: Testbed, message: str, later: Any) -> None:
    setup = await advising(testbed, strict("temperature", message=message))
    body = await setup.answer()
    assert history(body["router_metadata"]) == [("alpha", "error"), ("alpha", "ok")]
    first, second = body["router_metadata"]["call_history"]
    assert first["added_params"] == ["optimized_system_prompt", "temperature"]
    assert "added_params" not in second
    await setup.answer()
    assert additions(setup) == [["advice", "temperature"], [], later]


OF_ONE_PROMPT = [
    "This model's maximum context length is 8192 tokens. Please reduce the length of the messages.",
    "prompt is too long: 200001 tokens > 200000 maximum",
    "The response was filtered due to the prompt triggering the content management policy.",
    "The input token count (1050000) exceeds the maximum number of tokens allowed (1048576).",
    "inputs tokens + max_new_tokens must be <= 4096. Given: 4000 inputs tokens and 512 max_new_tokens",
    "Input validation error: `inputs` must have less than 8192 tokens. Given: 8300",
    "Range of input length should be [1, 30720]",
    "String should have at most 10000 characters",
    "max_tokens must be at least 1, got -12.",
    "The decoder prompt (length 8200) is longer than the maximum model length of 8192.",
    "Request payload size exceeds the limit: 20971520 bytes.",
    "Content Exists Risk",
    "System detected potentially unsafe or sensitive content in input",
    "\u8f93\u5165\u957f\u5ea6\u8d85\u8fc7\u9650\u5236",
    "La entrada es demasiado larga",
    "messages.0.content: prompt is too long: 201000 tokens > 200000 maximum",
    "Invalid 'messages[1].content': string too long.",
    "messages[0].content was flagged by safety moderation",
    "the model's thinking budget: prompt is too long",
    "",
    "400",
]
"""Errors about one prompt, or about nothing that can be recognized."""
OF_EVERY_PROMPT = [
    "bad request",
    "Invalid parameter(s)",
    "InvalidParameter",
    "BadRequestError: one or more fields are not supported by this API",
    "400 Unprocessable Entity",
]


@pytest.mark.parametrize("message", OF_ONE_PROMPT)
async def test_a_refusal_of_one_prompt_is_not_remembered(testbed: Testbed, message: str) -> None:
    setup = await advising(testbed, strict("temperature", message=message))
    body = await setup.answer()
    assert history(body["router_metadata"]) == [("alpha", "error"), ("alpha", "ok")]
    await setup.answer()
    assert additions(setup)[:3] == [["advice", "temperature"], [], ["advice", "temperature"]]


ALL = ("optimized_system_prompt", "temperature", "stream_options", FOREIGN_HISTORY)


@pytest.mark.parametrize(
    ("error", "remembered"),
    [
        *[({"code": None, "message": message}, ()) for message in OF_ONE_PROMPT],
        *[({"message": message}, ALL) for message in OF_EVERY_PROMPT],
        ({"message": "bad request", "code": "1301"}, ()),
        ({"message": "bad request", "param": "messages"}, ()),
        ({"message": "bad request", "code": "invalid_parameter", "param": None}, ALL),
        ({"message": None}, ()),
        ({}, ()),
        ({"message": "Invalid value.", "param": "top_p"}, ("temperature",)),
        ({"message": "maximum for temperature is 1"}, ("temperature",)),
        ({"message": "stream_options: extra inputs are not permitted"}, ("stream_options",)),
        ({"message": "temperature and include_usage"}, ("temperature", "stream_options")),
        ({"message": "messages.1.reasoning_content: Extra inputs are not permitted"}, (FOREIGN_HISTORY,)),
        ({"message": 'Invalid input: ["body", "messages", 1, "assistant", "reasoning"]'}, (FOREIGN_HISTORY,)),
    ],
)
def test_an_addition_is_remembered_if_its_field_is_named_or_the_error_cannot_be_about_a_prompt(
    error: dict[str, Any], remembered: tuple[str, ...]
) -> None:
    refused = RefusedAdditions()
    refused.remember(ALL, error, chat_request())
    assert refused.current == set(remembered)


@pytest.mark.parametrize("fields", [
    {"messages": [{"role": "user", "content": "Explain stream_options."}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Explain STREAM_OPTIONS."}]}]},
    {"tools": [{"type": "function", "function": {"name": "stream_options"}}]},
])  # fmt: skip
def test_a_field_that_an_error_may_quote_from_the_prompt_is_not_remembered(fields: dict[str, Any]) -> None:
    refused = RefusedAdditions()
    refused.remember(ALL, {"message": "too long: Explain stream_options."}, chat_request(**fields))
    assert refused.current == frozenset()
    refused.remember(ALL, {"message": "stream_options or temperature"}, chat_request(**fields))
    assert refused.current == {"temperature"}


async def test_a_strict_server_is_asked_for_no_usage_in_later_streams(testbed: Testbed) -> None:
    setup = await testbed.start(None, strict("stream_options", message="Unknown field: stream_options"), None)
    for _ in range(2):
        received = await setup.stream(model="alpha")
        assert received[-1] == "[DONE]"
    assert additions(setup) == [["stream_options"], [], []]


async def test_if_the_request_itself_is_refused_one_other_target_is_called(testbed: Testbed) -> None:
    setup = await advising(testbed, strict("messages", message="too long"), text("b"))
    body = await setup.answer()
    assert history(body["router_metadata"]) == [("alpha", "error"), ("alpha", "error"), ("beta", "ok")]
    alpha = setup.router.app.runtime.fleet.targets[0][1]
    assert alpha.refused_additions.current == frozenset()


BUSY, STRICT = error(503, "busy", Retry_After="0"), error(400, "Unknown parameter: stream_options")


@pytest.mark.parametrize(
    ("answers", "sent", "status"),
    [
        ([BUSY, STRICT, text()], [True, True, False], 200),
        ([STRICT, BUSY, text()], [True, False, False], 200),
        ([BUSY, BUSY, text()], [True, True], 503),
        ([BUSY, STRICT, BUSY], [True, True, False], 503),
        ([STRICT, BUSY, STRICT, text()], [True, False, False], 400),
        ([STRICT, STRICT, text()], [True, False], 400),
    ],
)
async def test_a_call_is_retried_once_and_repeated_without_additions_once_in_any_order(
    testbed: Testbed, answers: list[Answer], sent: list[bool], status: int
) -> None:
    setup = await testbed.start(None, in_turn(*answers), None)
    assert (await setup.send(model="alpha", stream=True)).status_code == status
    assert ["stream_options" in request.body for request in setup.alpha.requests] == sent
    alpha = setup.router.app.runtime.fleet.targets[0][1]
    assert alpha.refused_additions.current == ({"stream_options"} if status == 200 else set())


async def test_what_the_client_sent_itself_is_not_taken_back(testbed: Testbed) -> None:
    setup = await testbed.start(None, strict("temperature"), None)
    response = await setup.send(model="alpha", temperature=1)
    assert response.status_code == 400
    assert len(setup.alpha.requests) == 1


def test_refused_additions_are_forgotten_after_an_hour() -> None:
    times = iter([0.0, 3_599.0, 3_601.0])
    refused = RefusedAdditions(lambda: next(times))
    error = {"param": "stream_options", "message": None}
    refused.remember(("temperature", "stream_options"), error, chat_request())
    assert refused.current == {"stream_options"}
    assert refused.current == frozenset()


UNSUPPORTED = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
TOO_LARGE = [
    "max_tokens is too large: 32768. This model supports at most 16384 completion tokens.",
    "max_tokens: 32768 > 8192, which is the maximum allowed number of output tokens",
    "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
    "`max_tokens` must be less than or equal to `8192`",
    "You requested 32778 tokens (10 in the messages, 32768 in the completion).",
]
PRICED = {name: {"price": {"input": 1, "output": 1}} for name in ("alpha", "beta")}


async def test_a_target_that_rejects_the_output_limit_of_max_cost_is_no_candidate(testbed: Testbed) -> None:
    refusing = strict("max_tokens", message=UNSUPPORTED)
    model = in_turn(decision(call("call_alpha")), decision(call("call_beta")))
    setup = await testbed.start(model, refusing, text("b"), changes=PRICED)
    for calls in ([("alpha", "error"), ("beta", "ok")], [("beta", "ok")]):
        body = await setup.answer(router={"max_cost": 1})
        assert history(body["router_metadata"]) == calls
    response = await setup.send(model="alpha", router={"max_cost": 1})
    assert response.json()["error"]["code"] == "max_cost_too_low"
    assert "params.rename" in response.text
    assert len(setup.alpha.requests) == 1


@pytest.mark.parametrize("message", [UNSUPPORTED, *TOO_LARGE])
async def test_a_pinned_target_that_rejects_the_output_limit_of_max_cost_is_named(
    testbed: Testbed, message: str
) -> None:
    setup = await testbed.start(None, strict("max_tokens", message=message), text("b"), changes=PRICED)
    response = await setup.send(model="alpha", router={"max_cost": 1})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("max_cost_too_low", "router.max_cost")
    assert "output limit of 32768 tokens" in error["message"]
    assert message.rstrip(".") in error["message"]
    assert not setup.beta.requests


@pytest.mark.parametrize("message", TOO_LARGE)
async def test_an_output_limit_that_is_only_too_large_is_tried_again(testbed: Testbed, message: str) -> None:
    setup = await testbed.start(None, strict("32768", message=message), None, changes=PRICED)
    assert (await setup.send(model="alpha", router={"max_cost": 1})).status_code == 400
    assert (await setup.send(model="alpha", router={"max_cost": 0.01})).status_code == 200


async def test_a_rejected_output_limit_of_the_client_is_the_clients_error(testbed: Testbed) -> None:
    setup = await testbed.start(None, strict("max_tokens", message=UNSUPPORTED), None, changes=PRICED)
    for _ in range(2):
        response = await setup.send(model="alpha", max_tokens=300, router={"max_cost": 1})
        assert (response.status_code, response.json()["error"]["message"]) == (400, UNSUPPORTED)
    assert len(setup.alpha.requests) == 2
