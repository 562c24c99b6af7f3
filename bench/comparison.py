"""Compares the figures of two revisions that were measured alternately, by the ratios new/old and their spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Figures = Mapping[str, float]
Round = tuple[Figures, Figures]
"""The figures of one round by their names: first those of the old revision, then those of the new revision."""
_HEAD = ("figure", "old", "new", "new/old", "minimum to maximum", "")
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Comparison:
    """The comparison of one figure: each revision's median over all rounds, and the ratio new/old of each round."""

    name: str
    old: float
    new: float
    ratios: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """Returns the conclusion that the spread of the ratios allows, or an empty text after a single round."""
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
    """Returns new/old. The ratio is 1 if both values are 0, and infinity if only the old value is 0."""
    if old == 0:
        return math.inf if new else 1.0
    return new / old


def report(old: str, new: str, rounds: Sequence[Round]) -> str:
    """Returns a table of the comparisons for a terminal, with the names of the revisions and the chance of error."""
    table = _aligned([_HEAD, *map(_cells, compare(rounds))])
    return f"Old: {old}. New: {new}. Rounds: {len(rounds)}.\n\n{table}\n\n{_chance_of_error(len(rounds))}"


def _chance_of_error(rounds: int) -> str:
    """Returns a sentence that says how often an unchanged figure differs in every round by chance."""
    if rounds == 1:
        return "One round has no spread and cannot distinguish a difference from noise. Use more --rounds."
    return (
        f"About 1 in {2 ** (rounds - 1)} of the unchanged figures is higher or lower in every round by chance. "
        "More --rounds make this rarer."
    )


def _cells(comparison: Comparison) -> tuple[str, ...]:
    ratios = comparison.ratios
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}" if len(ratios) > 1 else "one round"
    ratio = f"{statistics.median(ratios):.3f}"
    return comparison.name, _short(comparison.old), _short(comparison.new), ratio, spread, comparison.verdict


def _short(value: float) -> str:
    """Returns the value as a text with three significant digits, or as a whole number if the value is 100 or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
