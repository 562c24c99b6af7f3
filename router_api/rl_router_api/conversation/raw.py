"""Helpers for raw JSON values, which keep the bytes that a client or an upstream sent."""

from __future__ import annotations

import msgspec
from msgspec import Raw

# These decoders decode one level only, so that the values of fields and lists stay raw.
OBJECT = msgspec.json.Decoder(dict[str, Raw])
OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
LIST = msgspec.json.Decoder(list[Raw])
TEXT = msgspec.json.Decoder(str)


def begins(raw: Raw) -> bytes:
    """Returns the first byte, which tells objects, lists and strings apart. Returns no byte if the value is missing."""
    return bytes(memoryview(raw)[:1])


def is_given(raw: Raw) -> bool:
    """Returns whether the value is present and not null."""
    return len(raw) > 0 and (len(raw) != len(b"null") or bytes(raw) != b"null")


def text_in(raw: Raw) -> str:
    """Returns a text, or an empty text if the value is not a text."""
    return TEXT.decode(raw) if begins(raw) == b'"' else ""


def encoded(value: object) -> Raw:
    """Returns a value as JSON."""
    return Raw(msgspec.json.encode(value))
