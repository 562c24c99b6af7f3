"""Fits logistic regressions by Newton's method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rl_router_policy.logistic import Logistic, probability, standardised

Numbers = NDArray[np.float64]
_STEPS, _SMALLEST_STEP = 15, 1e-2
_SMALLEST_DEVIATION = 1e-6


def fit_logistic(inputs: NDArray[np.floating], scores: Numbers, penalties: Numbers) -> Logistic:
    """Returns the regression that fits scores between 0 and 1 best.

    The argument `penalties` contains the weight of each squared coefficient in the loss. The loss of an input is its
    cross entropy, and inputs are standardised. The constant has no penalty.
    """
    means, deviations = inputs.mean(axis=0, dtype=np.float64), inputs.std(axis=0, dtype=np.float64)
    deviations = np.where(deviations > _SMALLEST_DEVIATION, deviations, 0)
    numbers = standardised(inputs, means.astype(np.float32), deviations.astype(np.float32)).astype(np.float32)
    numbers = np.concatenate([numbers, np.ones((len(numbers), 1), np.float32)], axis=1)
    weights = newton(numbers, scores, np.append(penalties, 1e-6))
    return Logistic(
        means.astype(np.float32), deviations.astype(np.float32), weights[:-1].astype(np.float32), float(weights[-1])
    )


def newton(numbers: NDArray[np.float32], scores: Numbers, penalties: Numbers) -> Numbers:
    """Returns the coefficients with the smallest cross entropy plus half of the penalties times their squares."""
    weights = np.zeros(numbers.shape[1])
    for _ in range(_STEPS):
        chances = probability(numbers @ weights.astype(np.float32))
        gradient = numbers.T @ (scores - chances).astype(np.float32) - penalties * weights
        spread = np.maximum(chances * (1 - chances), 1e-6).astype(np.float32)
        curvature = (numbers * spread[:, None]).T @ numbers + np.diag(penalties)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < _SMALLEST_STEP:
            break
    return weights
