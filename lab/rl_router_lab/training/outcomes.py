"""The first stage: learns the probability of a good answer from scores, by cross entropy with early stopping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from .item_network import Weights, initial, logits

BATCH = 256
_EPOCHS, _PATIENCE = 60, 8
_LEARNING_RATE, _DECAY = 3e-3, 1e-2
_SMALLEST_GAIN = 1e-5


@dataclass(frozen=True)
class Examples:
    """Prompts with scores.

    The attribute `inputs` has the shape (prompts, inputs), `scores` the shape (prompts, targets) with NaN for unknown
    scores, and `profiles` the shape (targets, profile). The attribute `tables` contains the number of each prompt's
    table.
    """

    inputs: np.ndarray
    scores: np.ndarray
    profiles: np.ndarray
    tables: np.ndarray

    def arrays(self) -> tuple[Array, Array, Array]:
        """Returns the inputs, scores and profiles as JAX arrays."""
        return jnp.asarray(self.inputs), jnp.asarray(self.scores), jnp.asarray(self.profiles)


def train(
    examples: Examples, stopping: np.ndarray, seed: int, progress: Callable[[float], None] = lambda _: None
) -> Weights:
    """Returns the trained weights of one of the network's members.

    The argument `stopping` says which prompts are not trained on. The function `improve` selects the weights by the
    loss on these prompts.
    """
    means = comparable_means(np.where(stopping[:, None], np.nan, examples.scores))
    start = initial(jax.random.PRNGKey(seed), examples.inputs.shape[1], examples.profiles, means)
    data, shares = examples.arrays(), jnp.asarray(stopping_shares(examples.tables, stopping))
    optimizer = _optimizer(batches_of(len(stopping)))
    return improve(
        start,
        lambda weights, state, rows, key: _epoch(weights, state, data, rows, key, optimizer),
        lambda weights: -_loss(weights, data, shares),
        Batches(examples.tables, stopping, seed),
        optimizer,
        _EPOCHS,
        _PATIENCE,
        progress,
    )


class Batches:
    """Draws the prompts of each training step. Every member has the same number of steps in an epoch."""

    def __init__(self, tables: np.ndarray, stopping: np.ndarray, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._rows = np.where(~stopping)[0]
        self._shares = table_shares(tables[~stopping])
        # The shape is equal for all members, so that JAX compiles the training of a small table only once.
        self._shape = (batches_of(len(stopping)), min(BATCH, len(stopping) * 4 // 5))

    def draw(self) -> tuple[Array, Array]:
        """Returns the prompts of an epoch, of the shape (steps, prompts), and the key of the random numbers."""
        rows = self._random.choice(self._rows, self._shape, p=self._shares)
        return jnp.asarray(rows), jax.random.PRNGKey(self._random.integers(2**31))


def batches_of(prompts: int) -> int:
    """Returns the number of steps in an epoch for a table with `prompts` prompts."""
    return max(prompts * 4 // 5 // BATCH, 1)


def improve(
    start: Weights,
    epoch: Callable[[Weights, Any, Array, Array], tuple[Weights, Any]],
    value: Callable[[Weights], Array],
    batches: Batches,
    optimizer: optax.GradientTransformation,
    epochs: int,
    patience: int,
    progress: Callable[[float], None],
) -> Weights:
    """Trains weights for at most `epochs` epochs, and returns the best weights.

    Weights are better only if they raise the best `value` by more than 1e-5. The training stops early after `patience`
    epochs in a row without better weights.
    """
    weights, state = start, optimizer.init(start)
    best, kept, since = float(value(start)), start, 0
    for number in range(epochs):
        weights, state = epoch(weights, state, *batches.draw())
        current = float(value(weights))
        progress((number + 1) / epochs)
        since += 1
        if current > best + _SMALLEST_GAIN:
            best, kept, since = current, weights, 0
        if since >= patience:
            break
    return kept


def descend(
    loss: Callable[[Weights, Array, Array], Array],
    optimizer: optax.GradientTransformation,
    start: tuple[Weights, Any],
    rows: Array,
    key: Array,
) -> tuple[Weights, Any]:
    """Returns the weights and the optimizer's state after one step for each row of `rows`.

    The function `loss` computes the loss of the weights on the prompts of a row. Its last argument is the key of the
    random numbers of the step.
    """

    def step(carry: tuple[Weights, Any], index: Array) -> tuple[tuple[Weights, Any], None]:
        weights, state = carry
        gradient = jax.grad(loss)(weights, rows[index], jax.random.fold_in(key, index))
        updates, state = optimizer.update(gradient, state, weights)
        return (optax.apply_updates(weights, updates), state), None

    return jax.lax.scan(step, start, jnp.arange(len(rows)))[0]


def comparable_means(scores: np.ndarray) -> np.ndarray:
    """Estimates the mean score that each target would have if all targets had answered all prompts.

    A score is modelled as the sum of a number for the target and a number for the prompt, which are fitted in turn.
    """
    known, filled = ~np.isnan(scores), np.nan_to_num(scores)
    targets = np.zeros(scores.shape[1])
    for _ in range(20):
        prompts = ((filled - targets) * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        targets = ((filled - prompts[:, None]) * known).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    means: np.ndarray = targets + prompts[known.any(axis=1)].mean()
    return means


def table_shares(tables: np.ndarray) -> np.ndarray:
    """Returns the probability with which each prompt is drawn, so that large tables do not dominate.

    The probability of a table is proportional to the square root of the table's size.
    """
    _, positions, sizes = np.unique(tables, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(sizes[positions])
    shares: np.ndarray = weights / weights.sum()
    return shares


def stopping_shares(tables: np.ndarray, stopping: np.ndarray) -> np.ndarray:
    """Returns the weight of each prompt in the value that stops the training.

    The weight of a prompt that is trained on is 0. Each table with prompts that are not trained on has the same weight.
    """
    _, positions = np.unique(tables, return_inverse=True)
    counts = np.bincount(positions, weights=stopping)
    shares: np.ndarray = stopping / np.maximum(counts[positions], 1) / max((counts > 0).sum(), 1)
    return shares.astype(np.float32)


def losses(weights: Weights, data: tuple[Array, Array, Array], key: Array | None = None) -> Array:
    """Returns for each prompt the mean cross entropy over the known scores, or 0 if no score is known."""
    inputs, scores, profiles = data
    z, known = logits(weights, inputs, profiles, key), ~jnp.isnan(scores)
    y = jnp.nan_to_num(scores)
    entropies = -(y * jax.nn.log_sigmoid(z) + (1 - y) * jax.nn.log_sigmoid(-z))
    return (entropies * known).sum(axis=1) / jnp.maximum(known.sum(axis=1), 1)


@cache
def _optimizer(batches: int) -> optax.GradientTransformation:
    rate = optax.cosine_decay_schedule(_LEARNING_RATE, _EPOCHS * batches, 0.1)
    return optax.adamw(rate, weight_decay=_DECAY)


@jax.jit
def _loss(weights: Weights, data: tuple[Array, Array, Array], shares: Array) -> Array:
    return (losses(weights, data) * shares).sum()


@partial(jax.jit, static_argnames="optimizer")
def _epoch(
    weights: Weights,
    state: Any,
    data: tuple[Array, Array, Array],
    rows: Array,
    key: Array,
    optimizer: optax.GradientTransformation,
) -> tuple[Weights, Any]:
    inputs, scores, profiles = data

    def loss(weights: Weights, batch: Array, key: Array) -> Array:
        return losses(weights, (inputs[batch], scores[batch], profiles), key).mean()

    return descend(loss, optimizer, (weights, state), rows, key)
