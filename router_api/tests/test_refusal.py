"""Refusals in the words of many providers: another target, a wait or a quota follows from codes and headers."""

from __future__ import annotations

import email.utils
import json
import time
from typing import Any

import pytest
from rl_router_api.dialects.chat.read_error import read_error
from rl_router_api.upstreams.cooldown import Cooldown
from rl_router_api.upstreams.retry_hints import retry_after

from fakes.testbed.responses import events, history
from fakes.testbed.router import Testbed
from fakes.upstreams.answers import by_request, stream, text, whole
from fakes.upstreams.bodies import chunks, completion, usage
from fakes.upstreams.exchange import Answer, Body, Exchange
from fakes.upstreams.faults import cut_after, error


def body(message: str, **fields: Any) -> Body:
    return {"error": {"message": message, **fields}}


def read(refusal: object, request: bytes = b"") -> Any:
    return read_error(json.dumps(refusal), request)


MALFORMED: list[Any] = [
    body("We could not parse the JSON body of your request.", code="invalid_json"),
    body("Missing required parameter: 'messages'.", code="missing_required_parameter"),
    body("Missing parameter: 'messages[1].role'.", code="missing_required_parameter", param="messages[1].role"),
    body("Invalid type for 'messages': expected an array.", type="invalid_request_error", code="invalid_type"),
    {"detail": [{"type": "json_invalid", "loc": ["body", 7], "msg": "JSON decode error"}]},
    {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]},
    {"detail": [{"type": "list_type", "loc": ["messages"]}, {"type": "missing", "loc": ["messages", 0, "role"]}]},
]
TRY_ANOTHER: list[Any] = [
    body("Invalid type for 'temperature'.", code="invalid_type"),
    body("Invalid type for 'messages[1].content': got null.", code="invalid_type", param="messages[1].content"),
    body("Missing required parameter: 'tools[0].function.parameters'.", code="missing_required_parameter"),
    body("Missing 'messages[1].reasoning_content'.", code="missing_required_parameter", param="messages[1].x"),
    body("A field is missing.", code="missing_required_parameter"),
    {"detail": [{"type": "missing", "loc": ["body", "tools", 0, "function", "parameters"], "msg": "Field required"}]},
    {"detail": [{"type": "string_type", "loc": ["body", "stop"]}, {"type": "string_type", "loc": ["tool_choice"]}]},
    {"detail": [{"type": "int_parsing", "loc": ["body", "n"]}, {"type": "bool_type", "loc": ["body", "stream"]}]},
    {"detail": [{"type": "missing", "loc": ["body", "messages"]}, {"type": "missing", "loc": ["body", "user"]}]},
    body("This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
    body("Input is too long for requested model."),
    body("Unknown parameter: 'top_k'.", code="unknown_parameter"),
    body("Unexpected message role.", type="BadRequestError", code=400),
    body("Content Exists Risk", code="invalid_request_error"),
    body("`seed` must be an integer", code="bad_seed"),
    {"object": "error", "message": "Tool call id was call_1", "type": "invalid_function_call", "code": "3280"},
    {"detail": [{"type": "extra_forbidden", "loc": ["body", "user"]}, {"type": "missing", "loc": ["body", "x"]}]},
    {"detail": [{"type": "string_type", "loc": ["body", "messages", 0, "content"]}]},
    [{"error": {"message": 'Invalid JSON payload received. Unknown name "seed"', "status": "INVALID_ARGUMENT"}}],
    {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072"},
    {"error": "Input validation error: `inputs` tokens must be <= 8192", "error_type": "validation"},
]


@pytest.mark.parametrize("refusal", MALFORMED)
@pytest.mark.parametrize("status", [400, 422])
async def test_a_body_that_every_target_would_refuse_is_tried_once(testbed: Testbed, refusal: Any, status: int) -> None:
    setup = await testbed.start(None, whole(refusal, status=status), text("b"))
    response = await setup.send()
    assert response.status_code == status
    assert history(response.json()) == [("alpha", "error")]


@pytest.mark.parametrize("refusal", TRY_ANOTHER)
@pytest.mark.parametrize("streamed", [False, True])
async def test_any_other_refusal_leads_to_another_target(testbed: Testbed, refusal: Any, streamed: bool) -> None:
    setup = await testbed.start(None, whole(refusal, status=400), text("b"))
    response = await setup.send(stream=streamed)
    assert response.status_code == 200
    # A streamed request is tried once more without the addition of `stream_options`.
    assert len(setup.alpha.requests) == (2 if streamed else 1)
    assert len(setup.beta.requests) == 1


@pytest.mark.parametrize("second", [error(422, "second"), error(401, "no key"), error(500, "down")])
async def test_after_a_refusal_one_other_target_is_called_and_no_third(testbed: Testbed, second: Answer) -> None:
    setup = await testbed.start(None, error(400, "first", code="x"), second, text("c"))
    response = await setup.send()
    assert (response.status_code, response.json()["error"]["message"]) == (400, "first")
    assert not setup.gamma.requests


async def test_a_refusal_after_another_failure_leaves_one_more_try(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(401, "no key"), error(400, "too long"), text("c"))
    body = await setup.answer()
    assert history(body["router_metadata"]) == [("alpha", "error"), ("beta", "error"), ("gamma", "ok")]


async def test_a_pinned_request_that_is_refused_calls_nobody_else(testbed: Testbed) -> None:
    setup = await testbed.start(None, error(400, "too long", code="context_length_exceeded"), text("b"))
    response = await setup.send(model="alpha")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert not setup.beta.requests


REPORTED: list[bytes] = [
    b'{"code":"x","message":"filtered","status_code":400}',
    b'{"detail":"filtered","code":"400"}',
    b'[{"error":{"message":"filtered","code":400,"status":"INVALID_ARGUMENT"}}]',
]
BLOCKED = {"choices": [{"index": 0, "finish_reason": "content_filter", "message": None}], "usage": usage()}


def named_error(data: bytes) -> Answer:
    return cut_after([b"event: error\ndata: " + data + b"\n\n"], Exchange.end)


@pytest.mark.parametrize("answer", [whole, lambda data: stream([data]), lambda data: stream([data], done=False),
                                    named_error])  # fmt: skip
@pytest.mark.parametrize("data", REPORTED)
@pytest.mark.parametrize("streamed", [True, False])
async def test_an_error_in_any_form_in_a_200_has_the_status_and_the_message_of_the_target(
    testbed: Testbed, answer: Any, data: bytes, streamed: bool
) -> None:
    setup = await testbed.start(None, answer(data), None)
    response = await setup.send(model="alpha", stream=streamed)
    assert (response.status_code, response.json()["error"]["message"]) == (400, "filtered")


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_message_before_a_complete_answer_is_no_error(testbed: Testbed, streamed: bool) -> None:
    setup = await testbed.start(None, stream([{"type": "status", "message": "queued"}, *chunks("4")]))
    response = await setup.send(model="alpha", stream=streamed)
    assert (response.status_code, "queued" in response.text) == (200, False)


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_answer_that_was_blocked_has_its_finish_reason(testbed: Testbed, streamed: bool) -> None:
    setup = await testbed.start(None, whole(BLOCKED), None)
    response = await setup.send(stream=streamed)
    (choice,) = (events(response.content)[0] if streamed else response.json())["choices"]
    assert (response.status_code, choice["finish_reason"]) == (200, "content_filter")
    assert not setup.beta.requests


@pytest.mark.parametrize("refusal", [error(400, "bad prompt"), error(403, "policy"), whole({"choices": []}),
                                     whole({"error": {"message": "filtered"}}), whole([1]), whole(BLOCKED),
                                     *map(named_error, REPORTED), stream([{"code": "x", "message": "filtered"}]),
                                     stream([{"detail": "filtered"}], done=False)])  # fmt: skip
@pytest.mark.parametrize("streamed", [True, False])
async def test_what_a_prompt_can_cause_neither_opens_a_breaker_nor_starts_a_cooldown(
    testbed: Testbed, refusal: Answer, streamed: bool
) -> None:
    def one_client(exchange: Exchange) -> Answer | Body:
        return refusal if "bad" in exchange.raw.decode() else completion("ok")

    setup = await testbed.start(None, by_request(one_client), None)
    for _ in range(8):
        await setup.send(model="alpha", messages=[{"role": "user", "content": "bad"}], stream=streamed)
    assert setup.router.app.runtime.fleet.targets[0][1].ready
    assert (await setup.send(model="alpha")).status_code == 200


@pytest.mark.parametrize("status", [400, 413, 422, 429])
async def test_a_rejected_request_does_not_make_a_target_bad(testbed: Testbed, status: int) -> None:
    setup = await testbed.start(None, error(status, f"Request too large {TPM}"), None)
    assert (await setup.send(model="alpha")).status_code == (413 if status == 429 else status)
    upstream = setup.router.app.runtime.fleet.targets[0][1]
    assert upstream.last_error is None
    assert "bad" not in str((await setup.client.get("/health")).json()["targets"])


TPM = "on tokens per min (TPM): Limit 30000, Requested 41000. The input or output tokens must be reduced."
QUOTAS: list[tuple[int, Any]] = [
    (429, body("You exceeded your current quota, please check your plan.", type="insufficient_quota", code="x")),
    (429, body("You exceeded your current quota.", code="insufficient_quota")),
    (402, body("Insufficient Balance", type="unknown_error", code="invalid_request_error")),
    (402, body("This request requires more credits, or fewer max_tokens.", code=402)),
    (402, body("You requested up to 9 tokens, but can only afford 0.", code=402)),
    (402, body("You requested up to 9 tokens, but can only afford -12.", code=402)),
    (402, {"type": "error", "error": {"type": "billing_error", "message": "Your payment failed."}}),
    (429, {"type": "error", "error": {"type": "enforced_spend_limit_reached", "message": "no"}}),
    (400, body("Your credit balance is too low to access the API.", type="invalid_request_error")),
    (400, body("You have reached your specified workspace API usage limits.", type="invalid_request_error")),
    (403, body("The account balance is insufficient.", type="forbidden")),
    (429, body("Your account is suspended due to insufficient balance", type="exceeded_current_quota_error")),
    (400, body("Access denied.", code="Arrearage", type="Arrearage")),
    (429, body("Your account is suspended, please check your plan.", type="exceeded_current_quota_error")),
    (429, body("You exceeded your current token quota.", type="rate_limit")),
    (412, body("Account suspended: reached the monthly spending limit", type="invalid_request_error")),
    (403, {"code": "The caller does not have permission", "error": "Your team doesn't have any credits yet."}),
    (429, body("余额不足或无可用资源包,请充值。", code="1113")),
    (429, body("预扣费失败", code="insufficient_user_quota", type="new_api_error")),
    (429, {"success": False, "errors": [{"code": 4006, "message": "you have used up your daily free allocation of "
                                         "10,000 neurons, please upgrade."}]}),
    (429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."}),
    (429, body("The model service has been paused.", code="SetLimitExceeded", type="TooManyRequests")),
    (429, body("ExceededBudget: User=x over budget.", type="budget_exceeded", code="429")),
    (400, body("Budget has been exceeded! Current cost: 10.2, Max budget: 10.0", type="x", code="400")),
    (429, body("Provider returned error", code=429, metadata={"raw": '{"type":"insufficient_quota"}'})),
    (429, body("Provider returned error", code=429, metadata={"raw": "The provider's credits are depleted."})),
    (403, body("Key limit exceeded (total limit). Manage it in your settings.", code=403)),
    (403, body("The free tier of the model has been exhausted.", code="AllocationQuota.FreeTierOnly")),
    (403, {"statusCode": 403, "message": "Out of call volume quota. Quota will be replenished in 12:10:06."}),
    (400, body("API access is blocked", type="invalid_request_error", code="blocked_api_access")),
    (429, [body("Your project has exceeded its monthly spending cap.", code=429, status="RESOURCE_EXHAUSTED")]),
    (429, body("Billing hard limit has been reached", code="x")),
    (403, {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "x"}),
    (403, {"code": 403, "message": "not enough balance"}),
    (429, body("You have exceeded the 5-hour usage quota. It will reset at 2025-12-05 18:34:56.", code="x")),
    (429, body("x", code="AccountQuotaExceeded", type="TooManyRequests")),
    (429, body("Your account 2100 has exhausted its free trial quota for the model.", code="QuotaExceeded")),
    (429, body("已达到 5 小时的使用上限。您的限额将在 2025-10-17 22:09:01 重置。", code="1308")),
    (429, body("Daily call limit for this API reached. For more requests, contact us", code="1304")),
    (403, body("token remain quota: 0.06, need quota: 0.1", code="pre_consume_token_quota_failed")),
    (403, body("token quota is not enough, token remain quota: 0.06", type="new_api_error")),
    (401, body("该令牌额度已用尽 token.RemainQuota = -2222", type="one_api_error")),
    (403, {"errors": [{"code": "token_quota_reached", "message": "x"}], "status_code": 403}),
    (403, {"errors": [{"code": "x", "message": "This instance has reached its monthly token quota."}]}),
    (400, body("x", type="runtime_error", code="FailedOperation.FreeResourcePackExhausted")),
    (429, body("资源包余量已用尽", type="runtime_error", code="FailedOperation.ResourcePackExhausted")),
    (403, {"statusCode": 403, "message": "Token quota is exceeded. Try again in 02:13:45."}),
    (403, {"status": 403, "title": "Forbidden", "detail": "Account: Cloud credits expired - Please contact us"}),
    (403, [body("Enable it.", status="PERMISSION_DENIED", details=[{"@type": "x", "reason": "BILLING_DISABLED"}])]),
    (429, body("You've reached your monthly chat messages quota. Wait for your allowance.", code="x")),
    (429, body("You have exceeded your premium request allowance.", code="quota_exceeded")),
    (429, {"detail": "Quota exceeded and account balance is $0.0, please pay with fiat"}),
    (429, body("You have run out of balance", origin="router")),
    (429, body("Your project has reached its monthly budget.", type="project_budget_exceeded")),
    (429, {"detail": {"error": "inference prohibited, please enter a payment method"}}),
]  # fmt: skip
NO_QUOTAS: list[tuple[int, Any]] = [
    (429, body("Rate limit exceeded: your usage limit of 60 requests is reached.", code="rate_limit_exceeded")),
    (429, body("You have reached your usage limit of the minute.", type="rate_limit_error")),
    (429, body("You exceeded your current quota.", code="Throttling.RateQuota")),
    (429, body("your usage limit is 60 requests per minute")),
    (429, body("You have exceeded your token quota per minute.")),
    (429, body("The limit is reached. Your account balance is $0.05.")),
    (429, body("Slow down. Try again in 5s.", code="quota_exceeded")),
    (
        429,
        body(
            "Tokens per day limit exceeded - too many tokens.",
            type="too_many_tokens_error",
            param="quota",
            code="token_quota_exceeded",
        ),
    ),
    (
        429,
        [
            body(
                "Quota exceeded for quota metric 'Generate requests' and limit 'Generate requests per minute'.",
                status="RESOURCE_EXHAUSTED",
                details=[{"@type": "x", "reason": "RATE_LIMIT_EXCEEDED"}],
            )
        ],
    ),
    (429, [body("You exceeded your current quota. Please retry in 3.5s.", code=429, status="RESOURCE_EXHAUSTED")]),
    (403, body("Your API key's usage limits page shows that this model is not enabled", type="forbidden")),
    (403, body("Your key has reached its usage limit for beta models", type="permission_error")),
    (400, body("Invalid schema: 'Spending limit in USD' is not valid", type="invalid_request_error")),
    (400, body("Invalid value: the name 'payment required' is not allowed", code="invalid_value")),
    (400, body("The value 5 is out of range for credits", type="invalid_request_error")),
    (400, body("Property 1 price per month is not valid", type="invalid_request_error")),
    (400, body("Metadata key limit exceeded: 17 keys", type="invalid_request_error")),
    (400, body("The thinking budget has been exceeded", type="invalid_request_error")),
]


TOO_LARGE: list[tuple[int, Any]] = [
    (402, body("You requested up to 65536 tokens, but can only afford 5312. To increase, visit the site", code=402)),
    (402, body("Prompt tokens limit exceeded: 230799 > 91442. To increase, visit the site", code=402)),
    (429, body(f"Request too large for gpt-4o in organization x {TPM}", type="tokens", code="rate_limit_exceeded")),
    (429, body("Request too large for model x: Limit 6,000, Used 0, Requested 10,000 tokens", type="tokens")),
    (429, body("Provider returned error", code=429, metadata={"raw": f"Too large {TPM}"})),
    (200, body(f"Request too large {TPM}", code="rate_limit_exceeded")),
]
NOT_TOO_LARGE: list[Any] = [
    body("on tokens per day (TPD): Limit 100000, Used 99336, Requested 1212. Please try again in 7m53.856s"),
    body("Requests per minute: limit 3, requested 4"),
    body("Input tokens per minute: 31000 > 30000"),
]


@pytest.mark.parametrize(("status", "refusal"), TOO_LARGE)
async def test_a_request_above_a_limit_of_the_account_is_refused_and_no_cooldown_starts(
    testbed: Testbed, status: int, refusal: Any
) -> None:
    setup = await testbed.start(None, whole(refusal, status=status), text("b"))
    assert history((await setup.answer())["router_metadata"]) == [("alpha", "error"), ("beta", "ok")]
    response = await setup.send(model="alpha")
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
    assert response.json()["error"]["message"] == refusal["error"]["message"]
    assert len(setup.alpha.requests) == 2
    assert setup.router.app.runtime.fleet.targets[0][1].ready


@pytest.mark.parametrize("refusal", NOT_TOO_LARGE)
async def test_a_limit_that_a_wait_restores_is_a_rate_limit(testbed: Testbed, refusal: Any) -> None:
    setup = await testbed.start(None, whole(refusal, status=429))
    assert (await setup.send(model="alpha")).status_code == 429
    assert setup.router.app.runtime.fleet.targets[0][1].cooldown.seconds > 0


@pytest.mark.parametrize(("status", "refusal"), QUOTAS)
async def test_an_exhausted_quota_is_no_rate_limit(testbed: Testbed, status: int, refusal: Any) -> None:
    setup = await testbed.start(None, whole(refusal, status=status), text("b"))
    assert history((await setup.answer())["router_metadata"]) == [("alpha", "error"), ("beta", "ok")]
    alpha = setup.router.app.runtime.fleet.targets[0][1]
    names_wait = any(wait in str(refusal) for wait in ("12:10:06", "02:13:45"))
    assert 50 < alpha.cooldown.seconds <= (3_600 if names_wait else 60)
    alpha.cooldown = Cooldown()
    response = await setup.send(model="alpha")
    assert (response.status_code, response.json()["error"]["code"]) == (429, "insufficient_quota")
    assert "quota" in response.json()["error"]["message"]
    assert response.headers["x-should-retry"] == "false"
    response = await setup.send(model="alpha")
    assert (response.status_code, response.json()["error"]["code"]) == (429, "insufficient_quota")
    assert "the target's quota is exhausted" in response.json()["error"]["message"]
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("other", "code"),
    [
        (Cooldown.quota_exhausted, "insufficient_quota"),
        (lambda cooldown: cooldown.rate_limited(9), "rate_limit_exceeded"),
    ],
)
async def test_the_code_says_quota_only_if_the_quota_of_every_target_is_exhausted(
    testbed: Testbed, other: Any, code: str
) -> None:
    setup = await testbed.start(None, None, None)
    (_, alpha), (_, beta) = setup.router.app.runtime.fleet.targets
    alpha.cooldown.quota_exhausted()
    other(beta.cooldown)
    response = await setup.send()
    assert (response.status_code, response.json()["error"]["code"]) == (429, code)


@pytest.mark.parametrize(("status", "refusal"), NO_QUOTAS)
async def test_words_about_limits_are_no_quota_if_the_error_has_another_reason(
    testbed: Testbed, status: int, refusal: Any
) -> None:
    setup = await testbed.start(None, whole(refusal, status=status), text("b"))
    response = await setup.send(model="alpha")
    assert response.status_code == (502 if status == 403 else status)
    assert "insufficient_quota" not in response.text
    assert not setup.router.app.runtime.fleet.targets[0][1].cooldown.is_quota


@pytest.mark.parametrize("code", [1002, 1039, 1041, 2045])
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_rate_limit_in_an_answer_with_status_200_starts_a_cooldown(
    testbed: Testbed, code: int, streamed: bool
) -> None:
    refusal = {"base_resp": {"status_code": code, "status_msg": "limit"}, "choices": None}
    setup = await testbed.start(None, whole(refusal, status=200), text("b"))
    response = await setup.send(model="alpha", stream=streamed)
    assert (response.status_code, response.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert setup.router.app.runtime.fleet.targets[0][1].cooldown.seconds > 0


@pytest.mark.parametrize(
    "refusal",
    [
        {"error": [{"code": 2001, "message": "Bad input"}]},
        {"errors": [{"code": 2001, "message": "Bad input"}], "success": False, "result": None},
        {"errors": ["Bad input"]},
        {"error": True, "message": "Bad input"},
        {"message": "Bad input", "errors": [{"message": "other"}]},
        {"error_code": 1, "error_msg": "Bad input"},
        {"status": "error", "error_message": "Bad input"},
        {"Message": "Bad input", "__type": "ValidationException"},
        {"error": {"error": {"message": "Bad input"}}},
        {"fault": {"faultstring": "Bad input", "detail": {"errorcode": "x"}}},
        {"reason": "bad", "description": "Bad input"},
        {"error": "invalid_request", "error_description": "Bad input"},
        {"error": "Bad", "message": "Bad input"},
        b"Bad input\n",
    ],
)
async def test_the_client_gets_the_message_of_an_error_in_any_form(testbed: Testbed, refusal: Any) -> None:
    setup = await testbed.start(None, whole(refusal, status=400))
    response = await setup.send(model="alpha")
    assert (response.status_code, response.json()["error"]["message"]) == (400, "Bad input")


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 20s. Visit the site.", 20),
        ("Please try again in 14m24s", 864),
        ("Please try again in 250ms.", 0.25),
        ("Please retry in 36.2s.", 36.2),
        ("Please retry after 22 seconds.", 22),
        ("Wait 1 minute 30 seconds.", 90),
        ("Try again in 2 hours", 7_200),
        ("Please try again in 5 months", None),
        ("Please try again in " + "9" * 400 + "s", 86_400),
        ("Please try again later, 20s", None),
        ("Please try again later in 20 seconds", 20),
        ("Your rate limit resets in ~12s.", 12),
        ("Your rate limit is reset in ~5s", 5),
        ("Limit resets in: 12 s", 12),
        ("Current limit: 3, reset after 30 seconds", 30),
        ("Please retry your request after 5s", 5),
        ("Cooling down, available in 20s", 20),
        ("Try again in 2 minutes and 30 seconds.", 150),
        ("Try again in 02:13:45.", 8_025),
        ("Try again in 1.00:00:05", 86_400),
        ("请在 20 秒后重试", 20),
        ("请在 1 分钟 5 秒之后重试", 65),
        ("Slow down. Retry-After: 20", 20),
        ('Slow down: {"retry_after": 1.5}', 1.5),
        ("It resets at 12:00:00", None),
        ("Retry after 2026", None),
    ],
)
async def test_the_wait_is_read_from_the_words_of_an_error(
    testbed: Testbed, message: str, seconds: float | None
) -> None:
    setup = await testbed.start(None, whole(body(message, code="x"), status=429))
    await setup.send(model="alpha")
    cooldown = setup.router.app.runtime.fleet.targets[0][1].cooldown.seconds
    longest = 2 if seconds is None else seconds
    assert longest - 2 < cooldown <= longest


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (body("x", retry_after=20), 20),
        (body("x", retry_after="20"), 20),
        ({"error": "x", "retry_after": 2.5}, 2.5),
        (body("x", resets_in_seconds=3_600), 3_600),
        (body("x", metadata={"retry_after_seconds": 20}), 20),
        (body("x", details=[{"@type": "x.ErrorInfo", "metadata": {"quotaResetDelay": "1h2m3.5s"}}]), 3_723.5),
        (body("x", details=[{"retryDelay": "x"}, {"@type": "x.RetryInfo", "retryDelay": "750ms"}]), 0.75),
        (body("x", details=[{"@type": "x.RetryInfo", "retryDelay": {"seconds": 20}}]), 20),
        (body("Try again in 5s", retry_after=20), 20),
        (body("Try again in 5s", retry_after=True), 5),
        (body("Try again in 5s", retry_after=-1), 5),
        (body("Try again in 5s", retry_after=1_795_880_000), 5),
        (body("Try again in 5s", retry_after="soon", metadata=[], details={}), 5),
    ],
)
def test_the_wait_is_read_from_the_fields_of_an_error(refusal: Any, seconds: float) -> None:
    assert read(refusal).retry_after == seconds


