"""Compares the figures of two revisions of the code. Each round measures both revisions.

For each figure, the comparison contains the ratio of the new value to the old value in each round.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Figures = Mapping[str, float]
Round = tuple[Figures, Figures]
"""The figures of one round by their names: the figures of the old revision, then the figures of the new revision."""
_HEAD = ("figure", "old", "new", "new/old", "minimum to maximum", "")
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Comparison:
    """The comparison of one figure: the median of each revision over all rounds, and each round's ratio new/old."""

    name: str
    old: float
    new: float
    ratios: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """Returns whether the new value was higher than the old value in every round, lower in every round, or neither.

        Returns an empty text after a single round.
        """
        if len(self.ratios) == 1:
            return ""
        if min(self.ratios) <= 1 <= max(self.ratios):
            return "no difference seen"
        return f"{'higher' if min(self.ratios) > 1 else 'lower'} in every round"


def alternate(pair: Sequence[_Item], round_: int) -> Sequence[_Item]:
    """Returns the pair, reversed in every second round, so that neither revision is always measured first."""
    return pair[::-1] if round_ % 2 else pair


def compare(rounds: Sequence[Round]) -> list[Comparison]:
    """Returns one comparison for each figure. All rounds must contain the same figures."""
    return [_comparison(name, [(old[name], new[name]) for old, new in rounds]) for name in rounds[0][0]]


def _comparison(name: str, values: Sequence[tuple[float, float]]) -> Comparison:
    old, new = (statistics.median(column) for column in zip(*values, strict=True))
    return Comparison(name, old, new, tuple(_ratio(*value) for value in values))


def _ratio(old: float, new: float) -> float:
    """Returns the ratio of the new value to the old value.

    The ratio is 1 if the old value and the new value are 0, and infinity if only the old value is 0.
    """
    if old == 0:
        return math.inf if new else 1.0
    return new / old


def report(old: str, new: str, rounds: Sequence[Round]) -> str:
    """Returns the comparison of two revisions as a text for a terminal.

    The text contains the names of the revisions, the number of rounds, a table of the figures, and a note on noise.
    """
    table = _aligned([_HEAD, *map(_cells, compare(rounds))])
    return f"Old: {old}. New: {new}. Rounds: {len(rounds)}.\n\n{table}\n\n{_chance_of_error(len(rounds))}"


def _chance_of_error(rounds: int) -> str:
    """Returns a note on the chance that a figure is higher or lower in every round only because of noise."""
    if rounds == 1:
        return "One round cannot distinguish a real difference from noise. Set --rounds to a higher number."
    return (
        f"About 1 in {2 ** (rounds - 1)} unchanged figures is higher in every round or lower in every round by chance. "
        "Set --rounds to a higher number to reduce the chance of a wrong conclusion."
    )


def _cells(comparison: Comparison) -> tuple[str, ...]:
    ratios = comparison.ratios
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}" if len(ratios) > 1 else "one round"
    ratio = f"{statistics.median(ratios):.3f}"
    return comparison.name, _short(comparison.old), _short(comparison.new), ratio, spread, comparison.verdict


def _short(value: float) -> str:
    """Returns the value with at most three significant digits, or as a whole number if the value is 100 or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
