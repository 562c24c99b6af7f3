"""Creates the error for an unknown key, which suggests a known key or lists all known keys."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic_core import PydanticCustomError

UNKNOWN_KEY = "unknown_key"
"""The pydantic error type for an unknown key. The field `key` of the error's context is the dotted name of the unknown
key, relative to the location of the error."""

_SUGGESTIONS = {"routes": "routing"}
"""Maps an unknown key to the known key that the error suggests instead of the key with the most similar spelling."""


def unknown_key(key: Any, remedy: str, section: str = "") -> PydanticCustomError:
    """Returns the error for an unknown key.

    `section` is the dotted path of the section that contains the key. `section` is empty if the key is at the top
    level, or if pydantic adds the path to the error.
    """
    text = str(key).encode(errors="backslashreplace").decode()
    name, prefix = (f"{section}.{text}", f"{section}: ") if section else (text, "")
    context = {"key": name, "text": text, "remedy": remedy, "prefix": prefix}
    return PydanticCustomError(UNKNOWN_KEY, "{prefix}unknown key `{text}`: {remedy}", context)


def remedy(key: str, known: Sequence[str]) -> str:
    """Returns a question that suggests a known key, or a list of all known keys if no known key has a similar name."""
    suggestion = _SUGGESTIONS.get(key)
    near = [suggestion] if suggestion in known else difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    return f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
