"""What a request may cost and how long it may take: the stricter of what server and request say."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.accounting.money import worst_cost
from rl_router_api.config import Configuration, Price, Routing, Target
from rl_router_api.conversation.request import Request
from rl_router_api.dialects.chat.read_request import read_request
from rl_router_api.dialects.chat.sizes import max_input_tokens
from rl_router_api.routing.decide import Limits
from rl_router_api.routing.limits import DEFAULT_MAX_OUTPUT, MIN_OUTPUT, limits_of, min_output, output_limit
from rl_router_api.upstreams.fleet import fleet_of
from rl_router_api.upstreams.upstream import upstream_of

DOLLARS = st.decimals(min_value=0, max_value=10**6, places=12, allow_nan=False, allow_infinity=False)


def asked(router: Any = None, **fields: Any) -> Request:
    body = {"model": "router", "messages": [{"role": "user", "content": "2 + 2?"}], "router": router, **fields}
    return read_request(json.dumps(body).encode())


def target(price: Any = None, **fields: Any) -> Target:
    return Target.model_validate({"name": "alpha", "base_url": "http://a/v1", "price": price, **fields})


def limit_for(request: Request, to: Target, left: Decimal) -> int | None:
    return output_limit(request, to, upstream_of(to), left)


def limits_under(request: Request, routing: Routing) -> Limits:
    configuration = Configuration(routing=routing)
    return limits_of(request, fleet_of(configuration, (), Unused()), Ledger("r"))


class Unused:
    """A transport that nobody asks."""

    async def send(self, *_: Any) -> Any:
        raise AssertionError

    async def close(self) -> None: ...


async def test_without_a_word_of_the_requests_the_servers_limits_hold() -> None:
    routing = Routing(max_turns=4, max_calls=5, max_cost=Decimal("0.5"), prefer="cost", review="always")
    found = limits_under(asked(), routing)
    assert (found.max_turns, found.max_calls, found.spending.left) == (4, 5, Decimal("0.5"))
    assert (found.prefer, found.review) == ("cost", "always")
    assert limits_under(asked(), Routing()).spending.left is None


@pytest.mark.parametrize(
    ("server", "request_", "holds"), [(None, 2, "2"), ("1", 2, "1"), ("1", 0.5, "0.5"), ("1", 0, "0")]
)
async def test_the_smaller_max_cost_holds(server: str | None, request_: float, holds: str) -> None:
    routing = Routing(max_cost=Decimal(server) if server else None)
    assert limits_under(asked({"max_cost": request_}), routing).spending.left == Decimal(holds)


@pytest.mark.parametrize(("request_", "holds"), [(1, 1), (3, 3), (99, 3)])
async def test_the_smaller_max_turns_holds(request_: int, holds: int) -> None:
    assert limits_under(asked({"max_turns": request_}), Routing(max_turns=3)).max_turns == holds


@pytest.mark.parametrize(("request_", "holds"), [(500, 0.5), (60_000, 10), (10**400, 10), (None, 10)])
async def test_the_earlier_deadline_holds(request_: int | None, holds: float) -> None:
    found = limits_under(asked({"deadline_ms": request_}), Routing(deadline=10))
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
    assert limits_under(asked({"review": request_}), Routing(review=server)).review == holds


async def test_a_request_says_what_it_prefers() -> None:
    assert limits_under(asked({"prefer": "quality"}), Routing(prefer="cost")).prefer == "quality"


def test_the_rest_of_the_money_buys_so_much_output() -> None:
    assert limit_for(asked(), target({"output": "10"}), Decimal("0.01")) == 1_000
    assert limit_for(asked(n=4), target({"output": "10"}), Decimal("0.01")) == 250
    assert limit_for(asked(), target({"output": "10", "request": "0.004"}), Decimal("0.01")) == 600


def test_the_clients_own_limit_is_lowered_to_what_can_be_paid() -> None:
    assert limit_for(asked(max_tokens=900), target({"output": "10"}), Decimal("0.01")) == 900
    assert limit_for(asked(max_tokens=1_001), target({"output": "10"}), Decimal("0.01")) == 1_000
    assert limit_for(asked(max_tokens=500, n=3), target({"output": "10"}), Decimal("0.01")) == 333


@pytest.mark.parametrize(("limit", "least"), [(None, 256), (5_000, 256), (256, 256), (10, 10)])
def test_a_client_that_wants_less_than_256_tokens_gets_them_all_or_none(limit: int | None, least: int) -> None:
    assert min_output(asked(**({"max_tokens": limit} if limit else {}))) == least


def test_output_that_costs_nothing_has_no_bound_but_the_clients() -> None:
    assert limit_for(asked(), target({}), Decimal(0)) is None
    assert limit_for(asked(max_tokens=5), target({}), Decimal(0)) == 5


def test_an_unknown_price_and_an_input_too_dear_buy_nothing() -> None:
    assert limit_for(asked(), target(None), Decimal(10**6)) == 0
    assert limit_for(asked(), target({"request": "0.02"}), Decimal("0.01")) == 0


def test_no_more_output_is_bought_than_fits_the_context_but_always_a_fair_answers() -> None:
    price = {"output": "1"}
    assert 9_000 < (limit_for(asked(), target(price, context_length=10_000), Decimal(10**6)) or 0) < 10_000
    assert limit_for(asked(), target(price, context_length=1), Decimal(10**6)) == MIN_OUTPUT


@pytest.mark.parametrize("context", [None, 1_000_000])
def test_no_provider_is_asked_for_more_output_than_it_may_take_only_because_it_is_cheap(context: int | None) -> None:
    cheap = target({"output": "0.01"}, context_length=context)
    assert limit_for(asked(), cheap, Decimal(1)) == DEFAULT_MAX_OUTPUT
    assert limit_for(asked(max_tokens=50_000), cheap, Decimal(1)) == 50_000
    assert limit_for(asked(), target({"output": "0.01"}, max_output=4_096), Decimal(1)) == 4_096


@settings(max_examples=100, deadline=None)
@given(DOLLARS, DOLLARS, DOLLARS, st.integers(1, 10), st.none() | st.integers(1, 10**6), st.none() | st.just(8_192))
def test_no_answer_within_the_limit_costs_more_than_is_left(
    left: Decimal, per_token: Decimal, per_request: Decimal, n: int, most: int | None, context: int | None
) -> None:
    fields = {"n": n} | ({"max_tokens": most} if most else {})
    request, price = asked(**fields), Price(input=per_token, output=per_token, request=per_request)
    limit = limit_for(request, target(price.model_dump(), context_length=context), left)
    assert limit is None or limit >= 0
    if limit:
        assert worst_cost(price, max_input_tokens(request, target()), n * limit) <= left
