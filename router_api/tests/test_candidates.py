"""Who can serve a request, in which order they are asked, and what a client hears where nobody can."""

import json
from decimal import Decimal
from typing import Any

import pytest
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.accounting.spending import UNLIMITED, MaxCost
from rl_router_api.config import Target
from rl_router_api.conversation.request import Request
from rl_router_api.dialects.chat.read_request import read_request
from rl_router_api.errors import ApiError
from rl_router_api.routing.candidates import Callee, Verdict, check_targets, eligible_targets
from rl_router_api.routing.decide import Limits, fallback_order
from rl_router_api.upstreams.upstream import Upstream, upstream_of

QUESTION = [{"role": "user", "content": "2 + 2?"}]
TOOL = {"type": "function", "function": {"name": "f"}}
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}]
Pair = tuple[Target, Upstream]


def pair(name: str = "alpha", **fields: Any) -> Pair:
    target = Target.model_validate({"name": name, "base_url": f"http://{name}/v1", "price": {}, **fields})
    return target, upstream_of(target)


def asked(router: Any = None, **fields: Any) -> Request:
    return read_request(json.dumps({"model": "router", "messages": QUESTION, "router": router, **fields}).encode())


def limits(max_cost: str | None = None) -> Limits:
    spending = MaxCost(Decimal(max_cost)) if max_cost else UNLIMITED
    return Limits(spending, 0.0, 3, 8, "buffered", "balanced", Ledger("r"))


def verdicts(request: Request, *pairs: Pair, max_cost: str | None = None) -> list[Verdict]:
    return check_targets(request, limits(max_cost), pairs)


def names(request: Request, *pairs: Pair, max_cost: str | None = None) -> list[str]:
    callees = eligible_targets(request, limits(max_cost), verdicts(request, *pairs, max_cost=max_cost))
    return [callee.name for callee in callees]


