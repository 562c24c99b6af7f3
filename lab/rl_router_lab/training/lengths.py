"""Fits the prediction of output lengths to a table."""

from __future__ import annotations

import numpy as np
from rl_router_policy.lengths import Lengths

_RIDGE = 10.0
_USUAL_SLOPES = 20.0
"""The number of known lengths that count as much as the expectation that a target's slope is 1."""


def fit_lengths(features: np.ndarray, output_tokens: np.ndarray) -> Lengths:
    """Returns a prediction of lengths from standardised features (prompts, features), fitted to `output_tokens`.

    The shape of `output_tokens` is (prompts, targets), with NaN for unknown lengths. The weights predict the mean
    logarithm of a prompt's known lengths. The slopes say how much the logarithm of each target's lengths follows the
    predicted mean. The factors make each target's mean prediction equal to the mean of the target's known lengths.
    """
    known = ~np.isnan(output_tokens)
    logs = np.where(known, np.log(np.maximum(np.nan_to_num(output_tokens), 1)), 0)
    means = logs.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    x = np.hstack([features, np.ones((len(features), 1))]).astype(np.float64)
    weights = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ means)
    predicted = np.clip(x @ weights, 0, 12)[:, None]
    slopes = _slopes(predicted, logs, known)
    usual = float(np.median(_factors(predicted, output_tokens)[known.any(axis=0)]))
    factors = _factors(predicted * slopes, output_tokens)
    weights, factors, slopes = [array.astype(np.float32) for array in (weights, factors, slopes)]
    return Lengths(weights, factors, slopes, usual)


def _slopes(predicted: np.ndarray, logs: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns the slope of each target's logarithms, at least 0. With few known lengths, the slope is close to 1."""
    counts = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, predicted - (predicted * known).sum(axis=0) / counts, 0)
    prior = _USUAL_SLOPES * predicted.var() + 1e-9
    slopes = ((centred * logs).sum(axis=0) + prior) / (np.square(centred).sum(axis=0) + prior)
    positive: np.ndarray = np.maximum(slopes, 0)
    return positive


def _factors(predicted: np.ndarray, output_tokens: np.ndarray) -> np.ndarray:
    known = ~np.isnan(output_tokens)
    factors: np.ndarray = np.nansum(output_tokens, axis=0) / np.maximum((known * np.exp(predicted)).sum(axis=0), 1e-9)
    return factors
