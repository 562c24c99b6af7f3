"""JSON as it leaves the process: Decimals are plain numbers, so that no cost is ever rounded."""

from __future__ import annotations

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode(value: object) -> bytes:
    """JSON bytes."""
    return _ENCODER.encode(value)
