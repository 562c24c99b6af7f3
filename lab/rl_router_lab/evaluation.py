"""Evaluates a policy and the baselines on prompts that the policy was not trained on.

Intervals are 95 % intervals from a percentile bootstrap over 1,000 resamples of the prompts. Each measure is computed
again for each resample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import measures
from .predictions import Predictions
from .table import Array, Table

RESAMPLES = 1_000
_LEVEL = 95


@dataclass(frozen=True)
class Figure:
    """A measure with the ends of its interval. The value is None without a match, the ends if no resample has one."""

    value: float | None
    low: float | None
    high: float | None

    def as_json(self) -> list[float | None]:
        """Returns the value and the ends of the interval, rounded to four decimals."""
        return [None if number is None else round(number, 4) for number in (self.value, self.low, self.high)]


@dataclass(frozen=True)
class Outcomes:
    """The scores and real costs of all models' answers to the test prompts, with the predictions of a policy."""

    scores: Array
    costs: Array
    predictions: Predictions

    def routed(self) -> measures.Routed:
        """Returns the scores and costs of the answers that the policy chooses."""
        chosen = measures.choices(self.predictions.preferences, self.predictions.costs)
        return measures.routed(chosen, self.scores, self.costs)


def curve_figures(outcomes: Outcomes, seed: int = 0) -> dict[str, Figure]:
    """Returns the AIQ gain and the match of a policy, with intervals.

    Resamples in which the policy has no match do not count for the interval of the match.
    """
    answers = outcomes.routed()
    whole, resampled = answers.compare(), answers.compare_each(_resamples(len(outcomes.scores), seed))
    return {
        "aiq_gain": _figure(whole.gain, [each.gain for each in resampled]),
        "match": _figure(whole.match, [each.match for each in resampled]),
    }


def difference(one: Outcomes, other: Outcomes, seed: int = 0) -> Figure:
    """Returns the AIQ of `one` minus the AIQ of `other`, with an interval. Both use the same prompts and resamples."""
    first, second = one.routed(), other.routed()
    counts = _resamples(len(one.scores), seed)
    pairs = zip(first.compare_each(counts), second.compare_each(counts), strict=True)
    values = [ours.aiq - theirs.aiq for ours, theirs in pairs]
    return _figure(first.compare().aiq - second.compare().aiq, values)


def calibration_figures(outcomes: Outcomes, seed: int = 0) -> dict[str, Figure]:
    """Returns the Brier score and the expected calibration error of the predicted qualities, with intervals."""
    predicted, scores = outcomes.predictions.qualities, outcomes.scores
    counts = _resamples(len(scores), seed)
    errors = np.square(predicted - scores).mean(axis=1)
    ranked = _ranked(predicted, scores)
    return {
        "brier": _figure(brier(predicted, scores), (counts @ errors / len(scores)).tolist()),
        "calibration_error": _figure(ranked.error(), [ranked.error(row.astype(int)) for row in counts]),
    }


def brier(predicted: Array, scores: Array) -> float:
    """Returns the mean squared difference of predictions and scores."""
    return float(np.mean(np.square(predicted - scores)))


@dataclass(frozen=True)
class _Ranked:
    """The differences of predictions and scores by ascending prediction, and the index of each difference's prompt."""

    differences: Array
    prompts: NDArray[np.intp]

    def error(self, counts: NDArray[np.int_] | None = None) -> float:
        """Returns the expected calibration error over 10 bins whose sizes differ by at most 1.

        The argument `counts` says how often each prompt counts (once if None).
        """
        differences = self.differences if counts is None else np.repeat(self.differences, counts[self.prompts])
        return float(sum(abs(each.sum()) for each in np.array_split(differences, 10)) / len(differences))


def _ranked(predicted: Array, scores: Array) -> _Ranked:
    order = np.argsort(predicted, axis=None, kind="stable")
    return _Ranked((predicted - scores).ravel()[order], order // predicted.shape[1])


def _resamples(size: int, seed: int) -> Array:
    """Returns how often each prompt occurs in each resample: (resamples, prompts)."""
    random = np.random.default_rng(seed)
    draws = [np.bincount(random.integers(0, size, size), minlength=size) for _ in range(RESAMPLES)]
    return np.stack(draws).astype(np.float64)


def _figure(value: float | None, resampled: Sequence[float | None]) -> Figure:
    known = [number for number in resampled if number is not None]
    tail = (100 - _LEVEL) / 2
    low, high = map(float, np.percentile(known, [tail, 100 - tail])) if known else (None, None)
    return Figure(value, low, high)


def auroc(predicted: Array, scores: Array) -> float | None:
    """Returns the probability that a good answer has a higher prediction than a bad answer.

    A score of at least 0.5 is good. Equal predictions count half. Returns None if all answers are good or all are bad.
    """
    good = scores >= 0.5
    if good.all() or not good.any():
        return None
    _, positions, counts = np.unique(predicted, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[positions]
    wins = ranks[good].sum() - good.sum() * (good.sum() + 1) / 2
    return float(wins / (good.sum() * (~good).sum()))


def mean_auroc(outcomes: Outcomes, table: Table) -> float | None:
    """Returns the mean AUROC over all pairs of a model and a task with at least 50 prompts.

    A pair counts only if it has good and bad answers. Returns None if no pair counts.
    """
    tasks = np.array([prompt.task for prompt in table.prompts])
    groups = [
        auroc(outcomes.predictions.qualities[rows, model], outcomes.scores[rows, model])
        for task in np.unique(tasks)
        if (rows := np.where(tasks == task)[0]).size >= 50
        for model in range(outcomes.scores.shape[1])
    ]
    known = [group for group in groups if group is not None]
    return float(np.mean(known)) if known else None


def baselines(outcomes: Outcomes, table: Table) -> dict[str, Predictions]:
    """Returns the predictions of the baselines `random`, `prompt_length` and `oracle`."""
    shape = outcomes.scores.shape
    random = np.random.default_rng(0).random(shape)
    means = outcomes.scores.mean(axis=0)
    lengths = np.array([len(prompt.text) for prompt in table.prompts], np.float64)
    longer = (lengths.argsort().argsort() / max(len(lengths) - 1, 1))[:, None] * means
    costs = np.broadcast_to(outcomes.costs.mean(axis=0), shape)
    return {
        "random": Predictions(random, random, costs),
        "prompt_length": Predictions(longer, longer, costs),
        "oracle": Predictions(outcomes.scores, outcomes.scores, outcomes.costs),
    }