@pytest.mark.parametrize("number", ["1e400", "NaN", "9" * 400])
def test_a_field_with_an_absurd_number_is_no_wait(number: str) -> None:
    assert read_error('{"error": {"message": "x", "retry_after": ' + number + "}}").retry_after is None


async def test_a_client_sets_no_wait_with_its_own_words(testbed: Testbed) -> None:
    setup = await testbed.start(None, whole(body("Too many: 'try again in 9h'"), status=429))
    await setup.send(model="alpha", messages=[{"role": "user", "content": "Try again in 9h"}])
    assert setup.router.app.runtime.fleet.targets[0][1].cooldown.seconds <= 2


async def test_the_wait_is_read_from_the_headers_in_an_error(testbed: Testbed) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": int((time.time() + 100) * 1000)}
    refusal = body("Rate limit exceeded", code=429, metadata={"headers": headers})
    setup = await testbed.start(None, whole(refusal, status=429))
    await setup.send(model="alpha")
    assert 90 < setup.router.app.runtime.fleet.targets[0][1].cooldown.seconds <= 100


def test_a_quota_that_resets_soon_is_a_rate_limit() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]
    refusal = read([{"error": {"code": 429, "message": "You exceeded your current quota.", "details": details}}])
    assert (refusal.retry_after, refusal.names_quota) == (34.0, False)


