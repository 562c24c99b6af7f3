"""The candidates for a request, the fallback order, and the error if there is no candidate."""

from decimal import Decimal
from typing import Any

import pytest
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.accounting.spending import UNLIMITED, MaxCost
from rl_router_api.config import Target
from rl_router_api.conversation.request import Request
from rl_router_api.errors import ApiError
from rl_router_api.routing.candidates import Callee, Verdict, check_targets, eligible_targets
from rl_router_api.routing.decide import Limits, fallback_order
from rl_router_api.upstreams.upstream import Upstream, upstream_of

from fakes.testbed.requests import chat_request

TOOL = {"type": "function", "function": {"name": "f"}}
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}]
Pair = tuple[Target, Upstream]


def pair(name: str = "alpha", **fields: Any) -> Pair:
    target = Target.model_validate({"name": name, "base_url": f"http://{name}/v1", "price": {}, **fields})
    return target, upstream_of(target)


def limits(max_cost: str | None = None) -> Limits:
    spending = MaxCost(Decimal(max_cost)) if max_cost else UNLIMITED
    return Limits(spending, 0.0, 600.0, 3, 8, "buffered", "balanced", Ledger("r"))


def verdicts(request: Request, *pairs: Pair, max_cost: str | None = None) -> list[Verdict]:
    return check_targets(request, limits(max_cost), pairs)


def names(request: Request, *pairs: Pair, max_cost: str | None = None) -> list[str]:
    callees = eligible_targets(request, limits(max_cost), verdicts(request, *pairs, max_cost=max_cost))
    return [callee.name for callee in callees]


def refused(request: Request, *pairs: Pair, max_cost: str | None = None) -> ApiError:
    with pytest.raises(ApiError) as raised:
        names(request, *pairs, max_cost=max_cost)
    return raised.value


def broken(pair: Pair) -> Pair:
    """Opens the circuit breaker of the target."""
    breaker = pair[1].breaker
    for _ in range(5):
        breaker.failed(breaker.begin())
    return pair


def test_a_target_without_capabilities_is_a_candidate_for_every_request() -> None:
    request = chat_request(tools=[TOOL], messages=PICTURE, n=3, logprobs=True, response_format={"type": "json_schema"})
    assert names(request, pair()) == ["alpha"]


@pytest.mark.parametrize(
    ("need", "fields", "param"),
    [
        ("tools", {"tools": [TOOL]}, "tools"),
        ("vision", {"messages": PICTURE}, "messages"),
        ("json_schema", {"response_format": {"type": "json_schema"}}, "response_format"),
        ("n", {"n": 2}, "n"),
        ("logprobs", {"logprobs": True}, "logprobs"),
        ("audio", {"modalities": ["audio"]}, "messages"),
    ],
)
@pytest.mark.parametrize("has_others", [False, True])
def test_a_request_that_no_target_supports_is_a_400_that_names_the_need(
    need: str, fields: dict[str, Any], param: str, has_others: bool
) -> None:
    others = [other for other in ("tools", "vision", "audio", "json_schema", "n", "logprobs") if other != need]
    lacking = pair(capabilities=others if has_others else [])
    assert names(chat_request(**fields), lacking, pair("beta")) == ["beta"]
    assert names(chat_request(**fields), lacking, pair("beta", capabilities=[need])) == ["beta"]
    error = refused(chat_request(**fields), lacking)
    assert (error.status, error.param, error.code) == (400, param, "unmet_need")
    assert f"No model supports {need} " in error.message
    assert "alpha" in error.message


def test_an_error_names_all_needs_if_no_target_supports_them_together() -> None:
    request = chat_request(tools=[TOOL], messages=PICTURE)
    error = refused(request, pair(capabilities=["tools"]), pair("beta", capabilities=["vision"]))
    assert (error.status, error.code) == (400, "unmet_need")
    assert "tools, vision" in error.message


def test_a_request_too_long_for_every_context_is_openais_400() -> None:
    request = chat_request(messages=[{"role": "user", "content": "x" * 40_000}])
    assert names(request, pair(context_length=8_192), pair("beta", context_length=16_384)) == ["beta"]
    error = refused(request, pair(context_length=8_192))
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")


