"""Exact money arithmetic: pure functions of prices, tokens and US dollars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from functools import reduce

from ..config import Price
from .usage import Usage

FREE = Price()
NOTHING, _ONE = Decimal(0), Decimal(1)
# Precise enough that no product or sum of prices and tokens is rounded.
_EXACT = Context(prec=80)
_FINEST = Decimal("1e-18")
"""The smallest possible price of a token, in US dollars."""


def cost_of(usage: Usage, price: Price) -> Decimal:
    """Returns the exact cost of a call in US dollars."""
    cached_price, cached = price.input if price.cached_input is None else price.cached_input, usage.cached
    millionths = _EXACT.multiply(price.input, usage.input - cached)
    millionths = _EXACT.fma(cached_price, cached, millionths)
    millionths = _EXACT.fma(price.output, usage.output, millionths)
    return shortest(_EXACT.add(millionths.scaleb(-6, _EXACT), price.request))


def worst_cost(price: Price, input_tokens: int, output_tokens: int) -> Decimal:
    """Returns the maximum cost of a call in US dollars, with all input at the higher of the two input prices."""
    dearest_input = max(price.input, price.cached_input or NOTHING)
    millionths = _EXACT.fma(price.output, output_tokens, _EXACT.multiply(dearest_input, input_tokens))
    return _EXACT.add(millionths.scaleb(-6, _EXACT), price.request)


def bought_tokens(dollars: Decimal, price: Price) -> int:
    """Returns the maximum number of output tokens that `dollars` pay for. The output price must not be 0."""
    with localcontext(_EXACT) as exact:
        exact.rounding = ROUND_FLOOR
        return int(dollars.scaleb(6) / price.output)


def share_of(dollars: Decimal, calls: int) -> Decimal:
    """Returns `dollars` divided by `calls`. Rounds down, so that the sum of all shares never exceeds `dollars`."""
    with localcontext(_EXACT) as exact:
        exact.rounding = ROUND_FLOOR
        return (dollars / calls).quantize(_FINEST)


def picodollars(dollars: Decimal) -> int:
    """Returns an amount in whole picodollars (1e-12 US dollars), rounded up."""
    return math.ceil(dollars.scaleb(12, _EXACT))


def total(costs: Sequence[Decimal]) -> Decimal:
    """Returns the exact sum of the costs. It has no trailing zeros if the costs have none."""
    nonzero = list(filter(None, costs))
    if len(nonzero) == 1:
        return nonzero[0]
    return shortest(reduce(_EXACT.add, nonzero)) if nonzero else NOTHING


def shortest(value: Decimal) -> Decimal:
    """Returns the same number without trailing zeros and without an exponent, for JSON."""
    plain = value.normalize(_EXACT)
    # `normalize` writes multiples of ten with an exponent.
    return plain.quantize(_ONE, context=_EXACT) if plain and plain == plain.to_integral_value() else plain
