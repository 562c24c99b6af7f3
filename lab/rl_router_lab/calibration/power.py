"""Says which gain a number of prompts can prove."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from rl_router_policy.guard import MARGIN, MIN_PROMPTS, POWER, level_of, prompts_needed

USUAL_DEVIATION = 0.4
"""The standard deviation of the difference in utility between a policy and one target from prompt to prompt, if no
answers are graded yet. On the public tables the value lies between 0.3 and 0.45."""


def provable_gain(prompts: int, deviation: float) -> float:
    """Returns the gain in mean utility that paired differences prove in 4 of 5 tables.

    A gain g is proven if the lower bound of the mean difference is above 0: g ≥ (z(level) + z(power)) x deviation /
    sqrt(prompts).
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - level_of(1)) + normal.inv_cdf(POWER)) * deviation / math.sqrt(prompts)


def serving_gain(prompts: int, deviation: float) -> float:
    """Returns the gain in mean utility with which a policy serves in 4 of 5 cases, at the usual guard margin.

    The mean difference must be above 0, and its lower bound must be above minus the margin.
    """
    above_zero = NormalDist().inv_cdf(POWER) * deviation / math.sqrt(prompts)
    return max(provable_gain(prompts, deviation) - MARGIN, above_zero)


def prompts_for(gain: float, deviation: float) -> int:
    """Returns the number of prompts that prove a gain in mean utility in 4 of 5 tables."""
    return prompts_needed(gain, deviation, level_of(1))


def deviation_of(scores: Sequence[Sequence[float]]) -> float:
    """Returns the typical standard deviation of the difference between two targets' scores on a prompt.

    Each element of `scores` contains the scores of all targets on one prompt. With fewer than 30 prompts or with equal
    scores, returns the usual deviation.
    """
    table = np.array(scores, np.float64)
    if len(table) < MIN_PROMPTS or table.shape[1] < 2:
        return USUAL_DEVIATION
    pairs = itertools.combinations(range(table.shape[1]), 2)
    deviation = float(np.median([(table[:, left] - table[:, right]).std(ddof=1) for left, right in pairs]))
    return deviation or USUAL_DEVIATION
