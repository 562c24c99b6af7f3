"""The second stage: improves the choice by policy gradient, from the weights of the first stage.

The policy draws a candidate from a softmax of the utilities. On a table where the score of each candidate is known, the
expected utility of the policy is a finite sum, so the gradient is exact. Each step uses random weights of the cost and
random sets of candidates, because requests differ in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from rl_router_policy.probabilities import TEMPERATURE

from .item_network import Weights, logits
from .outcomes import Batches, Examples, descend, improve, stopping_shares

_LOWEST, _HIGHEST = 0.003, 1.0
"""The range of the random weights of the cost that are not 0, for costs whose mean in a table is 1."""
PRICES = np.geomspace(_LOWEST, _HIGHEST, 12)
"""The positive weights of the cost at which a policy's utility is measured."""
_FREE = 0.1
"""The share of the random weights of the cost that are 0."""
_MIN_CANDIDATES, _MAX_CANDIDATES = 2, 6
"""The range of the number of candidates in a random set, if enough scores of the prompt are known."""
_EPOCHS, _PATIENCE = 40, 8
_OPTIMIZER = optax.adamw(5e-4, weight_decay=1e-2)


@dataclass(frozen=True)
class Costs:
    """The real and expected costs of the answers: (prompts, targets).

    The costs are divided by the mean real cost of their table if this mean is not 0.
    """

    real: np.ndarray
    expected: np.ndarray

    def arrays(self) -> tuple[Array, Array]:
        """Returns the real costs and the expected costs as JAX arrays.

        Unknown costs are 0, because their targets are never offered.
        """
        return jnp.nan_to_num(jnp.asarray(self.real)), jnp.nan_to_num(jnp.asarray(self.expected))


def train(
    examples: Examples,
    costs: Costs,
    start: Weights,
    stopping: np.ndarray,
    seed: int,
    progress: Callable[[float], None] = lambda _: None,
) -> Weights:
    """Returns improved weights of one network, or the weights `start` if no epoch improved the measured choices.

    The argument `stopping` says which prompts are not trained on, as in the first stage.
    """
    data = (*examples.arrays(), *costs.arrays())
    shares = jnp.asarray(stopping_shares(examples.tables, stopping))
    return improve(
        start,
        lambda weights, state, rows, key: _epoch(weights, state, data, rows, key),
        lambda weights: _value(weights, data, shares),
        Batches(examples.tables, stopping, seed),
        _OPTIMIZER,
        _EPOCHS,
        _PATIENCE,
        progress,
    )


def utilities(chances: Array, costs: tuple[Array, Array], scores: Array, price: Array, offered: Array) -> Array:
    """Returns the expected utility of the softmax policy for each prompt.

    The argument `price` is the weight of the cost for all prompts or for each prompt, and `offered` says which targets
    are candidates. The argument `costs` contains the real and the expected costs.
    """
    real, expected = costs
    drawn = jax.nn.softmax(jnp.where(offered, (chances - price * expected) / TEMPERATURE, -1e9), axis=-1)
    values: Array = (drawn * jnp.where(offered, scores - price * real, 0)).sum(axis=-1)
    return values


@jax.jit
def _epoch(weights: Weights, state: Any, data: tuple[Array, ...], rows: Array, key: Array) -> tuple[Weights, Any]:
    inputs, scores, profiles, real, expected = data

    def loss(weights: Weights, batch: Array, key: Array) -> Array:
        omitted, priced, sized, ranked = jax.random.split(key, 4)
        chances = jax.nn.sigmoid(logits(weights, inputs[batch], profiles, omitted))
        offered = _random_sets(sized, ranked, ~jnp.isnan(scores[batch]))
        price = _random_prices(priced, len(batch))
        pair = (real[batch], expected[batch])
        return -utilities(chances, pair, jnp.nan_to_num(scores[batch]), price, offered).mean()

    return descend(loss, _OPTIMIZER, (weights, state), rows, key)


def _random_prices(key: Array, count: int) -> Array:
    first, second = jax.random.split(key)
    prices = jnp.exp(jax.random.uniform(first, (count, 1), minval=np.log(_LOWEST), maxval=np.log(_HIGHEST)))
    return jnp.where(jax.random.uniform(second, (count, 1)) < _FREE, 0.0, prices)


def _random_sets(sized: Array, ranked: Array, known: Array) -> Array:
    sizes = jax.random.randint(sized, (len(known), 1), _MIN_CANDIDATES, _MAX_CANDIDATES + 1)
    order = jnp.argsort(jnp.argsort(jnp.where(known, jax.random.uniform(ranked, known.shape), 2.0), -1), -1)
    return known & (order < sizes)


@jax.jit
def _value(weights: Weights, data: tuple[Array, ...], shares: Array) -> Array:
    """Returns the mean utility over `PRICES` and over the prompts, weighted by `shares`.

    All targets with known scores are candidates.
    """
    inputs, scores, profiles, real, expected = data
    chances = jax.nn.sigmoid(logits(weights, inputs, profiles))
    known, filled = ~jnp.isnan(scores), jnp.nan_to_num(scores)

    def at(price: Array) -> Array:
        return (utilities(chances, (real, expected), filled, price, known) * shares).sum()

    mean: Array = jax.lax.map(at, jnp.asarray(PRICES, jnp.float32)).mean()
    return mean
