"""Limits the number of values and the depth of JSON before the router decodes or formats the JSON.

Decoding and formatting JSON block the event loop. A body of 32 MiB can have millions of values, which take more than a
second to decode. Decoding 32 MiB of a few long texts takes a twentieth of the time of decoding 32 MiB with millions of
values.
"""

from __future__ import annotations

import re
from functools import cache

MAX_VALUES = 250_000
_VALUES = bytes(set(range(256)).difference(b'",[{'))
_NESTING = bytes(set(range(256)).difference(b'"[]{}'))
"""The bytes that are removed before the values are counted (`_VALUES`) or the depth is measured (`_NESTING`). Double
quotes are not removed, because double quotes delimit texts."""
_SQUARE = bytes.maketrans(b"{}", b"[]")
_TEXTS = re.compile(rb'"[^"]*"')
_UP_TO_TWO_TEXTS = rb'(?:"[^"]*+"){0,2}+'
"""The pattern of the texts between two opening brackets or commas, which are at most the name and the value of a
field."""


def has_more_values(body: bytes, brackets: int, limit: int = MAX_VALUES) -> bool:
    """Returns whether a body has more than `limit` values. May return True if the body is not JSON.

    Every value except the body itself follows an opening bracket or a comma. The parameter `brackets` is the number of
    opening brackets in the body, including the brackets in texts. The counting stops at the first value over the limit.
    """
    if len(body) <= limit or brackets + body.count(b",") <= limit:
        return False
    # Texts may contain brackets and commas too. The pattern skips texts, but takes several times as long as counting.
    return _at_most(limit).fullmatch(_without_escapes(body).translate(None, _VALUES)) is None


@cache
def _at_most(limit: int) -> re.Pattern[bytes]:
    """Returns the pattern of a body with at most `limit` opening brackets and commas outside texts."""
    return re.compile(rb"(?:%b[\[{,]){0,%d}+%b" % (_UP_TO_TWO_TEXTS, limit, _UP_TO_TWO_TEXTS))


def is_deeper(value: bytes, levels: int) -> bool:
    """Returns whether the lists and objects of a JSON value are nested more than `levels` levels deep."""
    brackets = _TEXTS.sub(b"", _without_escapes(value).translate(_SQUARE, _NESTING))
    for _ in range(levels):
        # Removes the innermost lists and objects.
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _without_escapes(json: bytes) -> bytes:
    """Returns JSON without escaped backslashes and double quotes, so that every remaining double quote delimits a
    text."""
    return json.replace(rb"\\", b"").replace(rb"\"", b"")
