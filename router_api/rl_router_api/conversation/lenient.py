"""Reads JSON that strict parsers reject but many clients accept.

Strict parsers reject, for example, half of a surrogate pair, `NaN`, unescaped control characters and a byte order mark.
In the values that `fields_of` and `list_of` return, half of a surrogate pair and `NaN` stay the same.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Raw

from .raw import LIST, OBJECT


def parse(data: bytes | Raw) -> Any:
    """Returns the value of a JSON text.

    Raises ValueError if the text is not JSON or not UTF-8, and RecursionError if the JSON is nested too deeply.
    """
    return json.loads(bytes(data).decode("utf-8-sig"), strict=False)


def fields_of(data: bytes | Raw) -> dict[str, Raw]:
    """Returns the fields of a JSON object as raw JSON.

    Raises ValueError if the data are not a JSON object, and RecursionError if the JSON is nested too deeply.
    """
    try:
        return OBJECT.decode(data)
    except msgspec.DecodeError:
        return _raw_fields(parse(data))


def list_of(data: bytes | Raw) -> list[Raw]:
    """Returns the entries of a JSON list as raw JSON, or an empty list if the value is not a list.

    Raises ValueError if the data are not JSON, and RecursionError if the JSON is nested too deeply.
    """
    try:
        return LIST.decode(data)
    except msgspec.DecodeError:
        value = parse(data)
        return [Raw(json.dumps(entry).encode()) for entry in value] if isinstance(value, list) else []


def _raw_fields(value: Any) -> dict[str, Raw]:
    if not isinstance(value, dict):
        raise ValueError("the value is not a JSON object")  # noqa: TRY004 (callers handle it as invalid JSON)
    return {well_formed(name): Raw(json.dumps(entry).encode()) for name, entry in value.items()}


def well_formed(text: str) -> str:
    """Returns the text with the two halves of each surrogate pair joined.

    A half that is not beside the other half of the pair becomes the character U+FFFD.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
