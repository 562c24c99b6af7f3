"""The value V of a good answer in US dollars. The policy compares quality and cost by V."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Word = Literal["cost", "balanced", "quality"]
INPUT_TOKENS, OUTPUT_TOKENS = 1_000, 300
"""The tokens of the call whose mean cost over the targets with a price is one unit."""
STEPS = (1, 2, 5, 10, 20, 50, 100)
"""The values that V can have, in units."""
UNITS: dict[Word, int] = {"cost": 1, "balanced": 5, "quality": 50}
"""The value of a good answer for each word of `prefer`, in units."""


def unit(prices: Sequence[tuple[float, float]]) -> float | None:
    """Returns the unit in US dollars: the mean cost of a usual call over the targets with a price.

    The argument contains the targets' prices of input and output in US dollars per million tokens. Returns None if no
    target has a price above 0.
    """
    if not prices:
        return None
    costs = [(INPUT_TOKENS * input_ + OUTPUT_TOKENS * output) / 1e6 for input_, output in prices]
    return sum(costs) / len(costs) or None


def worth(prefer: Word | float, unit_: float | None) -> float | None:
    """Returns V in US dollars, rounded to a number of units in `STEPS`. Returns None if the unit is unknown.

    The argument `prefer` is one of the words of `UNITS`, or V in US dollars.
    """
    if unit_ is None:
        return None
    units = UNITS[prefer] if isinstance(prefer, str) else min(STEPS, key=lambda step: _ratio(step, prefer / unit_))
    return units * unit_


def closest_word(worth_: float, unit_: float | None) -> Word:
    """Returns the word of `prefer` whose V is closest to `worth_` US dollars, or `balanced` if the unit is unknown."""
    if unit_ is None:
        return "balanced"
    units = worth_ / unit_
    return min(UNITS, key=lambda word: _ratio(UNITS[word], units))


def _ratio(one: float, other: float) -> float:
    """Returns the larger number divided by the smaller number. The number `other` counts as at least 1e-12."""
    low, high = sorted((one, max(other, 1e-12)))
    return high / low
