"""Writes JSON. Decimals become JSON numbers with all their digits, so that no cost is rounded."""

from __future__ import annotations

import msgspec

# The operator `in` finds an integer in bytes several times faster than it finds a bytes object of length 1.
_LF, _CR = b"\n\r"
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode(value: object) -> bytes:
    """Returns a value as JSON bytes."""
    return _ENCODER.encode(value)


def one_line(json: bytes) -> bytes:
    """Returns JSON without line breaks between its values."""
    return msgspec.json.format(json, indent=-1) if _LF in json or _CR in json else json
