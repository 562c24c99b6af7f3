"""The profile of a target as numbers."""

from __future__ import annotations

import numpy as np
import pytest
from rl_router_policy.profile import NAMES, Profile


def number(profile: Profile, name: str) -> float:
    return float(profile.vector()[NAMES.index(name)])


def test_prices_and_size_are_logarithms() -> None:
    one, twice = Profile(1.0, 2.0, 30.0), Profile(2.0, 4.0, 60.0)
    for name in ("input_price", "output_price", "size"):
        assert number(twice, name) - number(one, name) == pytest.approx(np.log(2))


def test_an_unknown_size_is_a_usual_size_that_is_marked() -> None:
    assert number(Profile(), "has_size") == 0
    assert number(Profile(parameters=30.0), "has_size") == 1
    assert number(Profile(), "size") == number(Profile(parameters=30.0), "size")


def test_benchmark_scores_count_as_their_mean() -> None:
    assert number(Profile(benchmarks={"a": 0.6, "b": 0.8}), "benchmarks") == pytest.approx(0.2)
    assert number(Profile(), "benchmarks") == number(Profile(), "has_benchmarks") == 0


def test_a_free_model_has_a_finite_profile() -> None:
    assert np.isfinite(Profile(input_price=0.0, output_price=0.0, parameters=0.0).vector()).all()
