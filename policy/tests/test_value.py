"""The value of a good answer, in units of a usual call's mean cost."""

from __future__ import annotations

import pytest
from rl_router_policy.value import unit, worth


def test_the_unit_is_the_mean_cost_of_a_call_with_1000_input_and_300_output_tokens() -> None:
    assert unit([(1.0, 10.0)]) == pytest.approx(0.004)
    assert unit([(1.0, 10.0), (0.0, 0.0)]) == pytest.approx(0.002)


@pytest.mark.parametrize("prices", [[], [(0.0, 0.0)]])
def test_without_a_price_the_value_is_unknown(prices: list[tuple[float, float]]) -> None:
    assert unit(prices) is None
    assert worth("balanced", unit(prices)) is None


@pytest.mark.parametrize(("prefer", "units"), [("cost", 1), ("balanced", 5), ("quality", 50)])
def test_each_word_of_prefer_is_a_number_of_units(prefer: str, units: int) -> None:
    assert worth(prefer, 0.004) == pytest.approx(units * 0.004)


@pytest.mark.parametrize(("dollars", "units"), [(0.0, 1), (0.004, 1), (0.007, 2), (0.03, 10), (5.0, 100)])
def test_an_amount_is_rounded_to_a_step_of_units(dollars: float, units: int) -> None:
    assert worth(dollars, 0.004) == pytest.approx(units * 0.004)
