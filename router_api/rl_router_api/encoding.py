"""Encodes values as JSON. Decimals become JSON numbers with all their digits, so that no cost is rounded."""

from __future__ import annotations

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode(value: object) -> bytes:
    """Returns a value as JSON bytes."""
    return _ENCODER.encode(value)
