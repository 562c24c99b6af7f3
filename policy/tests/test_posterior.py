"""The vector of a target after some outcomes."""

from __future__ import annotations

import numpy as np
from rl_router_policy.posterior import posterior

EXPECTED = np.array([[0.0, 1.0, 0.0]], np.float32)
DEVIATION = np.array([[0.5, 0.1, 0.1]], np.float32)


def items(count: int) -> np.ndarray:
    """Returns the vectors of random prompts: (prompts, 1, 3)."""
    abilities = 2 * np.random.default_rng(1).standard_normal((count, 1, 2))
    return np.concatenate([np.ones((count, 1, 1)), abilities], axis=2).astype(np.float32)


def outcomes(prompts: np.ndarray, vector: list[float]) -> np.ndarray:
    """Returns random scores of a target with a vector."""
    chances = 1 / (1 + np.exp(-(prompts[:, 0] @ np.array(vector))))
    scores: np.ndarray = (np.random.default_rng(2).random(len(prompts)) < chances).astype(np.float64)
    return scores


def test_a_target_that_answers_as_expected_keeps_the_expected_abilities() -> None:
    prompts = items(30)
    found = posterior(EXPECTED, DEVIATION, prompts, outcomes(prompts, [0.0, 1.0, 0.0]))
    assert np.abs(found[0, 1:] - EXPECTED[0, 1:]).max() < 0.2


def test_a_target_with_other_abilities_than_expected_is_known_after_100_outcomes() -> None:
    prompts = items(100)
    found = posterior(EXPECTED, DEVIATION, prompts, outcomes(prompts, [0.0, -1.0, 1.0]))
    assert found[0, 1] < -0.4
    assert found[0, 2] > 0.4


def test_a_target_that_never_answers_well_is_predicted_to_answer_badly_however_good_it_was_expected_to_be() -> None:
    prompts = items(300)
    found = posterior(EXPECTED + np.array([8.0, 0.0, 0.0], np.float32), DEVIATION, prompts, np.zeros(300))
    assert (prompts[:, 0] @ found[0]).mean() < -2


def test_without_outcomes_the_expected_quality_does_not_change() -> None:
    found = posterior(EXPECTED + 1, DEVIATION, items(0), np.zeros(0))
    assert found[0, 0] == 1
