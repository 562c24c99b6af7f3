"""Fits the prediction of output lengths to a table."""

from __future__ import annotations

import numpy as np
from rl_router_policy.lengths import Lengths

_RIDGE = 10.0


def fit_lengths(features: np.ndarray, output_tokens: np.ndarray) -> Lengths:
    """Returns the prediction for standardised features, of the shape (prompts, features).

    The shape of `output_tokens` is (prompts, targets), with NaN for unknown lengths. The weights predict the mean
    logarithm of a prompt's known lengths. The factors make the mean prediction of each target right.
    """
    known = ~np.isnan(output_tokens)
    logs = np.where(known, np.log(np.maximum(np.nan_to_num(output_tokens), 1)), 0)
    means = logs.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    x = np.hstack([features, np.ones((len(features), 1))]).astype(np.float64)
    weights = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ means)
    predicted = np.exp(x @ weights)
    totals = np.where(known, np.nan_to_num(output_tokens), 0).sum(axis=0)
    factors = totals / np.maximum((known * predicted[:, None]).sum(axis=0), 1e-9)
    usual = float(np.median(factors[known.any(axis=0)]))
    return Lengths(weights.astype(np.float32), factors.astype(np.float32), usual)
