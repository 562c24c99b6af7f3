"""Converts the goal `prefer` from an amount of US dollars to a word, and computes the unit for this conversion."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rl_router_policy import value

from ..config import Prefer, Target


def unit_of(targets: Iterable[Target]) -> float | None:
    """Returns the mean cost of 1,000 input tokens and 300 output tokens over the targets with a price, in US dollars.

    Returns None if no target has a price above 0.
    """
    prices = [target.price for target in targets]
    return value.unit([(float(price.input), float(price.output)) for price in prices if price is not None])


def word_for(prefer: float | Decimal, unit: float | None) -> Prefer:
    """Returns the word whose worth of a good answer is closest to `prefer` US dollars.

    The parameter `unit` is the result of the function `unit_of`. Returns `balanced` if `unit` is None.
    """
    return value.closest_word(float(prefer), unit)
