"""The rule of the guard: a policy may serve only if it was compared with every constant on the same prompts.

The comparison uses paired differences: for each prompt, the utility of the policy's answer minus the utility of the
constant's answer. The lower bound of the mean difference comes from a percentile bootstrap over the prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .situation import Verdict

Array = NDArray[np.float64]

RESAMPLES = 10_000
MIN_PROMPTS = 30
"""With fewer prompts, a percentile bootstrap proves nothing."""
MARGIN = 0.02
"""The usual value of `routing.guard_margin`."""
_TOTAL_LEVEL = 0.05
POWER = 0.8
"""The probability with which the estimated numbers of prompts prove a gain."""
_CHUNK = 500_000
"""The number of drawn prompts that are in memory at the same time."""


@dataclass(frozen=True)
class Gain:
    """How much higher the utility of the policy is than the utility of a constant, per prompt.

    The attribute `mean` is the mean difference, and the attribute `deviation` is the standard deviation. The attribute
    `bound` is the one-sided lower bound of the mean, or minus infinity if the level is too small for a bound.
    """

    constant: str
    mean: float
    bound: float
    deviation: float


@dataclass(frozen=True)
class Judgement:
    """What the guard says about a policy, with one gain for each constant.

    The attribute `level` is the probability with which the bound of a constant may be wrong.
    """

    verdict: Verdict
    gains: tuple[Gain, ...]
    prompts: int
    level: float

    @property
    def weakest(self) -> Gain:
        """The gain over the constant for which least is proven."""
        return min(self.gains, key=lambda gain: (gain.bound, gain.mean))

    @property
    def bound(self) -> float | None:
        """The lowest bound, or None if the level is too small for a bound."""
        return self.weakest.bound if isfinite(self.weakest.bound) else None

    def missing(self, margin: float = 0.0) -> int | None:
        """Returns the number of prompts that are missing for a bound above `-margin` with a probability of 80 %.

        The estimate assumes that more prompts have the same mean and the same deviation. Returns None if the mean
        difference to a constant is not above 0, because then more prompts may prove nothing.
        """
        if self.verdict == "proven":
            return 0
        if any(gain.mean <= 0 for gain in self.gains) or not is_resolved(self.level):
            return None
        needed = max(prompts_needed(gain.mean + margin, gain.deviation, self.level) for gain in self.gains)
        return max(needed - self.prompts, MIN_PROMPTS - self.prompts, 0)


def level_of(test: int) -> float:
    """Returns the level of the test with the number `test` (from 1) on the same prompts.

    The levels of all tests together are 0.05, so that a policy without a gain does not pass by many tries.
    """
    return _TOTAL_LEVEL / (test * (test + 1))


def is_resolved(level: float) -> bool:
    """Returns whether the resamples are enough for a bound at the level."""
    return level * RESAMPLES >= 1


def prompts_needed(gain: float, deviation: float, level: float) -> int:
    """Returns how many prompts prove a gain above 0 with a probability of 80 %, if differences are about normal."""
    quantiles = NormalDist().inv_cdf(1 - level) + NormalDist().inv_cdf(POWER)
    return max(ceil((quantiles * deviation / gain) ** 2), MIN_PROMPTS)


def judge(differences: Array, constants: Sequence[str], level: float, margin: float = MARGIN) -> Judgement:
    """Returns the guard's verdict on a policy.

    The argument `differences` contains the paired differences of utility: (prompts, constants). The verdict is `proven`
    if all bounds are above 0, and `safe` if all means are above 0 and all bounds are above `-margin`. Otherwise, and
    with fewer than 30 prompts or two constants, the verdict is `unproven`.
    """
    prompts = len(differences)
    means, deviations = differences.mean(axis=0), differences.std(axis=0)
    bounds = lower_bounds(differences, level)
    numbers = zip(constants, means, bounds, deviations, strict=True)
    gains = tuple([Gain(name, float(mean), float(bound), float(spread)) for name, mean, bound, spread in numbers])
    verdict: Verdict = "unproven"
    if prompts >= MIN_PROMPTS and len(gains) > 1 and means.min() > 0:
        verdict = "proven" if bounds.min() > 0 else "safe" if bounds.min() > -margin else "unproven"
    return Judgement(verdict, gains, prompts, level)


def lower_bounds(differences: Array, level: float) -> Array:
    """Returns the one-sided lower bound of the mean of each column, by a percentile bootstrap with a fixed seed."""
    if not is_resolved(level):
        return np.full(differences.shape[1], -inf)
    bounds: Array = np.quantile(_resampled_means(differences), level, axis=0, method="lower")
    return bounds


def _resampled_means(differences: Array) -> Array:
    """Returns the means of resamples of the rows: (resamples, columns)."""
    random, size = np.random.default_rng(0), len(differences)
    at_once = max(_CHUNK // size, 1)
    parts = [min(at_once, RESAMPLES - done) for done in range(0, RESAMPLES, at_once)]
    return np.concatenate([_counts(random, part, size) @ differences for part in parts]) / size


def _counts(random: np.random.Generator, resamples: int, size: int) -> Array:
    """Returns how often each row occurs in each resample: (resamples, rows)."""
    drawn = random.integers(0, size, (resamples, size), dtype=np.int32)
    drawn += np.arange(resamples, dtype=np.int32)[:, None] * np.int32(size)
    counts = np.bincount(drawn.ravel(), minlength=resamples * size)
    return counts.reshape(resamples, size).astype(np.float64)
