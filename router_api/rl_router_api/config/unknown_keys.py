"""The error for an unknown key, with a suggestion of the key that the user probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic_core import PydanticCustomError

UNKNOWN_KEY = "unknown_key"
"""The pydantic error type for an unknown key. The error's context has the key's dotted name as `key`, relative to the
error's location."""

_SUGGESTIONS = {"routes": "routing"}
"""Suggestions for misspelled keys for which the nearest spelling is not the intended key."""


def unknown_key(key: Any, remedy: str, section: str = "") -> PydanticCustomError:
    """Returns the error for an unknown key of a section. An empty `section` means the error's own location."""
    text = str(key).encode(errors="backslashreplace").decode()
    name, prefix = (f"{section}.{text}", f"{section}: ") if section else (text, "")
    context = {"key": name, "text": text, "remedy": remedy, "prefix": prefix}
    return PydanticCustomError(UNKNOWN_KEY, "{prefix}unknown key `{text}`: {remedy}", context)


def remedy(key: str, known: Sequence[str]) -> str:
    """Returns a question that suggests the nearest known key, or the list of all known keys if no key is near."""
    suggestion = _SUGGESTIONS.get(key)
    near = [suggestion] if suggestion in known else difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    return f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
