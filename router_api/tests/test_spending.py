"""Money is reserved before a call and settled after it, so that concurrent calls never exceed the maximum cost."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.accounting.ledger import Entry, Ledger
from rl_router_api.accounting.spending import UNLIMITED, MaxCost
from rl_router_api.config import Price
from rl_router_api.dialects.chat.read_usage import read_usage
from rl_router_api.errors import UnaffordableError

PRICE = Price(input=Decimal("2.5"), output=Decimal(10), request=Decimal("0.001"))
DOLLARS = st.decimals(min_value=0, max_value=10**6, places=12, allow_nan=False, allow_infinity=False)


def call(spending: MaxCost, worst: str, price: Price = PRICE) -> Entry:
    """Opens a call and reserves its worst case."""
    entry = Ledger("req_1").open_target_call("alpha", "call_alpha", price, 0)
    entry.hold = spending.reserve(Decimal(worst))
    return entry


def report(entry: Entry, **usage: Any) -> None:
    raw = msgspec.json.encode(usage)
    entry.report(read_usage(raw), raw)


def test_a_running_call_reserves_its_worst_case_and_a_finished_one_its_cost() -> None:
    spending = MaxCost(Decimal(1))
    entry = call(spending, "0.7")
    assert spending.left == Decimal("0.3")
    report(entry, prompt_tokens=1, completion_tokens=0)
    entry.close("ok")
    assert spending.left == Decimal("0.9989975")


def test_more_than_the_remaining_money_cannot_be_reserved() -> None:
    spending = MaxCost(Decimal("0.3"))
    with pytest.raises(UnaffordableError) as raised:
        spending.reserve(Decimal("0.300000000001"))
    assert (raised.value.status, raised.value.code, raised.value.retryable) == (400, "max_cost_too_low", False)
    assert "0.3 USD" in raised.value.message
    assert spending.left == Decimal("0.3")
    assert spending.reserve(Decimal("0.3")).worst == Decimal("0.3")
    assert spending.left == 0


@pytest.mark.parametrize(
    ("limit", "text"),
    [("1e-300000000", "0"), ("0e-300000000", "0"), ("0e300000000", "0"), ("1.9e-18", "0.000000000000000001"),
     ("1e12", "1000000000000"), ("0.0500", "0.05"), (f"1{'0' * 9_000}e-9000", "1")],
)  # fmt: skip
def test_a_limit_with_an_extreme_exponent_becomes_a_short_number(limit: str, text: str) -> None:
    spending = MaxCost(Decimal(limit))
    assert f"{spending.left:f}" == text
    assert f" of {text} USD" in spending.refusal("a").message


def test_a_call_without_a_usage_is_settled_at_its_worst_case() -> None:
    spending = MaxCost(Decimal(1))
    for status in ("timeout", "cancelled", "ok"):
        call(spending, "0.2", Price(output=Decimal(1))).close(status)
    assert spending.left == Decimal("0.4")
    call(spending, "0.2").close("error", billed=False)
    assert spending.left == Decimal("0.4")


def test_a_usage_above_the_worst_case_is_settled_in_full_and_marked() -> None:
    spending = MaxCost(Decimal(1))
    entry = call(spending, "0.1")
    report(entry, prompt_tokens=0, completion_tokens=50_000)
    entry.close("ok")
    assert entry.suspect
    assert spending.left == Decimal("0.499")


def test_the_remaining_money_is_exact_with_any_number_of_digits() -> None:
    spending = MaxCost(Decimal(999_999_999_999))
    spending.reserve(Decimal("0.000000000000000000000000000000000001"))
    assert spending.left == Decimal("999999999998.999999999999999999999999999999999999")


def test_without_a_limit_any_amount_can_be_reserved() -> None:
    assert UNLIMITED.left is None
    hold = UNLIMITED.reserve(Decimal(10**9))
    assert hold.worst == 0
    hold.settle(Decimal(5))
    assert UNLIMITED.left is None


@settings(max_examples=100, deadline=None)
@given(DOLLARS, st.lists(st.tuples(DOLLARS, st.floats(0, 1)), max_size=10))
def test_any_reservations_and_settlements_stay_within_the_limit(
    limit: Decimal, calls: list[tuple[Decimal, float]]
) -> None:
    spending, spent = MaxCost(limit), Decimal(0)
    for worst, share in calls:
        try:
            hold = spending.reserve(worst)
        except UnaffordableError:
            continue
        cost = (worst * Decimal(share)).quantize(Decimal("1e-12"), rounding="ROUND_FLOOR")
        hold.settle(cost)
        spent += cost
    assert spent <= limit
    assert spending.left == limit - spent
