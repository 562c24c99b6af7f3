"""Compares the figures of two revisions that were measured in turn: the ratio new/old of each, with its spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Figures = Mapping[str, float]
Round = tuple[Figures, Figures]
"""The figures of the old revision and of the new one, by name, from one round."""
_HEAD = ("figure", "old", "new", "new/old", "minimum to maximum", "")
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Comparison:
    """One figure: the medians of both revisions, and new/old of each round."""

    name: str
    old: float
    new: float
    ratios: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """Returns what the spread of the ratios allows to conclude: nothing, if it is one ratio."""
        if len(self.ratios) == 1:
            return ""
        if min(self.ratios) <= 1 <= max(self.ratios):
            return "no difference seen"
        return f"{'higher' if min(self.ratios) > 1 else 'lower'} in every round"


def in_turn(pair: Sequence[_Item], round_: int) -> Sequence[_Item]:
    """Returns the pair, reversed in every second round, so that neither revision is always measured first."""
    return pair[::-1] if round_ % 2 else pair


def compare(rounds: Sequence[Round]) -> list[Comparison]:
    """Returns a comparison for each figure of the first round; every round has the same figures."""
    return [_comparison(name, [(old[name], new[name]) for old, new in rounds]) for name in rounds[0][0]]


def _comparison(name: str, values: Sequence[tuple[float, float]]) -> Comparison:
    old, new = (statistics.median(each) for each in zip(*values, strict=True))
    return Comparison(name, old, new, tuple(_ratio(*each) for each in values))


def _ratio(old: float, new: float) -> float:
    """Returns new/old; 1 if both are 0, infinity if only the old value is 0."""
    if old == 0:
        return math.inf if new else 1.0
    return new / old


def report(old: str, new: str, rounds: Sequence[Round]) -> str:
    """Returns the comparisons as a table for a terminal, with what is compared and how far to trust it."""
    table = _aligned([_HEAD, *map(_cells, compare(rounds))])
    return f"Old: {old}. New: {new}. Rounds: {len(rounds)}.\n\n{table}\n\n{_trust(len(rounds))}"


def _trust(rounds: int) -> str:
    """Returns how often a figure that did not change is higher, or lower, in every round: each round is a coin toss."""
    if rounds == 1:
        return "One round has no spread, so it cannot tell a difference from noise: use more --rounds."
    return (
        f"Of the figures that did not change, about 1 in {2 ** (rounds - 1)} is still higher or lower in every round, "
        "by chance: the more --rounds, the fewer."
    )


def _cells(comparison: Comparison) -> tuple[str, ...]:
    ratios = comparison.ratios
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}" if len(ratios) > 1 else "one round"
    ratio = f"{statistics.median(ratios):.3f}"
    return comparison.name, _short(comparison.old), _short(comparison.new), ratio, spread, comparison.verdict


def _short(value: float) -> str:
    """Returns three digits, or all digits before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
