"""Converts the goal `prefer`, which is a word or a number of US dollars, and computes the unit of such numbers."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rl_router_policy import value

from ..config import Prefer, Target


def unit_of(targets: Iterable[Target]) -> float | None:
    """Returns the mean cost of a usual call over the targets with a price, in US dollars.

    Returns None if no target has a price above 0.
    """
    prices = [target.price for target in targets]
    return value.unit([(float(price.input), float(price.output)) for price in prices if price is not None])


def word_for(prefer: float | Decimal, unit: float | None) -> Prefer:
    """Returns the word whose worth of a good answer is closest to `prefer` US dollars.

    The parameter `unit` is the unit of this worth in US dollars. Returns `balanced` if `unit` is None, because no
    target has a price above 0.
    """
    return value.closest_word(float(prefer), unit)
