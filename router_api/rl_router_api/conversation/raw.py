"""Helpers for raw JSON, which keeps the client's bytes."""

from __future__ import annotations

import msgspec
from msgspec import Raw

# These decode one level only: the values of fields and lists stay raw.
OBJECT = msgspec.json.Decoder(dict[str, Raw])
OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
LIST = msgspec.json.Decoder(list[Raw])


def begins(raw: Raw) -> bytes:
    """Returns the first byte, which distinguishes objects, lists and strings; empty if the value is missing."""
    return bytes(memoryview(raw)[:1])


def is_given(raw: Raw) -> bool:
    """Returns whether the value is present and not null."""
    return len(raw) > 0 and (len(raw) != len(b"null") or bytes(raw) != b"null")


def encoded(value: object) -> Raw:
    """Returns a value as JSON."""
    return Raw(msgspec.json.encode(value))
