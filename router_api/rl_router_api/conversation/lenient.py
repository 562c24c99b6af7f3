"""Reads JSON that strict parsers reject but many clients accept.

Examples are half of a surrogate pair, `NaN`, control characters in a text and a byte order mark. If such values are
written again, they are written as the upstream sent them.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Raw

from .raw import LIST, OBJECT


def parse(data: bytes | Raw) -> Any:
    """Returns the value. Raises ValueError if it is not JSON or not UTF-8, and RecursionError if it is too deep."""
    return json.loads(bytes(data).decode("utf-8-sig"), strict=False)


def fields_of(data: bytes | Raw) -> dict[str, Raw]:
    """Returns an object's fields as raw JSON. Raises ValueError, RecursionError."""
    try:
        return OBJECT.decode(data)
    except msgspec.DecodeError:
        return _raw_fields(parse(data))


def list_of(data: bytes | Raw) -> list[Raw]:
    """Returns the entries of a list as raw JSON; empty if the value is not a list.

    Raises ValueError, RecursionError.
    """
    try:
        return LIST.decode(data)
    except msgspec.DecodeError:
        value = parse(data)
        return [Raw(json.dumps(entry).encode()) for entry in value] if isinstance(value, list) else []


def _raw_fields(value: Any) -> dict[str, Raw]:
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 (for callers, it is invalid JSON)
    return {well_formed(name): Raw(json.dumps(entry).encode()) for name, entry in value.items()}


def well_formed(text: str) -> str:
    """Returns the text with halves of surrogate pairs joined; a half alone becomes U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
