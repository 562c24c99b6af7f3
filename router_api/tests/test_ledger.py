"""The ledger of a request: exact sums, and an entry for every paid call."""

import json
from decimal import Decimal, localcontext
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.accounting.ledger import Entry, Ledger, Status
from rl_router_api.accounting.money import bought_tokens, cost_of, picodollars, share_of, shortest, total, worst_cost
from rl_router_api.accounting.usage import Usage
from rl_router_api.config import Price, Rates
from rl_router_api.config.schema import PriceTier
from rl_router_api.dialects.chat.read_usage import read_usage
from rl_router_api.encoding import encode

DOLLARS = st.decimals(min_value=0, max_value=10**9, places=12, allow_nan=False, allow_infinity=False)
PRICES = st.builds(Price, input=DOLLARS, cached_input=st.none() | DOLLARS, output=DOLLARS, request=DOLLARS)
TOKENS = st.integers(1, 5 * 10**14)
USAGES = st.builds(Usage, input=TOKENS, output=TOKENS)
PRICE = Price(input=Decimal("2.5"), cached_input=Decimal("1.25"), output=Decimal(10), request=Decimal("0.001"))


def report(entry: Entry, usage: Usage) -> dict[str, int]:
    """Stores a usage in an entry, and returns it as an upstream reports it."""
    reported = plain(usage)
    entry.report(usage, msgspec.json.encode(reported))
    return reported


def plain(read: Usage) -> dict[str, int]:
    return {"prompt_tokens": read.input, "completion_tokens": read.output, "total_tokens": read.total}


def recorded(calls: list[tuple[bool, Price, Usage | None]]) -> Ledger:
    ledger = Ledger("req_1")
    for routing, price, read in calls:
        entry = (
            ledger.open_router_call("the-router", price, 10)
            if routing
            else ledger.open_target_call("alpha", "call_alpha", price, 10)
        )
        if read is not None:
            report(entry, read)
        entry.close("ok")
    ledger.close()
    return ledger


def as_read(ledger: Ledger) -> dict[str, Any]:
    return dict(json.loads(encode(ledger.metadata("full")), parse_float=Decimal, parse_int=Decimal))


def entry_of(price: Price | None = PRICE, counted_input: int = 100) -> Entry:
    return Ledger("req_1").open_target_call("alpha", "call_alpha", price, counted_input)


def test_the_cost_of_a_usage_follows_the_prices() -> None:
    assert cost_of(Usage(1_000_000, 100_000), PRICE) == Decimal("3.501")


def test_cached_tokens_cost_the_cached_price_or_else_the_input_price() -> None:
    read = Usage(1_000_000, 0, cached=400_000)
    assert cost_of(read, PRICE) == Decimal("2.001")
    assert cost_of(read, Price(input=Decimal("2.5"))) == Decimal("2.5")


@settings(max_examples=100, deadline=None)
@given(PRICES, TOKENS, TOKENS, st.floats(0, 1))
def test_no_call_costs_more_than_its_worst_case(price: Price, read: int, written: int, cached: float) -> None:
    cached_tokens = min(int(read * cached), read)
    paid = Usage(read, written, cached=cached_tokens)
    assert 0 <= cost_of(paid, price) <= worst_cost(price, read, written)


@settings(max_examples=100, deadline=None)
@given(DOLLARS, DOLLARS.filter(bool))
def test_an_amount_of_money_buys_the_largest_number_of_tokens_that_it_can_pay(
    dollars: Decimal, output: Decimal
) -> None:
    price = Price(output=output)
    tokens = bought_tokens(dollars, price.output)
    assert worst_cost(price, 0, tokens) <= dollars < worst_cost(price, 0, tokens + 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), PRICES, st.none() | USAGES), max_size=8))
def test_the_sums_in_the_metadata_are_exact_decimals(calls: Any) -> None:
    metadata = as_read(recorded(calls))
    with localcontext(prec=200):
        assert metadata["total_cost"] == metadata["router_cost"] + metadata["target_models_cost"]
        assert sum((entry["cost"] for entry in metadata["call_history"]), Decimal(0)) == metadata["target_models_cost"]
        assert sum((entry["cost"] for entry in metadata["router_calls"]), Decimal(0)) == metadata["router_cost"]
        exact = [cost_of(read, price) for _, price, read in calls if read is not None]
        if all(read is not None for _, _, read in calls):
            assert metadata["total_cost"] == total(exact)


