"""The prediction of output lengths."""

from __future__ import annotations

import numpy as np
import pytest
from rl_router_lab.training.lengths import fit_lengths


def lengths(prompts: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns features, and the lengths of two targets: the first depends on the features, the second does not."""
    features = np.random.default_rng(1).normal(size=(prompts, 2)).astype(np.float32)
    return features, np.stack([100 * np.exp(features[:, 0]), np.full(prompts, 300.0)], axis=1)


def test_each_target_has_its_own_dependence_on_the_prompt() -> None:
    features, tokens = lengths(2_000)
    fitted = fit_lengths(features, tokens)
    short, long = [fitted.output_tokens(np.array([x, 0], np.float32), np.array([0, 1])) for x in (-1, 1)]
    assert long[0] / short[0] == pytest.approx(np.exp(2), rel=0.1)
    assert long[1] / short[1] == pytest.approx(1, abs=0.1)


def test_the_mean_prediction_of_each_target_is_right() -> None:
    features, tokens = lengths(500)
    fitted = fit_lengths(features, tokens)
    predicted = np.stack([fitted.output_tokens(row, np.array([0, 1])) for row in features])
    assert predicted.mean(axis=0) == pytest.approx(tokens.mean(axis=0), rel=0.01)


def test_a_target_with_few_lengths_and_an_unknown_target_depend_on_the_prompt_as_usual() -> None:
    features, tokens = lengths(500)
    tokens[3:, 1] = np.nan
    fitted = fit_lengths(features, tokens)
    assert fitted.slopes[1] == pytest.approx(1, abs=0.3)
    short, long = [fitted.output_tokens(np.array([x, 0], np.float32), np.array([-1])) for x in (-1, 1)]
    assert long[0] > 2 * short[0]
