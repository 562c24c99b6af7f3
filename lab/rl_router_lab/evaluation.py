"""Evaluates a policy on prompts that the policy was not trained on, beside the baselines.

Intervals are 95 % percentile bootstraps over 1,000 resamples of the prompts. All steps of a measure are repeated for
each resample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from . import measures
from .predictions import Predictions
from .table import Array, Table

RESAMPLES = 1_000
_LEVEL = 95


@dataclass(frozen=True)
class Figure:
    """A measure with the ends of its interval. None means that the router does not reach the best constant."""

    value: float | None
    low: float | None
    high: float | None

    def as_json(self) -> list[float | None]:
        """Returns the value and the ends of the interval, rounded."""
        return [None if number is None else round(number, 4) for number in (self.value, self.low, self.high)]


@dataclass(frozen=True)
class Outcomes:
    """The scores and real costs of test prompts that all models answered, with the predictions of a policy."""

    scores: Array
    costs: Array
    predictions: Predictions

    def routed(self) -> measures.Routed:
        """Returns the answers that the policy's choices give."""
        chosen = measures.choices(self.predictions.preferences, self.predictions.costs)
        return measures.routed(chosen, self.scores, self.costs)


def curve_figures(outcomes: Outcomes, seed: int = 0) -> dict[str, Figure]:
    """Returns the AIQ gain and the match of a policy, with intervals.

    Resamples in which the policy does not reach the best constant's quality do not count for the interval of the match.
    """
    answers = outcomes.routed()
    whole, resampled = answers.compare(), [answers.compare(counts) for counts in _resamples(len(outcomes.scores), seed)]
    return {
        "aiq_gain": _figure(whole.gain, [each.gain for each in resampled]),
        "match": _figure(whole.match, [each.match for each in resampled]),
    }


def difference(one: Outcomes, other: Outcomes, seed: int = 0) -> Figure:
    """Returns the difference of the AIQ of two policies on the same prompts, resampled in pairs."""
    first, second = one.routed(), other.routed()
    values = [first.compare(counts).aiq - second.compare(counts).aiq for counts in _resamples(len(one.scores), seed)]
    return _figure(first.compare().aiq - second.compare().aiq, values)


def calibration_figures(outcomes: Outcomes, seed: int = 0) -> dict[str, Figure]:
    """Returns the Brier score and the expected calibration error of the predicted qualities, with intervals."""
    predicted, scores = outcomes.predictions.qualities, outcomes.scores
    found: dict[str, Figure] = {}
    for name, measure in (("brier", brier), ("calibration_error", calibration_error)):
        rows = [np.repeat(np.arange(len(scores)), counts.astype(int)) for counts in _resamples(len(scores), seed)]
        found[name] = _figure(measure(predicted, scores), [measure(predicted[row], scores[row]) for row in rows])
    return found


def brier(predicted: Array, scores: Array) -> float:
    """Returns the mean squared difference of predictions and scores."""
    return float(np.mean(np.square(predicted - scores)))


def calibration_error(predicted: Array, scores: Array) -> float:
    """Returns the expected calibration error over 10 bins with equal numbers of predictions."""
    order = np.argsort(predicted, axis=None, kind="stable")
    bins = [np.array_split(values.ravel()[order], 10) for values in (predicted, scores)]
    gaps = [abs(p.mean() - s.mean()) * len(p) for p, s in zip(*bins, strict=True)]
    return float(sum(gaps) / len(order))


def _resamples(size: int, seed: int) -> Iterator[Array]:
    """Yields how often each prompt occurs in each resample."""
    random = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        yield np.bincount(random.integers(0, size, size), minlength=size).astype(np.float64)


def _figure(value: float | None, resampled: Sequence[float | None]) -> Figure:
    known = [number for number in resampled if number is not None]
    tail = (100 - _LEVEL) / 2
    low, high = map(float, np.percentile(known, [tail, 100 - tail])) if known else (None, None)
    return Figure(value, low, high)


def auroc(predicted: Array, scores: Array) -> float | None:
    """Returns the probability that a good answer has a higher prediction than a bad answer.

    A score of at least 0.5 is good. Returns None if all answers are good or all are bad.
    """
    good = scores >= 0.5
    if good.all() or not good.any():
        return None
    _, positions, counts = np.unique(predicted, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[positions]
    wins = ranks[good].sum() - good.sum() * (good.sum() + 1) / 2
    return float(wins / (good.sum() * (~good).sum()))


def mean_auroc(outcomes: Outcomes, table: Table) -> float | None:
    """Returns the mean AUROC over all pairs of a model and a task with at least 50 prompts."""
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
    """Returns predictions that stand for the trivial routers, to be compared with the policy's."""
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
