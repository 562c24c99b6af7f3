"""The memory contains prompts with the scores of answers, and finds the nearest neighbours of a new prompt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .network import Array

UNKNOWN = 255
"""The number that is stored for an unknown score."""
_FULL = 200
"""The stored score of a perfect answer. Other known scores are rounded to multiples of 1/200."""
_SAMPLED = 8
"""One of this number of prompts is in the sample from which the distance of the nearest prompts is estimated."""
_PRIOR = 5.0
"""The number of neighbours with a known score that count as much as the network's prediction."""


class Memory:
    """Prompts with the scores of the targets, of which some may be unknown.

    The attribute `keys` has the shape (prompts, dimensions), and the attribute `scores` the shape (prompts, targets).
    The attribute `count` is the number of neighbours, and the attribute `weight` is the share of the neighbours' mean
    score in a preference. In this mean, the network's prediction counts as five neighbours.
    """

    def __init__(self, keys: Array, scores: NDArray[np.uint8], count: int, weight: float) -> None:
        self.keys, self.scores, self.count, self.weight = keys, scores, count, weight
        self._half_squares = np.einsum("ij,ij->i", keys, keys) / np.float32(2)

    def blended(self, key: Array, targets: NDArray[np.intp], predicted: Array) -> Array:
        """Returns the predictions for targets, blended with the mean scores of the nearest neighbours of a prompt.

        The argument `targets` contains the column of each target in the attribute `scores`, or -1 if the memory does
        not know the target. The prediction for such a target does not change. No prediction changes if `weight` is 0 or
        if the memory has fewer than `count` prompts.
        """
        if not self.weight or len(self.keys) < self.count:
            return predicted
        stored = self.scores[self._nearest(key)][:, targets]
        known = (stored != UNKNOWN) & (targets >= 0)
        totals = np.where(known, stored, 0).sum(axis=0, dtype=np.float32) / np.float32(_FULL)
        means = (totals + np.float32(_PRIOR) * predicted) / (known.sum(axis=0) + np.float32(_PRIOR))
        blended: Array = (predicted + np.float32(self.weight) * (means - predicted)).astype(np.float32)
        return blended

    def _nearest(self, key: Array) -> NDArray[np.intp]:
        """Returns the positions of the `count` prompts whose keys are nearest to a key."""
        # The order of these numbers is the order of the distances.
        distances = self._half_squares - self.keys @ key
        last, sample = self.count - 1, distances[::_SAMPLED]
        if len(sample) <= last:
            return np.argpartition(distances, last)[: self.count]
        # At least `count` prompts are as near as the prompt with this position in the sample, and most prompts are not.
        close = np.flatnonzero(distances <= np.partition(sample, last)[last])
        return close[np.argpartition(distances[close], last)[: self.count]]


def stored_scores(scores: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Returns scores between 0 and 1 in the form that the memory stores. In `scores`, NaN is an unknown score."""
    return np.where(np.isnan(scores), UNKNOWN, np.rint(np.nan_to_num(scores) * _FULL)).astype(np.uint8)
