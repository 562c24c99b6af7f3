"""Predicts the number of output tokens of a target's answer to a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .network import Array


@dataclass(frozen=True)
class Lengths:
    """A linear prediction of the logarithm of an answer's length, and a factor and a slope for each target.

    The attribute `weights` has one number for each standardised feature and one constant. The attributes `factors` and
    `slopes` have one number for each target of the artefact. The attribute `usual` is the factor of an unknown target,
    whose slope is 1. A target with a small slope gives answers of similar length to all prompts.
    """

    weights: Array
    factors: Array
    slopes: Array
    usual: float

    def output_tokens(self, features: Array, targets: NDArray[np.intp]) -> Array:
        """Returns the expected number of output tokens for each target, which is at least 1.

        The argument `targets` contains each target's position in the artefact, or -1 for an unknown target.
        """
        logarithm = np.clip(features @ self.weights[:-1] + self.weights[-1], 0, 12)
        factors, slopes = np.append(self.factors, self.usual)[targets], np.append(self.slopes, 1)[targets]
        expected: Array = np.maximum(factors * np.exp(slopes * logarithm), 1).astype(np.float32)
        return expected

    def tensors(self) -> dict[str, Array]:
        """Returns the attributes by the names that an artefact's file uses."""
        usual = np.array(self.usual, np.float32)
        numbers = {name: getattr(self, name) for name in ("weights", "factors", "slopes")}
        return {"lengths.usual": usual, **{f"lengths.{name}": array for name, array in numbers.items()}}


def lengths_from(tensors: Mapping[str, Array]) -> Lengths:
    """Returns the `Lengths` that an artefact's tensors contain. Raises KeyError if a tensor is missing."""
    weights, factors, slopes = [tensors[f"lengths.{name}"] for name in ("weights", "factors", "slopes")]
    return Lengths(weights, factors, slopes, float(tensors["lengths.usual"]))
