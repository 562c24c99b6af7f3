"""Quantities as Kubernetes writes them: `2`, `500m`, `40Gi`."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i|[numkMGTPE]?)|[eE]([+-]?\d+))")
_BINARY = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {
    letter: Decimal(10) ** power for letter, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}
_FACTORS = {"": Decimal(1), **_DECIMAL, **_BINARY}

GIBIBYTE = _BINARY["Gi"]


def amount(quantity: int | str) -> Decimal:
    """Returns the value of a quantity, in bytes or cores. Raises ValueError if the quantity is invalid."""
    match = _QUANTITY.fullmatch(str(quantity))
    if not match:
        raise ValueError(f"invalid quantity {quantity!r}. Use a number with an optional unit, such as 500m or 40Gi")
    number, suffix, exponent = match.groups()
    return Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _FACTORS[suffix])