def test_words_that_the_client_sent_itself_are_no_quota() -> None:
    refusal = body("Unknown parameter: 'out of credits'", type="invalid_request_error")
    assert read(body("You ran out of credits")).mentions_quota
    assert not read(refusal, b'{"out of credits": 1}').mentions_quota
    assert not read(body("bad value: ran out of credits"), b'{"user": "Ran out of credits"}').mentions_quota
    assert not read(body("bad value: ran out of credits"), b'{"user": "\\u0072an out of credits"}').mentions_quota
    assert not read(body("bad value: ran out of credits"), b'{"user": "_ran_out-of  credits"}').mentions_quota
    assert not read(body("Exceeded length of 'usage limits'"), b'{"user": "usage limits"}').mentions_quota


@pytest.mark.parametrize("stream", [False, True])
async def test_words_that_the_client_sent_itself_are_no_quota_in_an_answer_with_status_200(
    testbed: Testbed, stream: bool
) -> None:
    refusal = body("Invalid prompt: payment required", code=400, type="invalid_request_error")
    setup = await testbed.start(None, whole(refusal, status=200), text("b"))
    messages = [{"role": "user", "content": "payment required"}]
    response = await setup.send(model="alpha", messages=messages, stream=stream)
    assert "insufficient_quota" not in response.text
    assert setup.router.app.runtime.fleet.targets[0][1].cooldown.seconds == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "1e9"}, 86_400),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after-ms": "20000", "retry-after": "7"}, 20),
        ({"x-ratelimit-reset-tokens": "26.4s"}, 26.4),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "5",
          "x-ratelimit-reset-tokens": "250ms", "x-ratelimit-remaining-tokens": "0"}, 0.25),
        ({"x-ratelimit-reset": "1d2h"}, 86_400),
        ({"ratelimit-reset": "12"}, 12),
        ({"retry-after": "20, 20"}, 20),
        ({"x-ratelimit-reset-tokens": "6m0s, 6m0s", "x-ratelimit-remaining-tokens": "0, 0"}, 360),
        ({"x-ratelimit-reset-tokens-day": "33011.38", "x-ratelimit-remaining-tokens-day": "0",
          "x-ratelimit-reset-requests-day": "50000", "x-ratelimit-remaining-requests-day": "9"}, 33_011.38),
        ({"ratelimitbysize-reset": "42", "ratelimitbysize-remaining": "0"}, 42),
        ({"x-rate-limit-reset": "42"}, 42),
        ({"x-ratelimit-reset-tokens": "9", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-week": "5d"}, 9),
        ({"x-retry-after": "20"}, 20),
        ({"retry-after-seconds": "20"}, 20),
        ({"x-ms-retry-after-ms": "20000"}, 20),
        ({"msh-cooldown-seconds": "1200"}, 1_200),
        ({"retry-after": "soon", "x-retry-after": "20"}, 20),
        ({"x-ratelimit-reset-requests": "1m 20s"}, 80),
        ({"anthropic-ratelimit-unified-5h-reset": "300", "anthropic-ratelimit-unified-7d-reset": "9000"}, 300),
        ({"anthropic-ratelimit-unified-5h-reset": "300", "anthropic-ratelimit-unified-5h-status": "allowed",
          "anthropic-ratelimit-unified-7d-reset": "9000", "anthropic-ratelimit-unified-7d-status": "rejected"}, 9_000),
        ({"x-ratelimit-reset-requests": "0s", "x-ratelimit-reset-tokens": "9s"}, 9),
        ({"x-ratelimit-reset": "2999-01-01 00:00:00"}, None),
        ({"ratelimit": '"default";r=0;t=30'}, 30),
        ({"ratelimit": '"minute";r=5;t=30, "day";r=0;t=300'}, 300),
        ({"ratelimit": "limit=100, remaining=0, reset=30"}, 30),
        ({"ratelimit": '"default";r=5;t=30'}, None),
        ({"ratelimit": '"default";r=' + "9" * 5000 + ";t=30"}, None),
    ],
)  # fmt: skip
def test_the_wait_is_read_from_the_headers_of_many_providers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S", "%a, %d %b %Y %H:%M:%S -0000", "%Y-%m-%d %H:%M:%S"])
def test_a_time_without_a_zone_is_utc_on_every_machine(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        wait = retry_after({"retry-after": time.strftime(form, time.gmtime(time.time() + 100))})
        late = retry_after({"retry-after": time.strftime(form, time.gmtime(time.time() + 9 * 3600))})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert wait is not None
    assert 90 < wait <= 100
    assert late is None


def test_times_are_waits_too() -> None:
    soon = time.time() + 100
    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(soon))
    for headers in (
        {"retry-after": email.utils.formatdate(soon, usegmt=True)},
        {"anthropic-ratelimit-requests-reset": iso},
        {"x-ratelimit-reset": email.utils.formatdate(soon, usegmt=True)},
        {"x-ratelimit-reset": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(soon))},
        {"x-ratelimit-reset": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(soon))},
        {"x-ratelimit-reset": str(int(soon))},
        {"x-ratelimit-reset": str(int(soon * 1000))},
    ):
        wait = retry_after(headers)
        assert wait is not None
        assert 90 < wait <= 100


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_limit_does_not_end_the_cooldown_of_an_exhausted_quota() -> None:
    clock = Clock()
    cooldown = Cooldown(clock)
    cooldown.rate_limited(None)
    cooldown.quota_exhausted()
    assert (cooldown.seconds, cooldown.is_quota) == (60, True)
    clock.now += 10
    cooldown.rate_limited(1)
    cooldown.rate_limited(None)
    assert (cooldown.seconds, cooldown.is_quota) == (50, True)
    clock.now += 50
    cooldown.rate_limited(1)
    assert (cooldown.seconds, cooldown.is_quota) == (1, False)


