"""The item network in JAX: the function of `rl_router_policy.network`, with random omissions during the training."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

HIDDEN, ABILITIES = 128, 16
INPUT_DROPOUT, HIDDEN_DROPOUT = 0.5, 0.2
"""The shares of the inputs and of the hidden numbers that a training step omits at random."""

_OWN_SPREAD = 0.05
"""The standard deviation of the random numbers in the targets' own vectors before the training. If it is larger, the
random differences between targets remain in the trained vectors and worsen the predictions."""

Weights = dict[str, Any]
"""The weights of one member: hidden (inputs, hidden), bias (hidden), item (hidden, abilities), profile (profile, 1 +
abilities) and own (targets, 1 + abilities). The vector of a target is its profile's vector plus its own vector."""


def initial(key: Array, inputs: int, profiles: np.ndarray, means: np.ndarray) -> Weights:
    """Returns the weights of one member before the training.

    The argument `profiles` has the shape (targets, profile), and `means` contains the mean score of each target.
    """
    first, second, third = jax.random.split(key, 3)
    own = _OWN_SPREAD * jax.random.normal(third, (len(profiles), 1 + ABILITIES))
    chances = np.clip(means, 0.02, 0.98)
    return {
        "hidden": jax.random.normal(first, (inputs, HIDDEN)) / np.sqrt(inputs),
        "bias": jnp.zeros(HIDDEN),
        "item": 0.3 * jax.random.normal(second, (HIDDEN, ABILITIES)) / np.sqrt(HIDDEN),
        "profile": jnp.zeros((profiles.shape[1], 1 + ABILITIES)),
        "own": own.at[:, 0].set(jnp.log(chances / (1 - chances))).at[:, 1].set(1.0),
    }


def vectors(weights: Weights, profiles: Array) -> Array:
    """Returns the vectors of the targets: (targets, 1 + abilities)."""
    found: Array = profiles @ weights["profile"] + weights["own"]
    return found


def logits(weights: Weights, inputs: Array, profiles: Array, key: Array | None = None) -> Array:
    """Returns the logit of a good answer for each prompt and target. With a key, inputs and hidden
    numbers are omitted at random."""
    first, second = (None, None) if key is None else jax.random.split(key)
    hidden = jax.nn.gelu(_omitting(inputs, INPUT_DROPOUT, first) @ weights["hidden"] + weights["bias"])
    abilities = _omitting(hidden, HIDDEN_DROPOUT, second) @ weights["item"]
    targets = vectors(weights, profiles)
    found: Array = targets[:, 0] + abilities @ targets[:, 1:].T
    return found


def _omitting(x: Array, share: float, key: Array | None) -> Array:
    return x if key is None else x * jax.random.bernoulli(key, 1 - share, x.shape) / (1 - share)