@pytest.mark.parametrize(
    ("fields", "needs"),
    [({"tools": [TOOL]}, ["tools"]), ({"messages": PICTURE}, ["vision"]),
     ({"messages": PICTURE, "tools": [TOOL]}, ["tools", "vision"])],
)  # fmt: skip
@pytest.mark.parametrize("capable_first", [False, True])
def test_a_request_too_long_for_every_capable_target_is_openais_400(
    fields: dict[str, Any], needs: list[str], capable_first: bool
) -> None:
    targets = [pair(capabilities=needs, context_length=500), pair("beta", capabilities=needs[1:])]
    error = refused(chat_request(max_tokens=1_000, **fields), *(targets if capable_first else targets[::-1]))
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")
    assert f"too long for every model that supports {', '.join(needs)} (" in error.message


def test_a_target_is_no_candidate_if_the_requested_output_exceeds_its_context() -> None:
    assert names(chat_request(max_tokens=9_000), pair(context_length=8_192), pair("beta")) == ["beta"]


def test_only_the_targets_that_a_request_allows_are_candidates() -> None:
    assert names(chat_request(router={"models": ["beta"]}), pair(), pair("beta")) == ["beta"]
    error = refused(chat_request(router={"models": ["beta"]}), pair())
    assert (error.status, error.param) == (400, "router.models")


def test_an_error_does_not_name_targets_that_the_request_does_not_allow() -> None:
    error = refused(chat_request(router={"models": ["beta"]}, n=2), pair(), pair("beta", capabilities=[]))
    assert "beta" in error.message
    assert "alpha" not in error.message


def test_with_a_max_cost_only_affordable_targets_with_a_price_are_candidates() -> None:
    cheap, expensive = pair("cheap", price={"output": "1"}), pair("expensive", price={"output": "1000"})
    unpriced = pair("unpriced", price=None)
    assert names(chat_request(), cheap, expensive, unpriced, max_cost="0.001") == ["cheap"]
    assert names(chat_request(), cheap, expensive, unpriced) == ["cheap", "expensive", "unpriced"]
    error = refused(chat_request(), expensive, unpriced, max_cost="0.001")
    assert (error.status, error.code, error.param) == (400, "max_cost_too_low", "router.max_cost")
    assert error.retryable is False


def test_a_target_that_can_afford_less_than_256_output_tokens_is_no_candidate() -> None:
    target = pair(price={"output": "1"})
    assert names(chat_request(), target, max_cost="0.000256") == ["alpha"]
    assert refused(chat_request(), target, max_cost="0.000255").code == "max_cost_too_low"
    assert names(chat_request(max_tokens=10), target, max_cost="0.00001") == ["alpha"]
    assert names(chat_request(), pair(price={"output": "1"}, max_output=100), max_cost="0.0001") == ["alpha"]


def test_an_error_about_money_says_what_the_money_does_not_buy() -> None:
    three = refused(chat_request(max_tokens=20, n=3), pair(price={"output": "10"}), max_cost="0.0000001").message
    assert "of 0.0000001 USD" in three
    assert "alpha: 0.0000001 USD do not pay for the input and 3 choices of 20 tokens" in three
    unpriced = refused(chat_request(), pair(price=None), max_cost="1").message
    assert "Set the target's `price`" in unpriced


def test_a_target_whose_context_is_nearly_full_is_not_refused_as_too_expensive() -> None:
    request = chat_request(messages=[{"role": "user", "content": "x" * 4_000}])
    assert names(request, pair(price={"output": "1"}, context_length=1_050), max_cost="5") == ["alpha"]


def test_a_target_whose_key_is_missing_is_no_candidate() -> None:
    keyless = pair(api_key_file="no/such/file")
    assert names(chat_request(), keyless, pair("beta")) == ["beta"]
    error = refused(chat_request(), keyless)
    assert (error.status, error.code) == (503, "no_target")


@pytest.mark.parametrize(
    ("fields", "others", "code"),
    [
        ({"tools": [TOOL]}, {"capabilities": []}, "unmet_need"),
        ({"max_tokens": 9_000}, {"context_length": 8_192}, "context_length_exceeded"),
    ],
)
def test_a_target_whose_key_is_missing_does_not_hide_an_unsupported_need(
    fields: dict[str, Any], others: dict[str, Any], code: str
) -> None:
    error = refused(chat_request(**fields), pair(api_key_file="no/such/file"), pair("beta", **others))
    assert (error.status, error.code) == (400, code)
    assert "alpha: no/such/file is missing" in error.message


