"""Tunes fixed rules for several calls on a table with answers. A policy of several turns must be better than the rules.

A rule names the models to call, and their order is the same for each prompt. For each V, the tuning chooses the rule
with the highest mean utility.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from ..table import Array
from .turns import Tree

THRESHOLDS: Array = np.array([0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.01])
"""The tried thresholds of the verifier's probability. The first never asks again, and the last always does."""

Order = tuple[int, int, int]


@dataclass(frozen=True)
class Outcome:
    """The scores of the answers that go out, the costs of all calls in units, and the numbers of calls: (prompts)."""

    scores: Array
    costs: Array
    calls: Array


def outcome_of(tree: Tree, at: NDArray[np.intp]) -> Outcome:
    """Returns the outcome if the set of models at the position `at` is called for each prompt."""
    prompts, called = np.arange(len(at)), tree.sets.members[at].sum(axis=1)
    return Outcome(tree.scores[prompts, at], tree.spent[prompts, at], called.astype(np.float64))


@dataclass(frozen=True)
class Agreeing:
    """Calls two models, and the third model if the final answers of the first two differ.

    The answer of the first model that another model agrees with goes out, or else the answer of the third model.
    """

    order: Order

    def outcome(self, tree: Tree) -> Outcome:
        """Returns what the rule does on a table."""
        first, second, third = self.order
        same = tree.answers.pairs.same[:, 0]
        scores, costs = tree.scores[:, tree.sets.children[0]], tree.costs
        agreed = same[:, first, second]
        confirmed = np.where(same[:, second, third], scores[:, second], scores[:, third])
        confirmed = np.where(agreed | same[:, first, third], scores[:, first], confirmed)
        spent = costs[:, first] + costs[:, second] + np.where(agreed, 0, costs[:, third])
        return Outcome(confirmed, spent, (3 - agreed).astype(np.float64))


@dataclass(frozen=True)
class Thresholds:
    """Calls the next model of an order while the verifier's highest probability is below the call's threshold."""

    order: Order
    first: float
    second: float

    def outcome(self, tree: Tree) -> Outcome:
        """Returns what the rule does on a table."""
        sets = _path(tree, self.order)
        again = _highest(tree, sets[0]) < self.first
        third = again & (_highest(tree, sets[1]) < self.second)
        return outcome_of(tree, np.where(third, sets[2], np.where(again, sets[1], sets[0])))


def tuned_agreement(tree: Tree, cheap: Sequence[int], values: Sequence[float]) -> list[Agreeing]:
    """Returns the best rule of agreement for each V. Its first two models are among the models at `cheap`."""
    rules = [Agreeing(order) for order in _orders(tree) if order[0] in cheap and order[1] in cheap]
    outcomes = [rule.outcome(tree) for rule in rules]
    means = np.array([(each.scores.mean(), each.costs.mean()) for each in outcomes])
    return [rules[int((means[:, 0] - means[:, 1] / value).argmax())] for value in values]


def tuned_thresholds(tree: Tree, values: Sequence[float]) -> list[Thresholds]:
    """Returns the best order and the best thresholds for each V."""
    orders = list(_orders(tree))
    means = np.stack([_means(tree, order) for order in orders])
    best = [np.unravel_index((means[:, 0] - means[:, 1] / value).argmax(), means[:, 0].shape) for value in values]
    return [Thresholds(orders[at], float(THRESHOLDS[one]), float(THRESHOLDS[two])) for at, one, two in best]


def _orders(tree: Tree) -> Iterator[Order]:
    yield from permutations(range(tree.costs.shape[1]), 3)


def _means(tree: Tree, order: Order) -> Array:
    """Returns the mean score and the mean cost for each pair of thresholds: (2, first, second)."""
    one, two, three = _path(tree, order)
    again = (_highest(tree, one) < THRESHOLDS[:, None]).astype(np.float64)
    third = (_highest(tree, two) < THRESHOLDS[:, None]).astype(np.float64)
    found = []
    for known in (tree.scores, tree.spent):
        second_gain, third_gain = known[:, two] - known[:, one], known[:, three] - known[:, two]
        found.append(known[:, one].sum() + (again @ second_gain)[:, None] + again @ (third * third_gain).T)
    means: Array = np.stack(found) / len(tree.scores)
    return means


def _path(tree: Tree, order: Order) -> tuple[int, int, int]:
    """Returns the positions of the sets after each call."""
    children = tree.sets.children
    one = int(children[0, order[0]])
    two = int(children[one, order[1]])
    return one, two, int(children[two, order[2]])


def _highest(tree: Tree, at: int) -> Array:
    members: NDArray[np.bool_] = tree.sets.members[at]
    highest: Array = tree.answers.probabilities[:, at, members].max(axis=1)
    return highest
