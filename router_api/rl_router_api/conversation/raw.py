"""Helpers for raw JSON values (`msgspec.Raw`), which are the undecoded bytes of JSON values."""

from __future__ import annotations

import msgspec
from msgspec import Raw

# These decoders decode one level only, so that the values of fields and lists stay raw JSON.
OBJECT = msgspec.json.Decoder(dict[str, Raw])
OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
LIST = msgspec.json.Decoder(list[Raw])
TEXT = msgspec.json.Decoder(str)


def begins(raw: Raw) -> bytes:
    """Returns the first byte of a JSON value, which distinguishes objects, lists and strings.

    Returns an empty bytes object if the value is missing.
    """
    return bytes(memoryview(raw)[:1])


def is_given(raw: Raw) -> bool:
    """Returns whether a JSON value is present and not null."""
    return len(raw) > 0 and (len(raw) != len(b"null") or bytes(raw) != b"null")


def check_utf8(json: bytes) -> None:
    """Raises UnicodeDecodeError if JSON is not UTF-8. The library msgspec does not check the fields that it skips."""
    # Most JSON is ASCII, for which this test takes less time than decoding, because it makes no copy.
    if not json.isascii():
        json.decode()


def text_in(raw: Raw) -> str:
    """Returns the text of a JSON string, or an empty text if the value is not a string."""
    return TEXT.decode(raw) if begins(raw) == b'"' else ""


def encoded(value: object) -> Raw:
    """Returns a Python value as raw JSON."""
    return Raw(msgspec.json.encode(value))
