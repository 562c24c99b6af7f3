"""Limits the values and the depth of JSON before it is decoded or formatted, because this blocks the event loop.

A body of 32 MiB can have millions of values, which take more than a second to decode. The same number of bytes in a few
long texts takes a twentieth of that time.
"""

from __future__ import annotations

import re
from functools import cache

MAX_VALUES = 250_000
_VALUES = bytes(set(range(256)).difference(b'",[{'))
_NESTING = bytes(set(range(256)).difference(b'"[]{}'))
"""The bytes that are removed to count the values, and to measure the depth. Double quotes delimit texts."""
_SQUARE = bytes.maketrans(b"{}", b"[]")
_TEXTS = re.compile(rb'"[^"]*"')
_UP_TO_TWO_TEXTS = rb'(?:"[^"]*+"){0,2}+'
"""The texts between two opening brackets or commas: a name and a value."""


def has_more_values(body: bytes, brackets: int, limit: int = MAX_VALUES) -> bool:
    """Returns whether a body has more than `limit` values, or is not JSON. Stops at the first value over the limit.

    Every value except the body itself follows an opening bracket or a comma. `brackets` is the number of opening
    brackets in the body, including those in texts.
    """
    if len(body) <= limit or brackets + body.count(b",") <= limit:
        return False
    # Texts contain these characters too. The pattern skips texts, but it takes several times as long as the counts.
    return _at_most(limit).fullmatch(_without_escapes(body).translate(None, _VALUES)) is None


@cache
def _at_most(limit: int) -> re.Pattern[bytes]:
    """Returns the pattern of at most `limit` opening brackets and commas outside texts."""
    return re.compile(rb"(?:%b[\[{,]){0,%d}+%b" % (_UP_TO_TWO_TEXTS, limit, _UP_TO_TWO_TEXTS))


def is_deeper(value: bytes, levels: int) -> bool:
    """Returns whether a JSON value has more than `levels` nested lists and objects."""
    brackets = _TEXTS.sub(b"", _without_escapes(value).translate(_SQUARE, _NESTING))
    for _ in range(levels):
        # Removes the innermost lists and objects.
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _without_escapes(json: bytes) -> bytes:
    """Returns JSON without escaped backslashes and double quotes, so that every double quote delimits a text."""
    return json.replace(rb"\\", b"").replace(rb"\"", b"")