@settings(max_examples=100, deadline=None)
@given(st.decimals(min_value=0, max_value=10**18, places=15, allow_nan=False) | st.just(Decimal("1E+20")))
def test_a_cost_is_written_exactly_and_without_trailing_zeros(value: Decimal) -> None:
    text = encode(shortest(value)).decode()
    assert Decimal(text) == value
    digits = text.partition("E")[0]
    assert not ("." in digits and digits.endswith("0"))
    assert json.loads(text) == float(value)


@pytest.mark.parametrize(
    ("value", "text"), [("0.00", "0"), ("1000", "1000"), ("1E+3", "1000"), ("0.50", "0.5"), ("0.00001", "0.00001")]
)
def test_costs_are_written_without_exponents(value: str, text: str) -> None:
    assert encode(shortest(Decimal(value))).decode() == text


def test_an_entry_has_the_target_the_arguments_and_the_cost_of_a_call() -> None:
    entry = entry_of()
    reported = report(entry, Usage(10, 5))
    entry.response, entry.arguments, entry.dropped = "4", {"temperature": 0.1}, ("seed",)
    entry.close("ok")
    written = entry.as_target_json("full")
    assert written.pop("latency") >= 0
    assert json.loads(bytes(written.pop("usage"))) == reported
    assert written == {
        "call_id": "call_1", "model_id": "alpha", "function_name": "call_alpha", "arguments": {"temperature": 0.1},
        "response": "4", "cost": Decimal("0.001075"), "tokens_used": 15,
        "status": "ok", "selected": False, "dropped_params": ["seed"],
    }  # fmt: skip


def test_a_missing_usage_is_estimated_from_the_input_and_the_received_bytes() -> None:
    entry = entry_of(counted_input=100)
    entry.received_bytes = 41
    entry.close("ok")
    written = entry.as_json()
    assert written["estimated"] is True
    assert written["usage"] == {"prompt_tokens": 100, "completion_tokens": 11, "total_tokens": 111}
    assert written["cost"] == Decimal("0.00136")
    assert written["tokens_used"] == 111


@pytest.mark.parametrize(
    ("reported", "filled"), [(Usage(), (100, 11)), (Usage(input=7), (7, 11)), (Usage(output=3), (100, 3))]
)
def test_counts_that_are_missing_or_zero_are_estimated_each_by_itself(reported: Usage, filled: tuple[int, int]) -> None:
    entry = entry_of(counted_input=100)
    entry.received_bytes = 41
    report(entry, reported)
    entry.close("ok")
    written = entry.as_json()
    assert written["estimated"] is True
    assert (written["usage"]["prompt_tokens"], written["usage"]["completion_tokens"]) == filled


KEPT = Usage(1000, 0, cached=300, written=200, written_long=100, reported_total=1000)


@pytest.mark.parametrize("status", ["ok", "cancelled", "error"])
def test_an_estimated_output_keeps_the_reported_cache_counts(status: Status) -> None:
    entry = entry_of(WRITES_AND_OUTPUT)
    report(entry, KEPT)
    entry.received_bytes = 40
    entry.close(status)
    written = entry.as_json()
    assert (written["estimated"], written["tokens_used"]) == (True, 1010)
    assert entry.cost == Decimal("0.00098")
    again = read_usage(encode(written["usage"]))
    assert again is not None
    assert cost_of(again, WRITES_AND_OUTPUT) == entry.cost


@pytest.mark.parametrize(
    ("status", "before", "after", "output", "estimated"),
    [
        ("ok", 0, 4000, 1, None),
        ("cancelled", 0, 4000, 1000, True),
        ("error", 0, 4000, 1000, True),
        ("timeout", 0, 4000, 1000, True),
        ("cancelled", 4000, 0, 1, None),
        ("cancelled", 0, 3, 1, None),
        ("cancelled", 0, 0, 1, None),
    ],
)
def test_text_after_the_last_reported_output_is_estimated_if_the_answer_is_not_whole(
    status: Status, before: int, after: int, output: int, estimated: bool | None
) -> None:
    entry = entry_of()
    entry.received_bytes = before
    report(entry, Usage(100, 1))
    entry.received_bytes += after
    report(entry, Usage(100, 1))
    entry.close(status)
    assert entry.read_usage is not None
    assert (entry.read_usage.input, entry.read_usage.output) == (100, output)
    assert entry.as_json().get("estimated") is estimated


def test_the_last_reported_service_tier_is_kept() -> None:
    entry = entry_of(TIERED)
    for tier in ("priority", None, "flex", "", None):
        entry.report(None, b"", tier)
    report(entry, Usage(100_000, 100_000))
    entry.close("ok")
    assert entry.cost == Decimal("0.15")