def test_a_target_whose_key_is_missing_supports_no_need() -> None:
    error = refused(chat_request(tools=[TOOL]), pair(api_key_file="no/such/file"), pair("beta", capabilities=[]))
    assert "No model supports tools" in error.message
    assert error.param == "tools"


def test_a_target_without_free_slots_is_no_candidate() -> None:
    target = pair(max_in_flight=1)
    assert names(chat_request(), target) == ["alpha"]
    target[1].begin()
    error = refused(chat_request(), target)
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", 1.0)
    target[1].end()
    assert names(chat_request(), target) == ["alpha"]


def test_targets_in_cooldown_are_no_candidates_and_the_shortest_wait_is_reported() -> None:
    first, second = pair(), pair("beta")
    first[1].cooldown.rate_limited(5_000)
    assert names(chat_request(), first, second) == ["beta"]
    second[1].cooldown.rate_limited(1_000)
    error = refused(chat_request(), first, second)
    assert error.status == 429
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 1_000


def test_a_target_with_an_open_breaker_is_skipped_if_others_are_left() -> None:
    assert names(chat_request(), broken(pair()), pair("beta")) == ["beta"]
    verdict = verdicts(chat_request(), broken(pair()), pair("beta"))[0]
    assert (verdict.is_eligible, verdict.obstacle) == (False, "breaker")


def test_if_every_breaker_is_open_the_targets_are_called_nevertheless() -> None:
    assert names(chat_request(), broken(pair()), broken(pair("beta")), pair("gamma", api_key_file="no/such")) == [
        "alpha", "beta",
    ]  # fmt: skip


def test_a_target_with_an_open_breaker_must_still_support_the_request() -> None:
    assert refused(chat_request(n=2), broken(pair(capabilities=[]))).code == "unmet_need"


def test_without_any_target_the_error_is_a_503() -> None:
    error = refused(chat_request())
    assert (error.status, error.code) == (503, "no_target")


def costing(**costs: str | None) -> list[Callee]:
    """Returns candidates with these estimated costs for a request."""
    prices = {name: {"input": cost} if cost else None for name, cost in costs.items()}
    return [Callee(*pair(name, price=price), 1_000_000, 0) for name, price in prices.items()]


@pytest.mark.parametrize(
    ("prefer", "order"),
    [
        ("cost", ["cheap", "middle", "expensive", "unknown"]),
        ("quality", ["expensive", "middle", "cheap", "unknown"]),
        ("balanced", ["middle", "cheap", "expensive", "unknown"]),
    ],
)
def test_the_default_fallback_order_follows_the_estimated_cost_of_the_request(prefer: Any, order: list[str]) -> None:
    candidates = costing(unknown=None, expensive="0.9", cheap="0.1", middle="0.2")
    assert [candidate.name for candidate in fallback_order(candidates, prefer, [])] == order


def test_candidates_with_equal_prices_keep_the_order_of_the_configuration() -> None:
    for prefer in ("cost", "balanced", "quality"):
        order = fallback_order(costing(b="0.1", a="0.1"), prefer, [])
        assert [candidate.name for candidate in order] == ["b", "a"]
    assert fallback_order([], "balanced", []) == []
    assert [candidate.name for candidate in fallback_order(costing(x=None, y=None), "balanced", [])] == ["x", "y"]


def test_a_configured_fallback_order_leaves_out_targets_that_it_does_not_name() -> None:
    order = fallback_order(costing(a="0.1", b="0.2", c="0.3"), "cost", ["c", "gone", "a"])
    assert [candidate.name for candidate in order] == ["c", "a"]


def test_the_estimated_cost_of_a_call_counts_input_choices_and_the_output_limit() -> None:
    priced = pair(price={"output": "1000000"})
    estimates = [
        verdicts(chat_request(**fields), priced)[0].callee.estimated_cost
        for fields in ({}, {"max_tokens": 5}, {"max_tokens": 5, "n": 3})
    ]
    assert estimates == [500, 5, 15]
    assert verdicts(chat_request(), pair(price=None))[0].callee.estimated_cost is None
