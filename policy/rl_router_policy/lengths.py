"""Predicts the number of output tokens of a target's answer to a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .network import Array


@dataclass(frozen=True)
class Lengths:
    """A linear prediction of the logarithm of an answer's length, and a factor for each target.

    The attribute `weights` has one number for each standardised feature and one constant. The attribute `factors` has
    one number for each target of the artefact, and the attribute `usual` is the factor of an unknown target.
    """

    weights: Array
    factors: Array
    usual: float

    def output_tokens(self, features: Array, targets: NDArray[np.intp]) -> Array:
        """Returns the expected number of output tokens for each target, which is at least 1.

        The argument `targets` contains the position of each target, or -1 for an unknown target.
        """
        tokens = np.exp(np.clip(features @ self.weights[:-1] + self.weights[-1], 0, 12))
        factors = np.where(targets >= 0, self.factors[targets], self.usual) if len(self.factors) else self.usual
        expected: Array = np.maximum(tokens * factors, 1).astype(np.float32)
        return np.broadcast_to(expected, targets.shape)

    def tensors(self) -> dict[str, Array]:
        """Returns the attributes by the names that an artefact's file uses."""
        usual = np.array(self.usual, np.float32)
        return {"lengths.weights": self.weights, "lengths.factors": self.factors, "lengths.usual": usual}


def lengths_from(tensors: Mapping[str, Array]) -> Lengths:
    """Returns the prediction that an artefact's file contains. Raises KeyError if a tensor is missing."""
    names = ("lengths.weights", "lengths.factors", "lengths.usual")
    weights, factors, usual = [tensors[name] for name in names]
    return Lengths(weights, factors, float(usual))