def test_counts_that_contradict_each_other_are_marked_suspect() -> None:
    entry = entry_of()
    report(entry, Usage(10, 5, suspect=True))
    entry.close("ok")
    assert entry.as_json()["suspect"] is True


def test_a_refused_call_that_reports_a_usage_costs_it() -> None:
    entry = entry_of()
    report(entry, Usage(1_000_000, 0))
    entry.close("error", "`alpha` answered with an error", billed=False)
    assert entry.cost == Decimal("2.501")


def test_a_reported_usage_is_not_marked_estimated() -> None:
    entry = entry_of()
    report(entry, Usage(1, 0))
    entry.close("cancelled")
    assert "estimated" not in entry.as_json()
    assert entry.status == "cancelled"


def test_a_call_that_was_refused_before_generation_costs_nothing() -> None:
    entry = entry_of()
    entry.close("error", "`alpha` answered 429", billed=False)
    written = entry.as_json()
    assert (written["cost"], written["tokens_used"], written["usage"]) == (0, 0, None)
    assert (written["status"], written["error"]) == ("error", "`alpha` answered 429")


def test_a_call_without_a_price_costs_nothing_and_is_marked() -> None:
    entry = entry_of(price=None)
    report(entry, Usage(10**6, 10**6))
    entry.close("ok")
    assert entry.as_json()["cost"] == 0
    assert entry.as_json()["unpriced"] is True


def test_an_entry_can_be_closed_only_once() -> None:
    entry = entry_of()
    entry.close("timeout", "no answer")
    before = entry.as_target_json("full")
    entry.close("ok")
    assert entry.as_target_json("full") == before


def test_calls_that_are_open_at_the_end_are_recorded_as_cancelled_with_their_cost() -> None:
    ledger = Ledger("req_1")
    entry = ledger.open_target_call("alpha", "call_alpha", PRICE, 1_000)
    assert entry.as_json()["status"] == "cancelled"
    entry.received_bytes = 400
    ledger.close()
    assert entry.status == "cancelled"
    assert ledger.target_cost == Decimal("0.0045")


def test_the_total_time_does_not_change_after_a_ledger_is_closed() -> None:
    ledger = Ledger("req_1")
    ledger.close()
    ended = ledger.total_time
    ledger.close()
    assert ledger.total_time == ended >= 0


def test_call_ids_are_numbered_by_kind() -> None:
    ledger = recorded([(True, PRICE, None), (False, PRICE, None), (False, PRICE, None)])
    assert [entry.call_id for entry in ledger.router_calls] == ["router_1"]
    assert [entry.call_id for entry in ledger.target_calls] == ["call_1", "call_2"]


def test_the_chosen_call_is_marked_and_its_model_named() -> None:
    ledger = recorded([(False, PRICE, None), (False, PRICE, None)])
    ledger.chosen("select_response", ledger.target_calls[1], "alpha")
    metadata = ledger.metadata("full")
    assert [entry["selected"] for entry in metadata["call_history"]] == [False, True]
    assert (metadata["model_used"], metadata["routing_strategy"]) == ("alpha", "select_response")
    direct = recorded([(False, PRICE, None)])
    direct.chosen("direct_response", None, "the-router")
    assert direct.metadata("full")["model_used"] == "the-router"


def test_the_metadata_has_every_documented_field() -> None:
    ledger = recorded([(True, PRICE, None), (False, PRICE, None)])
    ledger.turns = 2
    metadata = ledger.metadata("full")
    assert list(metadata) == [
        "model_used", "routing_strategy", "turns_used", "total_cost", "router_cost", "target_models_cost",
        "total_time", "call_history", "router_calls", "request_id",
    ]  # fmt: skip
    assert (metadata["turns_used"], metadata["request_id"]) == (2, "req_1")


def test_texts_are_left_out_unless_they_are_requested() -> None:
    ledger = Ledger("req_1")
    entry = ledger.open_target_call("alpha", "call_alpha", PRICE, 1)
    entry.response, entry.arguments = "a secret", {"optimized_system_prompt": "a secret", "temperature": 0.5}
    ledger.close()
    full, brief, none = (ledger.metadata(texts)["call_history"][0] for texts in ("full", "brief", "none"))
    assert full["response"] == "a secret"
    assert "response" not in brief
    assert brief["arguments"] == entry.arguments
    assert b"secret" not in encode(none)
    assert none["arguments"] == {"temperature": 0.5}


