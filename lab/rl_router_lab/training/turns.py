"""Trains a policy of several turns on a table with answers, by the exact policy gradient.

The policy draws each call from a softmax of its values. The verifier compares all answers with each other, so what the
policy sees depends on the set of called models and not on their order. So the expected utility is a finite sum over
the sets of called models, and its gradient is exact. Each step uses all prompts and the mean over all values of V.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray
from rl_router_policy.agreement import Agreement
from rl_router_policy.turns import FIRST_NAMES, NEXT_NAMES, Answers, Outlook, Turns, first_numbers, next_numbers
from rl_router_policy.value import STEPS

from ..table import Array as Numbers
from .verifier import FittedVerifier

VALUES = (*STEPS, 500, 5_000)
"""The values of V in units that a policy is trained for."""
MAX_CALLS = 3
_USUAL = 20
"""The V in units at which the first weights of the training are fitted."""
_TEMPERATURE = 0.003
"""The temperature of the softmax. If it is high, too many calls are drawn, because a stop is one choice of many."""
_STEPS, _RATE = 40, 0.02
_RESCUES = (0.0, 0.2, 0.4, 0.6, 0.8)
_PENALTY = 1.0
"""The penalty of the coefficients of the ridge regression."""
_OPTIMIZER = optax.adam(_RATE)


@dataclass(frozen=True)
class Sets:
    """All sets of at most three called models, the smaller sets first.

    The attribute `members` says which models are in each set: (sets, models). The attribute `children` contains the
    position of the set with one model more: (sets, models). It is -1 if the model is in the set, or if the set is full.
    """

    members: NDArray[np.bool_]
    children: NDArray[np.intp]

    def of_size(self, size: int) -> slice:
        """Returns where the sets with `size` models are."""
        found = np.where(self.members.sum(axis=1) == size)[0]
        return slice(int(found[0]), int(found[-1]) + 1)


def sets_of(models: int, largest: int = MAX_CALLS) -> Sets:
    """Returns the sets of at most `largest` of some models."""
    sets = [each for size in range(min(largest, models) + 1) for each in combinations(range(models), size)]
    positions = {each: at for at, each in enumerate(sets)}
    members = np.array([[model in each for model in range(models)] for each in sets])
    children = [[positions.get(tuple(sorted({*each, m})), -1) for m in range(models)] for each in sets]
    return Sets(members, np.where(members, -1, np.array(children)))


@dataclass(frozen=True)
class Tree:
    """What happens on a table for each set of called models.

    The attributes `qualities`, `preferences`, `expected` (costs) and `costs` (real costs) have the shape (prompts,
    models). Costs are in units. The attribute `scores` contains the score of the answer that goes out after a stop, and
    `spent` the real costs of the calls: (prompts, sets).
    """

    sets: Sets
    answers: Answers
    qualities: Numbers
    preferences: Numbers
    expected: Numbers
    costs: Numbers
    scores: Numbers
    spent: Numbers

    def outlook(self, value: Numbers | float) -> Outlook:
        """Returns what is expected of the models if V is `value` units."""
        return Outlook(self.qualities, self.preferences, self.expected / value)

    def answers_of(self, sets: slice) -> Answers:
        """Returns the answers for some sets: (prompts, sets, models)."""
        found = self.answers
        return Answers(found.completed[:, sets], found.probabilities[:, sets], found.pairs)


@dataclass(frozen=True)
class Forecast:
    """What is known of the prompts of a table before the first call: (prompts, models). Costs are in units."""

    preferences: Numbers
    expected: Numbers
    costs: Numbers


def tree_of(judged: FittedVerifier, forecast: Forecast) -> Tree:
    """Returns the tree of a table. The verifier's probabilities must be of prompts that it was not trained on."""
    answers, prompts = judged.judged, np.arange(len(judged.parts))
    sets = sets_of(answers.scores.shape[1])
    found = np.stack([judged.probabilities(each[None, None, :]) for each in sets.members], axis=1)
    pairs = [getattr(answers.pairs, name)[:, None] for name in ("same", "comparable", "similar")]
    seen = Answers(np.broadcast_to(sets.members, found.shape), found, Agreement(*pairs))
    scores = answers.scores[prompts[:, None], seen.best()]
    scores[:, 0] = 0
    spent = forecast.costs @ sets.members.T
    return Tree(sets, seen, answers.qualities, forecast.preferences, forecast.expected, forecast.costs, scores, spent)


def played(turns: Turns, tree: Tree, value: float, calls: int) -> NDArray[np.intp]:
    """Returns the position of the set of models that the policy calls for each prompt, at V = `value` units."""
    outlook = tree.outlook(value)
    at: NDArray[np.intp] = tree.sets.children[0][turns.first_values(outlook, calls).argmax(axis=1)]
    every = outlook.of_sets()
    for size in range(1, min(calls, tree.sets.members.shape[1])):
        sets = tree.sets.of_size(size)
        values = turns.next_values(every, tree.answers_of(sets), calls - size)
        values = np.where(tree.sets.members[sets], -np.inf, values)
        inside = np.where((sets.start <= at) & (at < sets.stop))[0]
        mine = values[inside, at[inside] - sets.start]
        called = tree.sets.children[at[inside], mine.argmax(axis=1)]
        at[inside] = np.where(mine.max(axis=1) > 0, called, at[inside])
    return at


