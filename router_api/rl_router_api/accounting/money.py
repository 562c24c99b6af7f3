"""Computes costs exactly, with pure functions of prices, token counts and amounts in US dollars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from functools import reduce

from msgspec import Struct

from ..config import Price, Rates
from .usage import Usage

FREE = Price()
NO_RATES = Rates()
_RATES = tuple(Rates.model_fields)
NOTHING, _ONE = Decimal(0), Decimal(1)
# With 80 digits, no product or sum of prices and tokens is rounded.
_EXACT = Context(prec=80)
CHEAP_TIERS = ("default", "flex")
"""The service tiers that a request with a money limit may use, unless a target's `params.allow` permits others."""
_FINEST = Decimal("1e-18")
"""The smallest price above zero that a token can have, in US dollars. `share_of` and `whole_units` round down to this
unit."""


class Charges(Struct, frozen=True, gc=False):
    """The token prices of a request in US dollars per million tokens. Prices that are not configured have defaults."""

    input: Decimal
    cached: Decimal
    written: Decimal
    written_long: Decimal
    output: Decimal

    @property
    def dearest_input(self) -> Decimal:
        return max(self.input, self.cached, self.written, self.written_long)


def charges_of(price: Price, input_tokens: int, service_tier: str | None = None) -> Charges:
    """Returns the token prices of a request with `input_tokens` input tokens and the service tier `service_tier`.

    If the service tier has no prices of its own, the prices without a service tier apply.
    """
    if not price.tiers and not price.service_tiers:
        return _with_defaults(price)
    tiers = [tier for tier in price.tiers if input_tokens > tier.above_tokens]
    service = price.service_tiers.get(service_tier, NO_RATES) if service_tier else NO_RATES
    return _charges(price, max(tiers, key=lambda tier: tier.above_tokens, default=NO_RATES), service)


def _charges(price: Price, *rates: Rates) -> Charges:
    """Returns the prices in `price`, changed by `rates`.

    Each element of `rates`, in order, replaces the prices that the element configures.
    """
    replaced = {name: rate for each in rates for name in _RATES if (rate := getattr(each, name)) is not None}
    return _with_defaults(price.model_copy(update=replaced))


def _with_defaults(price: Price) -> Charges:
    plain, cached, written, long = price.input, price.cached_input, price.cache_write, price.cache_write_long
    if cached is None:
        cached = plain
    if written is None:
        written = plain
    return Charges(plain, cached, written, written if long is None else long, price.output)


def dearest_charges(price: Price, input_tokens: int) -> tuple[Decimal, Decimal]:
    """Returns the highest input price and the highest output price that may apply to a request.

    The request has at most `input_tokens` input tokens, and no service tier or a service tier in `CHEAP_TIERS`.
    """
    if not price.tiers and not price.service_tiers:
        caches = (price.cached_input, price.cache_write, price.cache_write_long)
        return max([price.input, *[rate for rate in caches if rate is not None]]), price.output
    tiers = [tier for tier in price.tiers if input_tokens > tier.above_tokens]
    services = [price.service_tiers[name] for name in CHEAP_TIERS if name in price.service_tiers]
    # NO_RATES leaves the prices unchanged, as for a request to which no tier or no service tier applies.
    every = [_charges(price, tier, service) for tier in (NO_RATES, *tiers) for service in (NO_RATES, *services)]
    return max([charges.dearest_input for charges in every]), max([charges.output for charges in every])


def has_output_price(price: Price) -> bool:
    """Returns whether the base price, a price tier or a service tier in `CHEAP_TIERS` has an output price above 0."""
    services = [price.service_tiers[name] for name in CHEAP_TIERS if name in price.service_tiers]
    return bool(price.output) or any(rates.output for rates in (*price.tiers, *services))


def cost_of(usage: Usage, price: Price, service_tier: str | None = None) -> Decimal:
    """Returns the exact cost of a call with the token usage `usage`, in US dollars."""
    charges = charges_of(price, usage.input, service_tier)
    cached, written, long = usage.cached, usage.written, usage.written_long
    millionths = _EXACT.multiply(charges.input, usage.input - cached - written - long)
    millionths = _EXACT.fma(charges.output, usage.output, millionths)
    if cached:
        millionths = _EXACT.fma(charges.cached, cached, millionths)
    if written:
        millionths = _EXACT.fma(charges.written, written, millionths)
    if long:
        millionths = _EXACT.fma(charges.written_long, long, millionths)
    return shortest(_EXACT.add(millionths.scaleb(-6, _EXACT), price.request))


def worst_cost(price: Price, input_tokens: int, output_tokens: int) -> Decimal:
    """Returns the maximum cost of a call, in US dollars.

    The call has at most `input_tokens` input tokens and at most `output_tokens` output tokens. The highest prices that
    may apply determine the cost.
    """
    dearest_input, dearest_output = dearest_charges(price, input_tokens)
    millionths = _EXACT.fma(dearest_output, output_tokens, _EXACT.multiply(dearest_input, input_tokens))
    return _EXACT.add(millionths.scaleb(-6, _EXACT), price.request)


def bought_tokens(dollars: Decimal, output_price: Decimal) -> int:
    """Returns the number of output tokens that the amount `dollars` can pay for.

    The argument `output_price` is the price in US dollars per million output tokens, and must not be 0.
    """
    with localcontext(_EXACT) as exact:
        exact.rounding = ROUND_FLOOR
        return int(dollars.scaleb(6) / output_price)


def share_of(dollars: Decimal, calls: int) -> Decimal:
    """Returns the amount `dollars` divided by the number `calls`.

    Rounds down, so that the sum of all shares never exceeds `dollars`.
    """
    with localcontext(_EXACT) as exact:
        exact.rounding = ROUND_FLOOR
        return (dollars / calls).quantize(_FINEST)


def whole_units(dollars: Decimal) -> Decimal:
    """Returns the amount `dollars` rounded down to a multiple of 1e-18 US dollars, in the shortest form.

    The text of a client's amount, such as `1e-300000000`, may be short although the number has millions of digits.
    """
    return shortest(dollars.quantize(_FINEST, rounding=ROUND_FLOOR, context=_EXACT))


def picodollars(dollars: Decimal) -> int:
    """Returns an amount of US dollars in whole picodollars (1e-12 US dollars), rounded up."""
    return math.ceil(dollars.scaleb(12, _EXACT))


def total(costs: Sequence[Decimal]) -> Decimal:
    """Returns the exact sum of the costs, without trailing zeros if no cost has trailing zeros."""
    nonzero = list(filter(None, costs))
    if len(nonzero) == 1:
        return nonzero[0]
    return shortest(reduce(_EXACT.add, nonzero)) if nonzero else NOTHING


def shortest(value: Decimal) -> Decimal:
    """Returns the number `value` without trailing zeros after the decimal point and without a positive exponent."""
    plain = value.normalize(_EXACT)
    # `normalize` writes multiples of ten with an exponent.
    is_large_integer = plain.adjusted() > 0 and plain == plain.to_integral_value()
    return plain.quantize(_ONE, context=_EXACT) if is_large_integer else plain
