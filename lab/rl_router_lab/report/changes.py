"""What routing by a policy would change, compared with one model for all prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rl_router_policy.value import UNITS, Word

from ..evaluation import Outcomes
from ..table import Array

_RESAMPLES, _LEVEL = 1_000, 95


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Against:
    """The policy compared with one model: differences of score and utility, and the ratio of the costs.

    The attribute `cost` is None if the model's answers are free.
    """

    model: str
    score: Interval
    cost: float | None
    utility: Interval


@dataclass(frozen=True)
class Change:
    """The choices of a policy with the goal `goal`, with which a good answer is worth `value` US dollars.

    The attribute `chosen` contains the index of the model that is chosen for each prompt. The attribute `shares`
    contains the share of the prompts for each model. The cost is in US dollars per prompt.
    """

    goal: str
    value: float
    chosen: NDArray[np.intp]
    score: float
    cost: float
    shares: Mapping[str, float]
    against: tuple[Against, ...]


def change(outcomes: Outcomes, models: tuple[str, ...], goal: Word) -> Change:
    """Returns what changes with a goal.

    The goal determines how many units a good answer is worth. A unit is the mean cost over all models and prompts, or
    1 US dollar if all answers are free.
    """
    value = UNITS[goal] * (float(outcomes.costs.mean()) or 1.0)
    expected = outcomes.predictions
    chosen = np.argmax(expected.preferences - expected.costs / value, axis=1)
    prompts = np.arange(len(chosen))
    scores, costs = outcomes.scores[prompts, chosen], outcomes.costs[prompts, chosen]
    return Change(
        goal=goal,
        value=value,
        chosen=chosen,
        score=float(scores.mean()),
        cost=float(costs.mean()),
        shares={model: float((chosen == at).mean()) for at, model in enumerate(models)},
        against=tuple(
            [
                _against(model, scores, costs, outcomes.scores[:, at], outcomes.costs[:, at], value)
                for at, model in enumerate(models)
            ]
        ),
    )


def _against(model: str, scores: Array, costs: Array, their_scores: Array, their_costs: Array, value: float) -> Against:
    differences = scores - their_scores
    constant = float(their_costs.mean())
    return Against(
        model=model,
        score=interval(differences),
        cost=float(costs.mean()) / constant if constant else None,
        utility=interval(differences - (costs - their_costs) / value),
    )


def interval(values: Array) -> Interval:
    """Returns the mean of a number per prompt, with a percentile bootstrap over 1,000 resamples of the prompts."""
    random = np.random.default_rng(0)
    means = [values[random.integers(0, len(values), len(values))].mean() for _ in range(_RESAMPLES)]
    tail = (100 - _LEVEL) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(values.mean()), float(low), float(high))