def test_a_quota_that_names_a_wait_has_a_cooldown_of_at_most_an_hour() -> None:
    for wait, seconds in ((5, 60), (900, 900), (43_806, 3_600)):
        cooldown = Cooldown(Clock())
        cooldown.quota_exhausted(wait)
        assert cooldown.seconds == seconds


def test_cooldowns_double_until_a_success() -> None:
    clock = Clock()
    cooldown = Cooldown(clock)
    waits = []
    for _ in range(8):
        cooldown.rate_limited(None)
        cooldown.rate_limited(None)
        waits.append(cooldown.seconds)
        clock.now += cooldown.seconds
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    cooldown.succeeded()
    cooldown.quota_exhausted()
    assert cooldown.seconds == 60
    clock.now += 60
    for _ in range(8):
        cooldown.quota_exhausted()
        clock.now += cooldown.seconds
    cooldown.quota_exhausted()
    assert cooldown.seconds == 3_600


@pytest.mark.parametrize("refusal", [b"<html>Bad input</html>", b"\xff\x00Bad input", b" "])
async def test_the_client_gets_no_html_and_no_unreadable_text(testbed: Testbed, refusal: bytes) -> None:
    setup = await testbed.start(None, whole(refusal, status=400))
    response = await setup.send(model="alpha")
    assert (response.status_code, response.json()["error"]["message"]) == (400, "`alpha` answered 400.")


def test_a_plain_text_names_a_quota_and_a_wait() -> None:
    assert read_error("Your credits are exhausted").mentions_quota
    assert read_error("Too many requests, try again in 20s").retry_after == 20


def test_an_error_that_is_a_text_and_a_message_shows_both() -> None:
    assert read({"error": "The prompt is too long", "message": "Bad input"}).fields["message"].count(":") == 1
    assert read({"error": "too_long", "message": "Bad input"}).fields == {"code": "too_long", "message": "Bad input"}


@pytest.mark.parametrize("answer", ["not json", "", "[]", "[[]]", '"text"', "7", '{"error": null}', '{"error": []}'])
def test_an_error_without_fields_is_an_empty_refusal(answer: str) -> None:
    refusal = read_error(answer)
    assert not (refusal.is_malformed or refusal.names_quota or refusal.mentions_quota)
    assert refusal.status is None
