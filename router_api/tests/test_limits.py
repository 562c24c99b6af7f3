"""What a request may cost and how long it may take: the stricter of what server and request say."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from rl_router_api.accounting.ledger import Ledger, Usage, worst_cost
from rl_router_api.config import Price, Routing, Target
from rl_router_api.dialects.chat.read_request import ChatRequest, parse
from rl_router_api.dialects.chat.sizes import max_input_tokens
from rl_router_api.routing.limits import LEAST_OUTPUT, MOST_OUTPUT, Limits, least_output, limits_of, output_limit

DOLLARS = st.decimals(min_value=0, max_value=10**6, places=12, allow_nan=False, allow_infinity=False)


def asked(router: Any = None, **fields: Any) -> ChatRequest:
    body = {"model": "router", "messages": [{"role": "user", "content": "2 + 2?"}], "router": router, **fields}
    return parse(json.dumps(body).encode())


def target(price: Any = None, **fields: Any) -> Target:
    return Target.model_validate({"name": "alpha", "base_url": "http://a/v1", "price": price, **fields})


def limits(max_cost: str | None = None, ledger: Ledger | None = None) -> Limits:
    return Limits(Decimal(max_cost) if max_cost else None, 0.0, 3, 8, "buffered", "balanced", ledger or Ledger("r"))


async def test_without_a_word_of_the_requests_the_servers_limits_hold() -> None:
    routing = Routing(max_turns=4, max_calls=5, max_cost=Decimal("0.5"), prefer="cost", review="always")
    found = limits_of(asked(), routing, Ledger("r"))
    assert (found.max_turns, found.max_calls, found.max_cost) == (4, 5, Decimal("0.5"))
    assert (found.prefer, found.review) == ("cost", "always")
    assert limits_of(asked(), Routing(), Ledger("r")).left is None


@pytest.mark.parametrize(
    ("server", "request_", "holds"), [(None, 2, "2"), ("1", 2, "1"), ("1", 0.5, "0.5"), ("1", 0, "0")]
)
async def test_the_smaller_max_cost_holds(server: str | None, request_: float, holds: str) -> None:
    routing = Routing(max_cost=Decimal(server) if server else None)
    assert limits_of(asked({"max_cost": request_}), routing, Ledger("r")).max_cost == Decimal(holds)


@pytest.mark.parametrize(("request_", "holds"), [(1, 1), (3, 3), (99, 3)])
async def test_the_smaller_max_turns_holds(request_: int, holds: int) -> None:
    assert limits_of(asked({"max_turns": request_}), Routing(max_turns=3), Ledger("r")).max_turns == holds


@pytest.mark.parametrize(("request_", "holds"), [(500, 0.5), (60_000, 10), (10**400, 10), (None, 10)])
async def test_the_earlier_deadline_holds(request_: int | None, holds: float) -> None:
    found = limits_of(asked({"deadline_ms": request_}), Routing(deadline=10), Ledger("r"))
    start = asyncio.get_running_loop().time()
    assert start + holds - 5 < found.deadline <= start + holds
    assert found.seconds_left <= holds


@pytest.mark.parametrize(
    ("server", "request_", "holds"),
    [
        ("buffered", None, "buffered"), ("buffered", "never", "never"), ("buffered", "always", "always"),
        ("never", "always", "never"), ("never", "buffered", "never"), ("never", None, "never"),
        ("always", "never", "always"), ("always", "buffered", "always"), ("always", None, "always"),
    ],
)  # fmt: skip
async def test_the_servers_review_holds_unless_it_leaves_the_choice(
    server: Any, request_: str | None, holds: str
) -> None:
    assert limits_of(asked({"review": request_}), Routing(review=server), Ledger("r")).review == holds


async def test_a_request_says_what_it_prefers() -> None:
    assert limits_of(asked({"prefer": "quality"}), Routing(prefer="cost"), Ledger("r")).prefer == "quality"


def test_what_is_left_is_less_what_was_spent_and_what_is_under_way() -> None:
    ledger = Ledger("r")
    entry = ledger.open_target_call("alpha", "call_alpha", Price(request=Decimal("0.1")), 0, Decimal("0.7"))
    found = limits("1", ledger)
    assert found.left == Decimal("0.3")
    assert not found.affords(Price(request=Decimal("0.4")), 0, 0)
    entry.report(Usage(0, 0), Raw(b"{}"))
    entry.close("ok")
    assert found.left == Decimal("0.9")
    assert found.affords(Price(request=Decimal("0.9")), 0, 0)
    assert not found.affords(Price(request=Decimal("0.9"), output=Decimal("0.000001")), 0, 1)
    assert limits().affords(Price(request=Decimal(10**9)), 10**9, 10**9)


def test_a_call_whose_bill_never_came_is_held_at_its_worst_case() -> None:
    ledger = Ledger("r")
    price = Price(output=Decimal(1))
    for status in ("timeout", "cancelled", "ok"):
        ledger.open_target_call("alpha", "call_alpha", price, 0, Decimal("0.2")).close(status)
    assert ledger.target_cost == 0
    assert limits("1", ledger).left == Decimal("0.4")
    ledger.open_target_call("alpha", "call_alpha", price, 0, Decimal("0.2")).close("error", billed=False)
    assert limits("1", ledger).left == Decimal("0.4")


def test_what_is_left_is_exact_however_many_digits_it_has() -> None:
    ledger = Ledger("r")
    ledger.open_router_call("m", Price(), 0, Decimal("0.000000000000000000000000000000000001"))
    assert limits("999999999999", ledger).left == Decimal("999999999998.999999999999999999999999999999999999")


def test_the_rest_of_the_money_buys_so_much_output() -> None:
    assert output_limit(asked(), target({"output": "10"}), Decimal("0.01")) == 1_000
    assert output_limit(asked(n=4), target({"output": "10"}), Decimal("0.01")) == 250
    assert output_limit(asked(), target({"output": "10", "request": "0.004"}), Decimal("0.01")) == 600


def test_the_clients_own_limit_is_lowered_to_what_can_be_paid() -> None:
    assert output_limit(asked(max_tokens=900), target({"output": "10"}), Decimal("0.01")) == 900
    assert output_limit(asked(max_tokens=1_001), target({"output": "10"}), Decimal("0.01")) == 1_000
    assert output_limit(asked(max_tokens=500, n=3), target({"output": "10"}), Decimal("0.01")) == 333


@pytest.mark.parametrize(("limit", "least"), [(None, 256), (5_000, 256), (256, 256), (10, 10)])
def test_a_client_that_wants_less_than_256_tokens_gets_them_all_or_none(limit: int | None, least: int) -> None:
    assert least_output(asked(**({"max_tokens": limit} if limit else {}))) == least


def test_output_that_costs_nothing_has_no_bound_but_the_clients() -> None:
    assert output_limit(asked(), target({}), Decimal(0)) is None
    assert output_limit(asked(max_tokens=5), target({}), Decimal(0)) == 5


def test_an_unknown_price_and_an_input_too_dear_buy_nothing() -> None:
    assert output_limit(asked(), target(None), Decimal(10**6)) == 0
    assert output_limit(asked(), target({"request": "0.02"}), Decimal("0.01")) == 0


def test_no_more_output_is_bought_than_fits_the_context_but_always_a_fair_answers() -> None:
    price = {"output": "1"}
    assert 9_000 < (output_limit(asked(), target(price, context_length=10_000), Decimal(10**6)) or 0) < 10_000
    assert output_limit(asked(), target(price, context_length=1), Decimal(10**6)) == LEAST_OUTPUT


@pytest.mark.parametrize("context", [None, 1_000_000])
def test_no_provider_is_asked_for_more_output_than_it_may_take_only_because_it_is_cheap(context: int | None) -> None:
    cheap = target({"output": "0.01"}, context_length=context)
    assert output_limit(asked(), cheap, Decimal(1)) == MOST_OUTPUT
    assert output_limit(asked(max_tokens=50_000), cheap, Decimal(1)) == 50_000
    assert output_limit(asked(), target({"output": "0.01"}, max_output=4_096), Decimal(1)) == 4_096


@settings(max_examples=100, deadline=None)
@given(DOLLARS, DOLLARS, DOLLARS, st.integers(1, 10), st.none() | st.integers(1, 10**6), st.none() | st.just(8_192))
def test_no_answer_within_the_limit_costs_more_than_is_left(
    left: Decimal, per_token: Decimal, per_request: Decimal, n: int, most: int | None, context: int | None
) -> None:
    fields = {"n": n} | ({"max_tokens": most} if most else {})
    request, price = asked(**fields), Price(input=per_token, output=per_token, request=per_request)
    limit = output_limit(request, target(price.model_dump(), context_length=context), left)
    assert limit is None or limit >= 0
    if limit:
        assert worst_cost(price, max_input_tokens(request, target()), n * limit) <= left


def test_a_call_that_no_limit_held_is_held_at_nothing_more_than_its_estimate() -> None:
    ledger = Ledger("r")
    ledger.open_target_call("alpha", "call_alpha", Price(request=Decimal("0.1")), 0, Decimal(0)).close("timeout")
    assert ledger.committed() == ledger.target_cost == Decimal("0.1")
