"""Checks the number of values and the nesting depth of JSON before the router decodes or formats the JSON.

Decoding and formatting JSON block the event loop. A body of 32 MiB can have millions of values, and decoding
millions of values can take more than a second. A body of 32 MiB that consists of a few long texts is decoded in less
than a twentieth of this time.
"""

from __future__ import annotations

import re
from functools import cache

MAX_VALUES = 250_000
_VALUES = bytes(set(range(256)).difference(b'",[{'))
_NESTING = bytes(set(range(256)).difference(b'"[]{}'))
"""The constant `_VALUES` contains the bytes that are removed from JSON before the values are counted. The constant
`_NESTING` contains the bytes that are removed from JSON before the nesting depth is measured. The constants
`_VALUES` and `_NESTING` do not contain the double quote, because double quotes delimit texts."""
_SQUARE = bytes.maketrans(b"{}", b"[]")
_TEXTS = re.compile(rb'"[^"]*"')
_UP_TO_TWO_TEXTS = rb'(?:"[^"]*+"){0,2}+'
"""The pattern of the texts between two opening brackets or commas of JSON. At most two texts can stand between two
brackets or commas: the name and the value of a field."""


def has_more_values(body: bytes, brackets: int, limit: int = MAX_VALUES) -> bool:
    """Returns whether a body has more than `limit` values. The result may also be True if the body is not JSON.

    Every list entry and every field of an object follows an opening bracket or a comma, so the function counts the
    opening brackets and the commas. Therefore, an empty list or object within another value counts twice. The parameter
    `brackets` is the number of opening brackets in the body, including the brackets in texts.
    """
    if len(body) <= limit or brackets + body.count(b",") <= limit:
        return False
    # Texts may contain brackets and commas too. The pattern skips texts, but takes longer than `body.count`.
    return _at_most(limit).fullmatch(_without_escapes(body).translate(None, _VALUES)) is None


@cache
def _at_most(limit: int) -> re.Pattern[bytes]:
    """Returns the pattern of a body with at most `limit` opening brackets and commas outside texts.

    The pattern matches only a body from which the bytes in `_VALUES` have been removed.
    """
    return re.compile(rb"(?:%b[\[{,]){0,%d}+%b" % (_UP_TO_TWO_TEXTS, limit, _UP_TO_TWO_TEXTS))


def is_deeper(value: bytes, levels: int) -> bool:
    """Returns whether the lists and objects of a JSON value are nested more than `levels` levels deep."""
    brackets = _TEXTS.sub(b"", _without_escapes(value).translate(_SQUARE, _NESTING))
    for _ in range(levels):
        # Removes the innermost lists and objects.
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _without_escapes(json: bytes) -> bytes:
    """Returns JSON without escaped backslashes and without escaped double quotes.

    Every remaining double quote delimits a text.
    """
    return json.replace(rb"\\", b"").replace(rb"\"", b"")
