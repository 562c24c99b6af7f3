"""Finds the field of a request body that contains half of a surrogate pair.

In UTF-16, a surrogate pair represents one character, such as an emoji. Half of a surrogate pair is not a character.
"""

from __future__ import annotations

import re
from typing import Any

from ...conversation import lenient
from ...errors import ApiError, bad_request

_HALF = re.compile("[\\ud800-\\udfff]")
_MAX_BODY = 1024 * 1024
"""The maximum number of bytes of a body that is searched for half of a surrogate pair. Larger bodies are not
searched, because the search would block the event loop for too long."""


def half_pair_error(body: bytes) -> ApiError | None:
    """Returns an error that names the field with half of a surrogate pair.

    Returns None if the body has more than 1 MiB, or if no field with half of a surrogate pair is found.
    """
    if len(body) > _MAX_BODY:
        return None
    try:
        path = _path_of_half(lenient.parse(body))
    except (ValueError, RecursionError):
        return None
    if path is None:
        return None
    field = path.removeprefix(".")
    message = f"`{field}` contains half of a surrogate pair, such as one half of an emoji. Send whole characters."
    return bad_request(message, field)


def _path_of_half(value: Any) -> str | None:
    """Returns the path of the first text or field name that contains half of a surrogate pair.

    Returns None if no text or field name of the value contains half of a surrogate pair.
    An example of a returned path is `.messages[0].content`.
    """
    if isinstance(value, str):
        return "" if _HALF.search(value) else None
    if isinstance(value, dict):
        entries = [(f".{lenient.well_formed(name)}", name, entry) for name, entry in value.items()]
    elif isinstance(value, list):
        entries = [(f"[{place}]", "", entry) for place, entry in enumerate(value)]
    else:
        return None
    for step, name, entry in entries:
        if _HALF.search(name):
            return step
        path = _path_of_half(entry)
        if path is not None:
            return step + path
    return None
