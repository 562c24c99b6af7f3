"""The error for an unknown key, with a suggestion of the key that the user probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic_core import PydanticCustomError

UNKNOWN_KEY = "unknown_key"
"""The type of the error. `key` in its context is the dotted name of the key, relative to the error's location."""

_SUGGESTIONS = {"routes": "routing"}
"""Suggestions for keys whose spelling is nearer to another key than to the one that the user means."""


def unknown_key(key: Any, remedy: str, section: str = "") -> PydanticCustomError:
    """Returns the error for an unknown key of a section. If `section` is empty, the error's own location is meant."""
    text = str(key).encode(errors="backslashreplace").decode()
    name, prefix = (f"{section}.{text}", f"{section}: ") if section else (text, "")
    context = {"key": name, "text": text, "remedy": remedy, "prefix": prefix}
    return PydanticCustomError(UNKNOWN_KEY, "{prefix}unknown key `{text}`: {remedy}", context)


def remedy(key: str, known: Sequence[str]) -> str:
    """Returns a question with the nearest known key, else the list of all known keys."""
    suggestion = _SUGGESTIONS.get(key)
    near = [suggestion] if suggestion in known else difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    return f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
