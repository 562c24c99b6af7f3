"""JSON that is kept as the client wrote it."""

from __future__ import annotations

import msgspec
from msgspec import Raw

# Decoders of one level: the fields and the entries stay as they were written.
OBJECT = msgspec.json.Decoder(dict[str, Raw])
OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
LIST = msgspec.json.Decoder(list[Raw])


def begins(raw: Raw) -> bytes:
    """The first byte, which tells an object, a list and a text apart; none of nothing."""
    return bytes(memoryview(raw)[:1])


def is_given(raw: Raw) -> bool:
    """Whether there is a value that is not null."""
    return len(raw) > 0 and (len(raw) != len(b"null") or bytes(raw) != b"null")


def encoded(value: object) -> Raw:
    """A value as JSON."""
    return Raw(msgspec.json.encode(value))
