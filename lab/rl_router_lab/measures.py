"""Measures of a router on prompts that every model of the pool answered. docs/learning.md defines each measure.

Arrays of scores and costs have the shape (prompts, models), unless a docstring names another shape. Scores are between
0 and 1. Costs are in US dollars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WEIGHTS: Array = np.concatenate([[0.0], np.geomspace(1e-2, 1e6, 160)])
"""The weights of the cost, per US dollar. Each weight gives one point of a router's curve."""


@dataclass(frozen=True)
class Hull:
    """The concave, non-decreasing upper hull of points. The attributes have one number per corner of the hull."""

    costs: Array
    qualities: Array

    def at(self, cost: Array) -> Array:
        """Returns the quality of the hull at each cost."""
        return np.interp(cost, self.costs, self.qualities)

    def cost_of(self, quality: float) -> float | None:
        """Returns the lowest cost at which the hull reaches a quality, or None if the hull never reaches it."""
        if quality > self.qualities[-1]:
            return None
        return float(np.interp(quality, self.qualities, self.costs))

    def area(self, low: float, high: float) -> float:
        """Returns the mean quality of the hull between two costs, or the quality at `low` if `high` is not above `low`.
        The mean is exact, because the hull is linear between its corners."""
        if high <= low:
            return float(self.at(np.array([low]))[0])
        inside = (self.costs > low) & (self.costs < high)
        costs = np.concatenate([[low], self.costs[inside], [high]])
        qualities = self.at(costs)
        return float(np.sum(np.diff(costs) * (qualities[1:] + qualities[:-1]) / 2) / (high - low))


def hull(costs: Array, qualities: Array) -> Hull:
    """Returns the upper hull of the points (cost, quality)."""
    corners: list[tuple[float, float]] = []
    for index in np.lexsort((-qualities, costs)):
        point = (float(costs[index]), float(qualities[index]))
        if corners and point[1] <= corners[-1][1]:
            continue
        while len(corners) > 1 and _is_below(corners[-1], corners[-2], point):
            corners.pop()
        corners.append(point)
    return Hull(np.array([cost for cost, _ in corners]), np.array([quality for _, quality in corners]))


def _is_below(middle: tuple[float, float], left: tuple[float, float], right: tuple[float, float]) -> bool:
    """Returns whether the point `middle` lies on or below the line from `left` to `right`."""
    return (middle[1] - left[1]) * (right[0] - left[0]) <= (right[1] - left[1]) * (middle[0] - left[0])


def choices(preferences: Array, expected_costs: Array) -> NDArray[np.intp]:
    """Returns the index of the chosen model for each weight and prompt: (weights, prompts).

    If several models have the highest preference minus weighted cost, the first of them is chosen. The models must be
    in the order of their names.
    """
    return np.stack([np.argmax(preferences - weight * expected_costs, axis=1) for weight in WEIGHTS])


@dataclass(frozen=True)
class Comparison:
    """The measures of a router's curve and of the models as constants.

    The attribute `match` is None if the router does not reach the best constant's quality, or if the best constant is
    free and the router reaches its quality only at a cost.
    """

    aiq: float
    constants_aiq: float
    match: float | None
    best_quality: float
    highest_quality: float

    @property
    def gain(self) -> float:
        """The AIQ of the router minus the AIQ of the constants."""
        return self.aiq - self.constants_aiq

    @property
    def quality_gain(self) -> float:
        """The highest quality of the router minus the quality of the best constant."""
        return self.highest_quality - self.best_quality


@dataclass(frozen=True)
class Routed:
    """The answers that a router chooses at each weight of the cost, and the answers of all models.

    The shape of `chosen_scores` and `chosen_costs` is (weights, prompts). The shape of `scores` and `costs` is
    (prompts, models).
    """

    chosen_scores: Array
    chosen_costs: Array
    scores: Array
    costs: Array

    def compare(self, counts: Array | None = None) -> Comparison:
        """Compares the router with the models as constants.

        The argument `counts` says how often each prompt counts (once if None).
        """
        return self.compare_each(np.ones((1, len(self.scores))) if counts is None else counts[None])[0]

    def compare_each(self, counts: Array) -> list[Comparison]:
        """Compares the router with the constants for each row of `counts`: (resamples, prompts)."""
        shares = counts / counts.sum(axis=1, keepdims=True)
        points = (
            shares @ self.chosen_costs.T,
            shares @ self.chosen_scores.T,
            shares @ self.costs,
            shares @ self.scores,
        )
        return [_comparison(*each) for each in zip(*points, strict=True)]


def _comparison(costs: Array, scores: Array, constant_costs: Array, constant_scores: Array) -> Comparison:
    """Compares the points of a router's curve with the points of the constants."""
    router = hull(costs, scores)
    low, high = float(constant_costs.min()), float(constant_costs.max())
    best = min(range(len(constant_costs)), key=lambda model: (-constant_scores[model], constant_costs[model]))
    reached = router.cost_of(float(constant_scores[best]))
    return Comparison(
        aiq=router.area(low, high),
        constants_aiq=hull(constant_costs, constant_scores).area(low, high),
        match=None if reached is None else _ratio(reached, float(constant_costs[best])),
        best_quality=float(constant_scores[best]),
        highest_quality=float(router.qualities[-1]),
    )


def _ratio(cost: float, of: float) -> float | None:
    """Returns the ratio of two costs. If the second cost is 0, returns 1 if the first cost is 0 too, or else None."""
    if of:
        return cost / of
    return None if cost else 1.0


def routed(chosen: NDArray[np.intp], scores: Array, costs: Array) -> Routed:
    """Returns the answers that a router chooses. The argument `chosen` has the shape (weights, prompts)."""
    prompts = np.arange(len(scores))
    return Routed(scores[prompts, chosen], costs[prompts, chosen], scores, costs)


def performance_gap_recovered(differences: Array, strong: Array, weak: Array) -> float:
    """Returns the average performance gap recovered (APGR) by routing between a strong and a weak model.

    The argument `differences` contains the preference for the strong model minus the preference for the weak model.
    The arguments `strong` and `weak` contain the models' scores. All arguments have the shape (prompts).
    """
    ranks = np.argsort(np.argsort(-differences, kind="stable"), kind="stable")
    shares = np.linspace(0, 1, 11)
    calls = np.rint(shares * len(differences))
    accuracies = np.array([np.where(ranks < count, strong, weak).mean() for count in calls])
    area = float(np.sum(np.diff(shares) * (accuracies[1:] + accuracies[:-1]) / 2))
    return float((area - weak.mean()) / (strong.mean() - weak.mean()))
