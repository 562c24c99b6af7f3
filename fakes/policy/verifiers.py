"""Verifiers whose judgements are known, made without training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rl_router_policy.agreement import NAMES as COMPARED_NAMES
from rl_router_policy.logistic import Logistic
from rl_router_policy.verifier import ALONE_INPUTS, ALONE_NAMES, Verifier


def verifier(alone: Mapping[str, float], compared: Mapping[str, float]) -> Verifier:
    """Returns a verifier. The arguments map names of inputs to coefficients. The other coefficients are 0."""
    return Verifier(
        _logistic(alone, ALONE_NAMES, ALONE_INPUTS), _logistic(compared, COMPARED_NAMES, len(COMPARED_NAMES))
    )


def _logistic(coefficients: Mapping[str, float], names: tuple[str, ...], inputs: int) -> Logistic:
    weights = np.zeros(inputs, np.float32)
    for name, coefficient in coefficients.items():
        weights[names.index(name)] = coefficient
    return Logistic(np.zeros(inputs, np.float32), np.ones(inputs, np.float32), weights, 0.0)
