"""The profile of a target, which is known before the target has answered: prices, size and benchmark scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import log

import numpy as np
from numpy.typing import NDArray

NAMES = ("constant", "input_price", "output_price", "size", "has_size", "benchmarks", "has_benchmarks")
_SMALLEST = 0.01
"""Smaller prices and sizes count as this number, because their logarithms would be extreme."""
_USUAL_SCORE = 0.5
_USUAL = {"input_price": log(0.6), "output_price": log(1.0), "size": log(30.0)}
"""The logarithms of usual prices and sizes. An unknown price or size counts as the usual one."""


@dataclass(frozen=True)
class Profile:
    """The profile of a target. None means unknown.

    Prices are in US dollars per million tokens. The attribute `parameters` is the number of parameters in billions. The
    attribute `benchmarks` contains scores between 0 and 1 by the name of the benchmark.
    """

    input_price: float | None = None
    output_price: float | None = None
    parameters: float | None = None
    benchmarks: Mapping[str, float] = field(default_factory=dict)

    def vector(self) -> NDArray[np.float32]:
        """Returns the profile as numbers, in the order of `NAMES`."""
        scores = list(self.benchmarks.values())
        return np.array(
            [
                1,
                _logarithm(self.input_price, "input_price"),
                _logarithm(self.output_price, "output_price"),
                _logarithm(self.parameters, "size"),
                self.parameters is not None,
                sum(scores) / len(scores) - _USUAL_SCORE if scores else 0,
                bool(scores),
            ],
            np.float32,
        )


def _logarithm(value: float | None, name: str) -> float:
    return log(max(value, _SMALLEST)) - _USUAL[name] if value is not None else 0


Profiles = Callable[[str], Profile | None]
"""A function that returns the profile for the name of a model or target, or None if the name is unknown."""
