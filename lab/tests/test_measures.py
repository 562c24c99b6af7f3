"""The measures of a router, on tables whose measures can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from rl_router_lab.measures import WEIGHTS, Comparison, choices, hull, performance_gap_recovered, routed


def test_the_hull_is_concave_and_does_not_fall() -> None:
    corners = hull(np.array([1.0, 2.0, 3.0, 4.0, 2.5]), np.array([0.2, 0.6, 0.7, 0.5, 0.3]))
    assert corners.costs.tolist() == [1, 2, 3]
    assert corners.qualities.tolist() == [0.2, 0.6, 0.7]


def test_a_point_below_the_line_between_its_neighbours_is_no_corner() -> None:
    corners = hull(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.4, 1.0]))
    assert corners.costs.tolist() == [0, 2]


def test_outside_its_corners_the_hull_is_flat() -> None:
    corners = hull(np.array([1.0, 2.0]), np.array([0.4, 0.8]))
    assert corners.at(np.array([0.0, 1.5, 9.0])).tolist() == pytest.approx([0.4, 0.6, 0.8])
    assert corners.area(0.0, 4.0) == pytest.approx((0.4 + 0.6 + 0.8 + 0.8) / 4)


def test_the_cost_of_a_quality_is_the_first_cost_at_which_the_hull_has_it() -> None:
    corners = hull(np.array([1.0, 2.0]), np.array([0.4, 0.8]))
    assert corners.cost_of(0.6) == pytest.approx(1.5)
    assert corners.cost_of(0.3) == pytest.approx(1.0)
    assert corners.cost_of(0.9) is None


SCORES = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
COSTS = np.array([[1.0, 10.0]] * 4)


def with_preferences(preferences: np.ndarray) -> Comparison:
    return routed(choices(preferences, COSTS), SCORES, COSTS).compare()


def test_a_router_that_knows_the_scores_reaches_the_best_quality_for_less() -> None:
    comparison = with_preferences(SCORES)
    assert comparison.best_quality == 1
    # Half of the prompts need the dear model: (1 + 1 + 10 + 10) / 4 = 5.5 of 10.
    assert comparison.match == pytest.approx(0.55)
    assert comparison.constants_aiq == pytest.approx(0.75)
    assert comparison.aiq == pytest.approx((0.75 * 4.5 + 1.0 * 4.5) / 9)


def test_a_router_that_always_prefers_the_best_constant_gains_nothing() -> None:
    comparison = with_preferences(np.array([[0.0, 1.0]] * 4))
    assert comparison.gain == pytest.approx(0)
    assert comparison.match == pytest.approx(1)


def test_a_router_that_never_reaches_the_best_quality_has_no_match() -> None:
    assert with_preferences(np.array([[1.0, 0.0]] * 4)).match is None


def test_the_first_of_equal_models_is_chosen() -> None:
    chosen = choices(np.zeros((3, 2)), np.zeros((3, 2)))
    assert chosen.shape == (len(WEIGHTS), 3)
    assert not chosen.any()


def test_of_two_best_constants_the_cheaper_one_counts() -> None:
    scores, costs = np.ones((2, 2)), np.array([[4.0, 2.0]] * 2)
    chosen = choices(np.array([[1.0, 0.0]] * 2), np.zeros((2, 2)))
    assert routed(chosen, scores, costs).compare().match == pytest.approx(2)


def test_models_of_equal_costs_are_compared_by_quality_alone() -> None:
    free = np.zeros((2, 2))
    scores = np.array([[1.0, 0.0], [0.0, 1.0]])
    comparison = routed(choices(scores, free), scores, free).compare()
    assert (comparison.gain, comparison.match) == (0.5, 1.0)


def test_a_router_that_pays_for_the_quality_of_a_free_constant_has_no_match() -> None:
    # The router prefers the bad free model to the good free model, and the dear model to both.
    scores, costs = np.array([[0.5, 0.0, 0.5]] * 2), np.array([[0.0, 0.0, 1.0]] * 2)
    chosen = choices(np.array([[0.0, 0.1, 0.9]] * 2), costs)
    assert routed(chosen, scores, costs).compare().match is None


def test_a_prompt_that_counts_twice_is_like_two_prompts() -> None:
    preferences, twice = np.array([[0.2, 0.9], [0.5, 0.4], [0.1, 0.3], [0.7, 0.6]]), [0, 1, 1, 2, 3]
    counted = routed(choices(preferences, COSTS), SCORES, COSTS).compare(np.array([1.0, 2.0, 1.0, 1.0]))
    repeated = routed(choices(preferences[twice], COSTS[[0] * 5]), SCORES[twice], COSTS[[0] * 5]).compare()
    assert counted.aiq == pytest.approx(repeated.aiq)
    assert counted.gain == pytest.approx(repeated.gain)


def test_a_random_order_recovers_half_of_the_performance_gap_and_a_perfect_order_more() -> None:
    strong, weak = np.ones(10), np.array([0.0] * 5 + [1.0] * 5)
    assert performance_gap_recovered(1 - weak, strong, weak) == pytest.approx(0.75)
    assert performance_gap_recovered(weak, strong, weak) == pytest.approx(0.25)
    mixed = np.array([1.0, 0.0] * 5)
    assert performance_gap_recovered(np.arange(10.0), strong, mixed) == pytest.approx(0.5, abs=0.06)
