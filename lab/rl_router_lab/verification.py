"""Measures judgements of answers: how well they order good and bad answers, and whether they are calibrated.

Intervals are 95 % percentile bootstraps over 1,000 resamples of the prompts. All judgements are measured on the same
resamples, so that their differences are resampled in pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .evaluation import RESAMPLES, Figure
from .table import Array

_BLOCK = 100
"""The number of resamples that are computed at once, to save memory."""
_MIN_GROUP = 50
_BINS = 10


@dataclass(frozen=True)
class KnownAnswers:
    """Answers whose scores are known, with one number for each answer in all attributes but `counts`.

    The attribute `prompts` contains the position of the answer's prompt, and `groups` the number of the answer's task
    and model. The attribute `counts` says how often each prompt occurs in each resample: (resamples, prompts). The
    first resample contains each prompt once.
    """

    scores: Array
    prompts: NDArray[np.intp]
    groups: NDArray[np.intp]
    counts: Array


def known_answers(scores: Array, prompts: NDArray[np.intp], groups: NDArray[np.intp], seed: int = 0) -> KnownAnswers:
    """Returns answers with resamples of their prompts."""
    _, positions = np.unique(prompts, return_inverse=True)
    size = int(positions.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), RESAMPLES)
    return KnownAnswers(scores, positions, groups, np.concatenate([np.ones((1, size)), drawn]))


def order_figures(answers: KnownAnswers, predicted: Array) -> dict[str, Array]:
    """Returns the AUROC within tasks and models, and over all answers, for each resample."""
    return {"auroc_within": _within(answers, predicted), "auroc_pooled": _pooled(answers, predicted)}


def calibration_figures(answers: KnownAnswers, predicted: Array) -> dict[str, Array]:
    """Returns the Brier score and the expected calibration error for each resample."""
    errors = np.bincount(answers.prompts, np.square(predicted - answers.scores))
    sizes = np.bincount(answers.prompts)
    order = np.argsort(predicted, kind="stable")
    differences, prompts = (predicted - answers.scores)[order], answers.prompts[order]
    binned = [_binned_error(np.repeat(differences, row[prompts].astype(int))) for row in answers.counts]
    return {"brier": answers.counts @ errors / (answers.counts @ sizes), "calibration_error": np.array(binned)}


def figure(resampled: Array) -> Figure:
    """Returns the value of the first resample, and the ends of the interval of the other resamples.

    The figure has no numbers if the measure is NaN in all resamples.
    """
    if np.isnan(resampled).all():
        return Figure(None, None, None)
    low, high = np.nanpercentile(resampled[1:], [2.5, 97.5])
    return Figure(float(resampled[0]), float(low), float(high))


def _within(answers: KnownAnswers, predicted: Array) -> Array:
    sizes = np.bincount(answers.groups)
    groups = [answers.groups == group for group in np.where(sizes >= _MIN_GROUP)[0]]
    if not groups:
        return np.full(len(answers.counts), np.nan)
    areas = np.stack([_auroc(answers, predicted, rows, answers.counts) for rows in groups])
    means: Array = np.nanmean(areas, axis=0)
    return means


def _pooled(answers: KnownAnswers, predicted: Array) -> Array:
    every = np.ones(len(predicted), bool)
    blocks = np.array_split(answers.counts, max(len(answers.counts) // _BLOCK, 1))
    return np.concatenate([_auroc(answers, predicted, every, block) for block in blocks])


def _auroc(answers: KnownAnswers, predicted: Array, rows: NDArray[np.bool_], counts: Array) -> Array:
    """Returns the probability that a good answer has a higher prediction than a bad one, for each row of `counts`.

    The probability is NaN if all answers are good or all answers are bad.
    """
    order = np.argsort(predicted[rows], kind="stable")
    values, good = predicted[rows][order], (answers.scores[rows] >= 0.5)[order]
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf))
    weights = counts[:, answers.prompts[rows][order]]
    positive, negative = [np.add.reduceat(weights * kind, starts, axis=1) for kind in (good, ~good)]
    wins = (positive * (negative.cumsum(axis=1) - negative / 2)).sum(axis=1)
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return np.where(pairs > 0, wins / np.maximum(pairs, 1), np.nan)


def _binned_error(differences: Array) -> float:
    return float(sum(abs(each.sum()) for each in np.array_split(differences, _BINS)) / len(differences))
