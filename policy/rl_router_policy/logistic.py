"""Logistic regression: the logit of a probability is a linear function of standardised numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .network import Array

Numbers = NDArray[np.float64]
LIMIT = 4.0
"""A standardised number is cut off at this number of standard deviations."""
_NAMES = ("means", "deviations", "weights")


@dataclass(frozen=True)
class Logistic:
    """A logistic regression. The attributes other than `bias` have one number for each input."""

    means: Array
    deviations: Array
    weights: Array
    bias: float

    def logits(self, numbers: NDArray[np.floating]) -> Numbers:
        """Returns the logit for each row of numbers: (…, inputs) becomes (…)."""
        logits: Numbers = standardised(numbers, self.means, self.deviations) @ self.weights.astype(np.float64)
        return logits + self.bias

    def tensors(self, prefix: str) -> dict[str, Array]:
        """Returns the attributes by the names that an artefact's file uses."""
        arrays = {f"{prefix}.{name}": getattr(self, name) for name in _NAMES}
        return {**arrays, f"{prefix}.bias": np.array(self.bias, np.float32)}


def standardised(numbers: NDArray[np.floating], means: Array, deviations: Array) -> Numbers:
    """Returns numbers as multiples of the standard deviation. A number that did not vary in the training becomes 0."""
    scaled = (numbers - means) / np.where(deviations > 0, deviations, np.inf)
    limited: Numbers = np.clip(scaled.astype(np.float64), -LIMIT, LIMIT)
    return limited


def logistic_from(tensors: Mapping[str, Array], prefix: str, inputs: int) -> Logistic:
    """Returns the regression whose tensors have names with a prefix.

    Raises KeyError if a tensor is missing, and ValueError if a tensor has a wrong shape or a number that is not finite.
    """
    means, deviations, weights = [_checked(tensors, f"{prefix}.{name}", (inputs,)) for name in _NAMES]
    return Logistic(means, deviations, weights, float(_checked(tensors, f"{prefix}.bias", ())))


def _checked(tensors: Mapping[str, Array], name: str, shape: tuple[int, ...]) -> Array:
    tensor = tensors[name]
    if tensor.shape != shape:
        raise ValueError(f"`{name}` has the shape {list(tensor.shape)}, not {list(shape)}")
    if not np.isfinite(tensor).all():
        raise ValueError(f"`{name}` contains a number that is not finite")
    return tensor


def logit(probability: NDArray[np.floating] | float, limit: float = LIMIT) -> Numbers:
    """Returns the logits of probabilities, cut off at `limit` on both sides."""
    inside = np.clip(np.asarray(probability, np.float64), 1e-9, 1 - 1e-9)
    limited: Numbers = np.clip(np.log(inside / (1 - inside)), -limit, limit)
    return limited


def probability(logits: NDArray[np.floating]) -> Numbers:
    """Returns the probability for each logit."""
    chances: Numbers = 1 / (1 + np.exp(-np.clip(np.asarray(logits, np.float64), -50, 50)))
    return chances
