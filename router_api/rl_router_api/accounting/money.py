"""Money arithmetic: pure functions of prices, tokens and US dollars, exact to the last digit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from functools import reduce

from ..config import Price
from .usage import Usage

FREE = Price()
NOTHING, _ONE = Decimal(0), Decimal(1)
# Wide enough that no product or sum of prices and tokens is ever rounded.
_EXACT = Context(prec=80)
_FINEST = Decimal("1e-18")
"""What a token costs at the smallest price there is, in US dollars."""


def cost_of(usage: Usage, price: Price) -> Decimal:
    """Returns US dollars, exact."""
    cached_price, cached = price.input if price.cached_input is None else price.cached_input, usage.cached
    millionths = _EXACT.multiply(price.input, usage.input - cached)
    millionths = _EXACT.fma(cached_price, cached, millionths)
    millionths = _EXACT.fma(price.output, usage.output, millionths)
    return shortest(_EXACT.add(millionths.scaleb(-6, _EXACT), price.request))


def worst_cost(price: Price, input_tokens: int, output_tokens: int) -> Decimal:
    """Returns what a call costs at most, in US dollars: nothing cached, every output token written."""
    dearest_input = max(price.input, price.cached_input or NOTHING)
    millionths = _EXACT.fma(price.output, output_tokens, _EXACT.multiply(dearest_input, input_tokens))
    return _EXACT.add(millionths.scaleb(-6, _EXACT), price.request)


def bought_tokens(dollars: Decimal, price: Price) -> int:
    """Returns the output tokens that so much pays for at most, at a price that is not 0."""
    with localcontext(_EXACT) as exact:
        exact.rounding = ROUND_FLOOR
        return int(dollars.scaleb(6) / price.output)


def share_of(dollars: Decimal, calls: int) -> Decimal:
    """Returns what each of so many calls may spend; rounded down, so that together they never spend more."""
    with localcontext(_EXACT) as exact:
        exact.rounding = ROUND_FLOOR
        return (dollars / calls).quantize(_FINEST)


def picodollars(dollars: Decimal) -> int:
    """Returns the whole picodollars that pay for it."""
    return math.ceil(dollars.scaleb(12, _EXACT))


def total(costs: Sequence[Decimal]) -> Decimal:
    """Returns the exact sum, as the shortest number if the costs are such numbers."""
    some = list(filter(None, costs))
    if len(some) == 1:
        return some[0]
    return shortest(reduce(_EXACT.add, some)) if some else NOTHING


def shortest(value: Decimal) -> Decimal:
    """Returns the same number without trailing zeros, so that it is written as the shortest plain JSON number."""
    plain = value.normalize(_EXACT)
    # If the last digit stands for more than ones, it would be written with an exponent.
    return plain.quantize(_ONE, context=_EXACT) if plain and plain == plain.to_integral_value() else plain
