"""Parses Kubernetes quantities such as `2`, `0.5`, `500m`, `40Gi` and `1e3`."""

from __future__ import annotations

import re
from decimal import ROUND_UP, Context, Decimal
from typing import Any

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i|[numkMGTPE]?)|[eE]([+-]?\d{1,3}))", re.ASCII)
_BINARY = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {
    letter: Decimal(10) ** power for letter, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}
_FACTORS = {"": Decimal(1), **_DECIMAL, **_BINARY}

_MILLI = Decimal("0.001")
_EXACT = Context(prec=1200, rounding=ROUND_UP)
"""A decimal context with enough digits for the exact value of every quantity of at most 64 characters."""

_MAX_LENGTH = 64
_MAX_BINARY = Decimal(2**63 - 1)
GIBIBYTE = _BINARY["Gi"]


def amount(quantity: Any) -> Decimal:
    """Returns the value of a quantity in its base unit, such as bytes or cores.

    Raises ValueError if the quantity is invalid. The value of the quantity is rounded up to a multiple of 0.001, as the
    API server rounds requests and limits. With a binary unit such as `Gi`, the value is at most 2**63 - 1.
    """
    text = str(quantity).strip()
    match = _QUANTITY.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if not match:
        raise ValueError(
            f"invalid quantity {text[:_MAX_LENGTH]!r}. Use a number with an optional unit, such as 500m or 40Gi"
        )
    number, suffix, exponent = match.groups()
    factor = Decimal(10) ** int(exponent) if exponent else _FACTORS[suffix]
    value = _EXACT.multiply(Decimal(number), factor).quantize(_MILLI, context=_EXACT)
    # In Kubernetes, the maximum of a quantity with a binary suffix is the largest 64-bit integer.
    return min(value, _MAX_BINARY) if suffix in _BINARY else value
