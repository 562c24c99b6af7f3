"""The vector of a target after some outcomes.

Most targets' vectors are close to the expected vectors, and a few are very different. So the vector has two possible
distributions before the outcomes, a narrow one and a wide one. The outcomes change how much each distribution counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .network import Array

_STEPS = 30
_LARGEST_CHANGE = 2.0
"""The number of Newton steps, and the largest change of a logit in a step."""


@dataclass(frozen=True)
class _Prior:
    """A prior distribution of a vector, which is the distribution before the outcomes are known.

    The attribute `probability` is the probability that the distribution is the right one. The expected abilities are
    multiplied by the attribute `abilities`, and the standard deviation by the attribute `deviation`.
    """

    probability: float
    abilities: float
    deviation: float


_PRIORS = (_Prior(0.8, 1.0, 1.0), _Prior(0.2, 0.5, 4.0))


def posterior(expected: Array, deviation: Array, items: Array, scores: np.ndarray) -> Array:
    """Returns the mean of the most probable vectors under both priors, weighted by the priors' probabilities after the
    outcomes.

    The arguments `expected` and `deviation` have the shape (members, 1 + abilities), and `items` has the shape
    (outcomes, members, 1 + abilities). The weights of the priors are the same for all members.
    """
    members, vectors, evidence = range(len(expected)), [], []
    for prior in _PRIORS:
        factors = np.array([1.0] + [prior.abilities] * (expected.shape[1] - 1))
        spread = np.maximum(deviation.astype(np.float64), 1e-3) * prior.deviation
        found = [_most_probable(expected[m] * factors, spread[m], items[:, m], scores) for m in members]
        vectors.append([vector for vector, _ in found])
        evidence.append(np.log(prior.probability) + np.mean([logarithm for _, logarithm in found]))
    weights = np.exp(np.array(evidence) - max(evidence))
    mean: Array = np.einsum("p,pma->ma", weights / weights.sum(), np.array(vectors)).astype(np.float32)
    return mean


def _most_probable(mean: np.ndarray, deviation: np.ndarray, items: Array, scores: np.ndarray) -> tuple[Array, float]:
    """Returns the most probable vector under a normal distribution, and the logarithm of the outcomes' probability
    (Laplace's approximation, without the constant)."""
    precision = np.diag(1 / np.square(deviation))
    vector, x = mean.copy(), items.astype(np.float64)
    for _ in range(_STEPS):
        chances = 1 / (1 + np.exp(-(x @ vector)))
        gradient = x.T @ (scores - chances) - precision @ (vector - mean)
        curvature = (x * (chances * (1 - chances))[:, None]).T @ x + precision
        step = np.linalg.solve(curvature, gradient)
        vector = vector + step / max(1.0, np.abs(x @ step).max(initial=0.0) / _LARGEST_CHANGE)
    logits, change = x @ vector, vector - mean
    fit = scores @ logits - np.logaddexp(0, logits).sum() - change @ precision @ change / 2
    return vector, float(fit - np.log(deviation).sum() - np.linalg.slogdet(curvature)[1] / 2)