def train_turns(tree: Tree) -> Turns:
    """Returns a policy of at most two or three calls.

    The training begins with the weights that predict how much a call improves the score of the answer that goes out. At
    a low temperature the gradient cannot find out whether the first call should be cheaper. So several weights of the
    number `rescue` are tried first.
    """
    layers = [layers_of(tree, calls, value) for calls in range(2, MAX_CALLS + 1) for value in VALUES]
    starts = [jnp.concatenate([jnp.array([rescue, 0, 0]), _floats(_expected_gains(tree))]) for rescue in _RESCUES]
    weights = max(starts, key=lambda start: sum([float(_utility(start, each)) for each in layers]))
    state = _OPTIMIZER.init(weights)
    for _ in range(_STEPS):
        slope = sum([gradient(weights, each) for each in layers]) / len(layers)
        updates, state = _OPTIMIZER.update(-slope, state)
        weights = optax.apply_updates(weights, updates)
    found = np.asarray(weights, np.float32)
    return Turns(found[: len(FIRST_NAMES)], found[len(FIRST_NAMES) :])


def myopic(tree: Tree) -> Turns:
    """Returns the policy that the training begins with. It calls a model if the expected gain is above the cost."""
    return Turns(np.zeros(len(FIRST_NAMES), np.float32), _expected_gains(tree).astype(np.float32))


def _expected_gains(tree: Tree) -> Numbers:
    """Returns the weights that predict the gain in the score of the answer that goes out, by a ridge regression."""
    products: Numbers = np.eye(len(NEXT_NAMES)) * _PENALTY
    targets: Numbers = np.zeros(len(NEXT_NAMES))
    for size in range(1, min(MAX_CALLS, tree.sets.members.shape[1])):
        sets = tree.sets.of_size(size)
        numbers = next_numbers(tree.outlook(_USUAL).of_sets(), tree.answers_of(sets), size < MAX_CALLS - 1)
        children = tree.sets.children[sets]
        gains = tree.scores[:, children] - tree.scores[:, sets, None]
        inputs, outputs = numbers[:, children >= 0], gains[:, children >= 0]
        products += np.einsum("psi,psj->ij", inputs, inputs, optimize=True).astype(np.float64)
        targets += np.einsum("psi,ps->i", inputs, outputs)
    return np.linalg.solve(products, targets).astype(np.float64)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Layers:
    """A tree at a V in the form that the gradient reads, for policies with a maximum number of calls.

    The attribute `first` contains the numbers of the models for the first call, and `alone` the value of each model as
    the only call. The attribute `numbers` contains the numbers of each set that is not empty and not full, by the size
    of the set. The attribute `children` contains the position of each larger set among the sets of its size, and
    `utilities` the utility of a stop.
    """

    first: Array
    alone: Array
    prices: Array
    numbers: list[Array]
    children: list[Array]
    utilities: list[Array]


def layers_of(tree: Tree, calls: int, value: float) -> Layers:
    """Returns the layers of a tree for policies with at most `calls` calls, at V = `value` units."""
    outlook, sizes = tree.outlook(value), range(1, min(calls, tree.sets.members.shape[1]))
    here = [tree.sets.of_size(size) for size in (*sizes, sizes.stop)]
    numbers = [
        next_numbers(outlook.of_sets(), tree.answers_of(each), size < calls - 1)
        for size, each in zip(sizes, here, strict=False)
    ]
    children = [
        np.where(tree.sets.children[each] < 0, -1, tree.sets.children[each] - after.start)
        for each, after in pairwise(here)
    ]
    utilities = [tree.scores[:, each] - tree.spent[:, each] / value for each in here]
    return Layers(
        _floats(first_numbers(outlook)),
        _floats(outlook.preferences - outlook.prices),
        _floats(outlook.prices),
        [_floats(each) for each in numbers],
        [jnp.asarray(each) for each in children],
        [_floats(each) for each in utilities],
    )


def _floats(numbers: Numbers) -> Array:
    return jnp.asarray(numbers, jnp.float32)


def expected_utility(weights: Array, layers: Layers) -> Array:
    """Returns the mean expected utility of the softmax policy over the prompts.

    The argument `weights` contains the weights for the first call and then those for later calls.
    """
    first, following = weights[: len(FIRST_NAMES)], weights[len(FIRST_NAMES) :]
    reached = jax.nn.softmax((layers.alone + layers.first @ first) / _TEMPERATURE, axis=-1)
    total = jnp.zeros(len(reached))
    for depth, numbers in enumerate(layers.numbers):
        children = layers.children[depth]
        stopping, called = _drawn(numbers @ following - layers.prices[:, None], children)
        total = total + (reached * stopping * layers.utilities[depth]).sum(axis=-1)
        reached = _moved(reached[..., None] * called, children, layers.utilities[depth + 1].shape[1])
    mean: Array = (total + (reached * layers.utilities[-1]).sum(axis=-1)).mean()
    return mean


_utility = jax.jit(expected_utility)
gradient = jax.jit(jax.grad(expected_utility))


def _drawn(values: Array, children: Array) -> tuple[Array, Array]:
    """Returns the probability of a stop and of each call for each set."""
    logits = jnp.where(children >= 0, values / _TEMPERATURE, -1e9)
    drawn = jax.nn.softmax(jnp.concatenate([jnp.zeros((*logits.shape[:-1], 1)), logits], axis=-1), axis=-1)
    return drawn[..., 0], drawn[..., 1:]


def _moved(flows: Array, children: Array, size: int) -> Array:
    """Returns the probability that each set of the next size is reached."""
    moved: Array = jnp.zeros((len(flows), size)).at[:, jnp.maximum(children, 0)].add(flows)
    return moved
