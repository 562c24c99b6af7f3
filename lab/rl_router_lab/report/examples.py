"""Chooses prompts that show what a policy does well and badly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..evaluation import Outcomes
from ..table import Table
from .changes import Change

_EACH = 5


@dataclass(frozen=True)
class Example:
    """A prompt, the model that the policy chooses, the best constant, and their scores, costs and predictions."""

    text: str
    task: str
    chosen: str
    constant: str
    scores: tuple[float, float]
    costs: tuple[float, float]
    qualities: tuple[float, float]


def examples(table: Table, outcomes: Outcomes, change: Change) -> tuple[list[Example], list[Example]]:
    """Returns the prompts on which the policy gains most, and loses most, utility against the best constant.

    The lists contain only prompts on which the policy chooses another model than the best constant.
    """
    means, costs = outcomes.scores.mean(axis=0), outcomes.costs.mean(axis=0)
    constant = min(range(len(table.models)), key=lambda model: (-means[model], costs[model]))
    prompts = np.arange(len(table.prompts))
    utilities = outcomes.scores - outcomes.costs / change.value
    gains = utilities[prompts, change.chosen] - utilities[:, constant]
    order = [at for at in np.argsort(-gains, kind="stable") if change.chosen[at] != constant]
    best = [at for at in order if gains[at] > 0][:_EACH]
    worst = [at for at in order[::-1] if gains[at] < 0][:_EACH]
    found = [
        [_example(table, outcomes, at, (int(change.chosen[at]), constant)) for at in rows] for rows in (best, worst)
    ]
    return found[0], found[1]


def _example(table: Table, outcomes: Outcomes, at: int, pair: tuple[int, int]) -> Example:
    prompt = table.prompts[at]

    def both(numbers: np.ndarray) -> tuple[float, float]:
        return float(numbers[at, pair[0]]), float(numbers[at, pair[1]])

    return Example(
        text=prompt.text,
        task=prompt.task,
        chosen=table.models[pair[0]],
        constant=table.models[pair[1]],
        scores=both(outcomes.scores),
        costs=both(outcomes.costs),
        qualities=both(outcomes.predictions.qualities),
    )
