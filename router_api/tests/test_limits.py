"""The limits of a request: the stricter of the server's and the request's own."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.accounting.money import worst_cost
from rl_router_api.config import Configuration, Price, Routing, Target
from rl_router_api.conversation.request import Request
from rl_router_api.dialects.chat.sizes import max_input_tokens
from rl_router_api.routing.decide import Limits
from rl_router_api.routing.goal import unit_of
from rl_router_api.routing.limits import DEFAULT_MAX_OUTPUT, MIN_OUTPUT, limits_of, min_output, output_limit
from rl_router_api.upstreams.fleet import fleet_of
from rl_router_api.upstreams.upstream import upstream_of

from fakes.testbed.requests import chat_request
from fakes.upstreams.recorded import UnusedTransport

DOLLARS = st.decimals(min_value=0, max_value=10**6, places=12, allow_nan=False, allow_infinity=False)


def target(price: Any = None, **fields: Any) -> Target:
    return Target.model_validate({"name": "alpha", "base_url": "http://a/v1", "price": price, **fields})


def limit_for(request: Request, to: Target, left: Decimal) -> int | None:
    return output_limit(request, to, upstream_of(to), left)


def limits_under(request: Request, routing: Routing) -> Limits:
    configuration = Configuration(routing=routing)
    return limits_of(request, fleet_of(configuration, (), UnusedTransport()), None, Ledger("r"))


async def test_without_limits_of_the_request_the_servers_limits_hold() -> None:
    routing = Routing(max_turns=4, max_calls=5, max_cost=Decimal("0.5"), prefer="cost", review="always")
    limits = limits_under(chat_request(), routing)
    assert (limits.max_turns, limits.max_calls, limits.spending.left) == (4, 5, Decimal("0.5"))
    assert (limits.prefer, limits.review) == ("cost", "always")
    assert limits_under(chat_request(), Routing()).spending.left is None


@pytest.mark.parametrize(
    ("server", "request_", "expected"), [(None, 2, "2"), ("1", 2, "1"), ("1", 0.5, "0.5"), ("1", 0, "0")]
)
async def test_the_smaller_max_cost_holds(server: str | None, request_: float, expected: str) -> None:
    routing = Routing(max_cost=Decimal(server) if server else None)
    assert limits_under(chat_request(router={"max_cost": request_}), routing).spending.left == Decimal(expected)


@pytest.mark.parametrize(("request_", "expected"), [(1, 1), (3, 3), (99, 3)])
async def test_the_smaller_max_turns_holds(request_: int, expected: int) -> None:
    assert limits_under(chat_request(router={"max_turns": request_}), Routing(max_turns=3)).max_turns == expected


@pytest.mark.parametrize(("request_", "expected"), [(500, 0.5), (60_000, 10), (10**400, 10), (None, 10)])
async def test_the_earlier_deadline_holds(request_: int | None, expected: float) -> None:
    limits = limits_under(chat_request(router={"deadline_ms": request_}), Routing(deadline=10))
    start = asyncio.get_running_loop().time()
    assert start + expected - 5 < limits.deadline <= start + expected
    assert limits.seconds_left <= expected


@pytest.mark.parametrize(
    ("server", "request_", "expected"),
    [
        ("buffered", None, "buffered"), ("buffered", "never", "never"), ("buffered", "always", "always"),
        ("never", "always", "never"), ("never", "buffered", "never"), ("never", None, "never"),
        ("always", "never", "always"), ("always", "buffered", "always"), ("always", None, "always"),
    ],
)  # fmt: skip
async def test_the_servers_review_holds_unless_it_is_buffered(server: Any, request_: str | None, expected: str) -> None:
    assert limits_under(chat_request(router={"review": request_}), Routing(review=server)).review == expected


async def test_the_preference_of_the_request_replaces_the_servers() -> None:
    assert limits_under(chat_request(router={"prefer": "quality"}), Routing(prefer="cost")).prefer == "quality"


UNIT_OF_A_CENT = Price(input=Decimal(4), output=Decimal(20))
"""The price with which a usual call costs 0.01 USD."""


@pytest.mark.parametrize(("prefer", "word"), [(0.01, "cost"), (0.05, "balanced"), (0.1, "balanced"), (3.0, "quality")])
async def test_a_number_as_goal_is_kept_beside_the_closest_word(prefer: float, word: str) -> None:
    targets = (target(UNIT_OF_A_CENT),)
    by_server = Configuration.model_validate({"routing": {"prefer": prefer}})
    for request, configuration in (
        (chat_request(router={"prefer": prefer}), Configuration()),
        (chat_request(), by_server),
    ):
        limits = limits_of(request, fleet_of(configuration, targets, UnusedTransport()), unit_of(targets), Ledger("r"))
        assert (limits.prefer, limits.value) == (word, prefer)


async def test_without_prices_a_number_as_goal_counts_as_balanced() -> None:
    limits = limits_under(chat_request(router={"prefer": 5}), Routing(prefer="cost"))
    assert (limits.prefer, limits.value) == ("balanced", 5.0)


def test_the_money_that_is_left_limits_the_output() -> None:
    assert limit_for(chat_request(), target({"output": "10"}), Decimal("0.01")) == 1_000
    assert limit_for(chat_request(n=4), target({"output": "10"}), Decimal("0.01")) == 250
    assert limit_for(chat_request(), target({"output": "10", "request": "0.004"}), Decimal("0.01")) == 600


def test_the_clients_output_limit_is_lowered_to_the_affordable_output() -> None:
    assert limit_for(chat_request(max_tokens=900), target({"output": "10"}), Decimal("0.01")) == 900
    assert limit_for(chat_request(max_tokens=1_001), target({"output": "10"}), Decimal("0.01")) == 1_000
    assert limit_for(chat_request(max_tokens=500, n=3), target({"output": "10"}), Decimal("0.01")) == 333


@pytest.mark.parametrize(
    ("limit", "targets", "minimum"),
    [(None, None, 256), (5_000, None, 256), (10, None, 10), (None, 100, 100), (300, 100, 256), (None, 5_000, 256)],
)
def test_the_minimum_output_is_256_tokens_or_the_lower_limit_of_the_client_or_the_target(
    limit: int | None, targets: int | None, minimum: int
) -> None:
    request = chat_request(**({"max_tokens": limit} if limit else {}))
    assert min_output(request, target(max_output=targets)) == minimum


def test_free_output_is_limited_only_by_the_client() -> None:
    assert limit_for(chat_request(), target({}), Decimal(0)) is None
    assert limit_for(chat_request(max_tokens=5), target({}), Decimal(0)) == 5


def test_without_a_price_or_with_a_too_expensive_input_the_output_limit_is_zero() -> None:
    assert limit_for(chat_request(), target(None), Decimal(10**6)) == 0
    assert limit_for(chat_request(), target({"request": "0.02"}), Decimal("0.01")) == 0


def test_the_output_limit_fits_the_context_but_is_at_least_the_minimum_output() -> None:
    price = {"output": "1"}
    assert 9_000 < (limit_for(chat_request(), target(price, context_length=10_000), Decimal(10**6)) or 0) < 10_000
    assert limit_for(chat_request(), target(price, context_length=1), Decimal(10**6)) == MIN_OUTPUT


@pytest.mark.parametrize("context", [None, 1_000_000])
def test_cheap_output_does_not_raise_the_limit_above_the_targets_maximum(context: int | None) -> None:
    cheap = target({"output": "0.01"}, context_length=context)
    assert limit_for(chat_request(), cheap, Decimal(1)) == DEFAULT_MAX_OUTPUT
    assert limit_for(chat_request(max_tokens=50_000), cheap, Decimal(1)) == 50_000
    assert limit_for(chat_request(), target({"output": "0.01"}, max_output=4_096), Decimal(1)) == 4_096


@settings(max_examples=100, deadline=None)
@given(DOLLARS, DOLLARS, DOLLARS, st.integers(1, 10), st.none() | st.integers(1, 10**6), st.none() | st.just(8_192))
def test_no_answer_within_the_output_limit_costs_more_than_the_money_that_is_left(
    left: Decimal, per_token: Decimal, per_request: Decimal, n: int, max_tokens: int | None, context: int | None
) -> None:
    fields = {"n": n} | ({"max_tokens": max_tokens} if max_tokens else {})
    request, price = chat_request(**fields), Price(input=per_token, output=per_token, request=per_request)
    limit = limit_for(request, target(price.model_dump(), context_length=context), left)
    assert limit is None or limit >= 0
    if limit:
        assert worst_cost(price, max_input_tokens(request, target()), n * limit) <= left