def refused(request: Request, *pairs: Pair, max_cost: str | None = None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        names(request, *pairs, max_cost=max_cost)
    return caught.value


def broken(each: Pair) -> Pair:
    for _ in range(5):
        each[1].breaker.failed(each[1].breaker.begin())
    return each


def test_a_target_of_which_nothing_is_known_can_do_everything() -> None:
    request = asked(tools=[TOOL], messages=PICTURE, n=3, logprobs=True, response_format={"type": "json_schema"})
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
@pytest.mark.parametrize("others", [[], ["all_but_it"]])
def test_a_request_nobody_can_serve_gets_a_400_naming_the_need(
    need: str, fields: dict[str, Any], param: str, others: list[str]
) -> None:
    all_but_it = [each for each in ("tools", "vision", "audio", "json_schema", "n", "logprobs") if each != need]
    lacking = pair(capabilities=all_but_it if others else [])
    assert names(asked(**fields), lacking, pair("beta")) == ["beta"]
    assert names(asked(**fields), lacking, pair("beta", capabilities=[need])) == ["beta"]
    error = refused(asked(**fields), lacking)
    assert (error.status, error.param, error.code) == (400, param, "unmet_need")
    assert f"No model supports {need} " in error.message
    assert "alpha" in error.message


def test_needs_that_no_one_target_meets_together_are_all_named() -> None:
    request = asked(tools=[TOOL], messages=PICTURE)
    error = refused(request, pair(capabilities=["tools"]), pair("beta", capabilities=["vision"]))
    assert (error.status, error.code) == (400, "unmet_need")
    assert "tools, vision" in error.message


def test_a_request_that_fits_no_context_is_a_400_as_openais() -> None:
    request = asked(messages=[{"role": "user", "content": "x" * 40_000}])
    assert names(request, pair(context_length=8_192), pair("beta", context_length=16_384)) == ["beta"]
    error = refused(request, pair(context_length=8_192))
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")


def test_the_output_asked_for_has_to_fit_the_context_too() -> None:
    assert names(asked(max_tokens=9_000), pair(context_length=8_192), pair("beta")) == ["beta"]


def test_only_the_targets_that_a_request_allows_are_candidates() -> None:
    assert names(asked({"models": ["beta"]}), pair(), pair("beta")) == ["beta"]
    error = refused(asked({"models": ["beta"]}), pair())
    assert (error.status, error.param) == (400, "router.models")


def test_what_hinders_a_target_that_is_not_allowed_is_not_told() -> None:
    error = refused(asked({"models": ["beta"]}, n=2), pair(), pair("beta", capabilities=[]))
    assert "beta" in error.message
    assert "alpha" not in error.message


def test_under_a_max_cost_a_target_must_be_affordable_and_priced() -> None:
    cheap, dear = pair("cheap", price={"output": "1"}), pair("dear", price={"output": "1000"})
    unpriced = pair("unpriced", price=None)
    assert names(asked(), cheap, dear, unpriced, max_cost="0.001") == ["cheap"]
    assert names(asked(), cheap, dear, unpriced) == ["cheap", "dear", "unpriced"]
    error = refused(asked(), dear, unpriced, max_cost="0.001")
    assert (error.status, error.code, error.param) == (400, "max_cost_too_low", "router.max_cost")
    assert error.retryable is False


def test_below_256_tokens_of_output_a_target_is_no_candidate() -> None:
    each = pair(price={"output": "1"})
    assert names(asked(), each, max_cost="0.000256") == ["alpha"]
    assert refused(asked(), each, max_cost="0.000255").code == "max_cost_too_low"
    assert names(asked(max_tokens=10), each, max_cost="0.00001") == ["alpha"]


def test_a_refusal_for_money_says_how_much_of_what_it_does_not_buy() -> None:
    three = refused(asked(max_tokens=20, n=3), pair(price={"output": "10"}), max_cost="0.0000001").message
    assert "of 0.0000001 USD" in three
    assert "alpha: 0.0000001 USD do not buy 3 choices of 20 tokens" in three
    unpriced = refused(asked(), pair(price=None), max_cost="1").message
    assert "configure its `price`" in unpriced


def test_a_target_whose_context_is_nearly_full_is_not_called_too_dear() -> None:
    request = asked(messages=[{"role": "user", "content": "x" * 4_000}])
    assert names(request, pair(price={"output": "1"}, context_length=1_050), max_cost="5") == ["alpha"]


def test_a_target_without_its_key_is_no_candidate() -> None:
    keyless = pair(api_key_file="no/such/file")
    assert names(asked(), keyless, pair("beta")) == ["beta"]
    error = refused(asked(), keyless)
    assert (error.status, error.code) == (503, "no_target")


@pytest.mark.parametrize(
    ("fields", "others", "code"),
    [
        ({"tools": [TOOL]}, {"capabilities": []}, "unmet_need"),
        ({"max_tokens": 9_000}, {"context_length": 8_192}, "context_length_exceeded"),
    ],
)
def test_a_target_without_its_key_does_not_hide_what_the_request_needs(
    fields: dict[str, Any], others: dict[str, Any], code: str
) -> None:
    error = refused(asked(**fields), pair(api_key_file="no/such/file"), pair("beta", **others))
    assert (error.status, error.code) == (400, code)
    assert "alpha: no/such/file is missing" in error.message


def test_a_need_that_only_a_target_without_its_key_meets_is_met_by_none() -> None:
    error = refused(asked(tools=[TOOL]), pair(api_key_file="no/such/file"), pair("beta", capabilities=[]))
    assert "No model supports tools" in error.message
    assert error.param == "tools"


def test_a_target_with_all_its_places_taken_is_busy() -> None:
    each = pair(max_in_flight=1)
    assert names(asked(), each) == ["alpha"]
    each[1].begin()
    error = refused(asked(), each)
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", 1.0)
    each[1].end()
    assert names(asked(), each) == ["alpha"]


def test_after_a_429_a_target_is_set_aside_and_the_shortest_wait_is_told() -> None:
    first, second = pair(), pair("beta")
    first[1].cool_down(5_000)
    assert names(asked(), first, second) == ["beta"]
    second[1].cool_down(1_000)
    error = refused(asked(), first, second)
    assert error.status == 429
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 1_000


def test_a_target_whose_breaker_is_open_is_passed_over_while_others_are_left() -> None:
    assert names(asked(), broken(pair()), pair("beta")) == ["beta"]
    verdict = verdicts(asked(), broken(pair()), pair("beta"))[0]
    assert (verdict.is_eligible, verdict.obstacle) == (False, "breaker")


def test_where_every_breaker_is_open_the_call_is_made_all_the_same() -> None:
    assert names(asked(), broken(pair()), broken(pair("beta")), pair("gamma", api_key_file="no/such")) == [
        "alpha", "beta",
    ]  # fmt: skip


def test_an_open_breaker_does_not_excuse_what_else_stands_against_a_target() -> None:
    assert refused(asked(n=2), broken(pair(capabilities=[]))).code == "unmet_need"


def test_no_targets_at_all_is_a_503() -> None:
    error = refused(asked())
    assert (error.status, error.code) == (503, "no_target")


def costing(**costs: str | None) -> list[Callee]:
    """Candidates of whom a request is thought to cost so much."""
    prices = {name: {"input": cost} if cost else None for name, cost in costs.items()}
    return [Callee(*pair(name, price=price), 1_000_000, 0) for name, price in prices.items()]


@pytest.mark.parametrize(
    ("prefer", "order"),
    [
        ("cost", ["cheap", "middle", "dear", "unknown"]),
        ("quality", ["dear", "middle", "cheap", "unknown"]),
        ("balanced", ["middle", "cheap", "dear", "unknown"]),
    ],
)
def test_the_default_fallback_order_is_by_price_for_this_request(prefer: Any, order: list[str]) -> None:
    candidates = costing(unknown=None, dear="0.9", cheap="0.1", middle="0.2")
    assert [candidate.name for candidate in fallback_order(candidates, prefer, [])] == order


def test_equal_prices_keep_the_configurations_order() -> None:
    for prefer in ("cost", "balanced", "quality"):
        order = fallback_order(costing(b="0.1", a="0.1"), prefer, [])
        assert [candidate.name for candidate in order] == ["b", "a"]
    assert fallback_order([], "balanced", []) == []
    assert [each.name for each in fallback_order(costing(x=None, y=None), "balanced", [])] == ["x", "y"]


def test_a_configured_fallback_order_names_everybody_who_is_asked() -> None:
    order = fallback_order(costing(a="0.1", b="0.2", c="0.3"), "cost", ["c", "gone", "a"])
    assert [candidate.name for candidate in order] == ["c", "a"]


def test_the_estimate_of_a_call_counts_input_choices_and_the_limit_on_output() -> None:
    priced = pair(price={"output": "1000000"})
    estimates = [
        verdicts(asked(**fields), priced)[0].callee.estimated_cost
        for fields in ({}, {"max_tokens": 5}, {"max_tokens": 5, "n": 3})
    ]
    assert estimates == [500, 5, 15]
    assert verdicts(asked(), pair(price=None))[0].callee.estimated_cost is None