def test_the_time_of_the_first_part_of_an_answer_is_recorded_once() -> None:
    ledger = Ledger("req_1")
    assert ledger.first_answered is None
    ledger.began_to_answer()
    first = ledger.first_answered
    ledger.began_to_answer()
    assert ledger.first_answered == first is not None


LONG = Decimal("999999999999.999999999999999999999999999999999999")


def test_a_share_is_rounded_down_in_any_decimal_context() -> None:
    assert share_of(LONG, 1) == Decimal("999999999999.999999999999999999")
    with localcontext(prec=5):
        assert share_of(Decimal("0.0123456789"), 1) == Decimal("0.0123456789")


@settings(max_examples=100, deadline=None)
@given(DOLLARS, st.integers(1, 64))
def test_all_shares_together_do_not_exceed_the_amount(dollars: Decimal, calls: int) -> None:
    assert total([share_of(dollars, calls)] * calls) <= dollars


def test_costs_are_rounded_up_to_whole_picodollars() -> None:
    assert picodollars(Decimal("0.000000000001")) == 1
    assert picodollars(Decimal("123456789.000000000000000000000000000001")) == 123_456_789 * 10**12 + 1
    assert picodollars(Decimal(0)) == 0


WRITES = Price(input=Decimal(1), cached_input=Decimal("0.1"), cache_write=Decimal("1.25"), cache_write_long=Decimal(2))

WRITES_AND_OUTPUT = WRITES.model_copy(update={"output": Decimal(10)})


@pytest.mark.parametrize(
    ("read", "dollars"),
    [
        (Usage(1_000_000, written=400_000), "1.1"),
        (Usage(1_000_000, written_long=400_000), "1.4"),
        (Usage(1_000_000, cached=100_000, written=200_000, written_long=300_000), "1.26"),
    ],
)
def test_cache_writes_have_prices_of_their_own(read: Usage, dollars: str) -> None:
    assert cost_of(read, WRITES) == Decimal(dollars)
    assert cost_of(read, Price(input=Decimal(1), cached_input=Decimal(1))) == 1


def test_a_long_cache_write_costs_as_much_as_a_short_one_by_default() -> None:
    assert cost_of(Usage(1_000_000, written_long=1_000_000), Price(cache_write=Decimal(3))) == 3


TIERED = Price(
    input=Decimal(1), cached_input=Decimal("0.1"), output=Decimal(2),
    tiers=(PriceTier(above_tokens=500_000, input=Decimal(4)),
           PriceTier(above_tokens=200_000, input=Decimal(2), cached_input=Decimal("0.2"), output=Decimal(3))),
    service_tiers={"flex": Rates(input=Decimal("0.5"), output=Decimal(1)), "priority": Rates(input=Decimal(2))},
)  # fmt: skip


@pytest.mark.parametrize(
    ("read", "tier", "dollars"),
    [
        (Usage(200_000, 100_000), None, "0.4"),
        (Usage(200_001, 100_000), None, "0.700002"),
        (Usage(400_000, 0, cached=400_000), None, "0.08"),
        (Usage(1_000_000, 100_000), None, "4.2"),
        (Usage(100_000, 100_000), "flex", "0.15"),
        (Usage(100_000, 100_000), "priority", "0.4"),
        (Usage(100_000, 100_000), "default", "0.3"),
        (Usage(400_000, 100_000), "flex", "0.3"),
    ],
)
def test_long_inputs_and_service_tiers_have_prices_of_their_own(read: Usage, tier: str | None, dollars: str) -> None:
    assert cost_of(read, TIERED, tier) == Decimal(dollars)


RATES: dict[str, Any] = {name: st.none() | DOLLARS for name in Rates.model_fields}
FULL_PRICES = st.builds(
    Price, input=DOLLARS, cached_input=st.none() | DOLLARS, cache_write=st.none() | DOLLARS,
    cache_write_long=st.none() | DOLLARS, output=DOLLARS, request=DOLLARS,
    tiers=st.lists(st.builds(PriceTier, above_tokens=st.integers(1, 10**6), **RATES), max_size=3),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(FULL_PRICES, st.lists(st.integers(0, 10**6), min_size=4, max_size=4), TOKENS, st.integers(0, 10**6))
def test_no_call_costs_more_than_its_worst_case_at_any_price(
    price: Price, parts: list[int], output: int, more: int
) -> None:
    plain, cached, written, long = parts
    paid = Usage(plain + cached + written + long, output, cached, written, long)
    assert 0 <= cost_of(paid, price) <= worst_cost(price, paid.input + more, output)
