"""The error for an unknown key, with a suggestion of the key that the user probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic_core import PydanticCustomError

UNKNOWN_KEY = "unknown_key"
"""The pydantic error type for an unknown key. The field `key` of the error's context is the dotted name of the unknown
key, relative to the location of the error."""

_SUGGESTIONS = {"routes": "routing"}
"""Maps an unknown key to the known key that users probably mean, if another known key has a more similar spelling."""


def unknown_key(key: Any, remedy: str, section: str = "") -> PydanticCustomError:
    """Returns the error for an unknown key. `section` is empty if pydantic adds the section to the error."""
    text = str(key).encode(errors="backslashreplace").decode()
    name, prefix = (f"{section}.{text}", f"{section}: ") if section else (text, "")
    context = {"key": name, "text": text, "remedy": remedy, "prefix": prefix}
    return PydanticCustomError(UNKNOWN_KEY, "{prefix}unknown key `{text}`: {remedy}", context)


def remedy(key: str, known: Sequence[str]) -> str:
    """Returns a question that suggests the known key with a similar spelling, or else a list of all known keys."""
    suggestion = _SUGGESTIONS.get(key)
    near = [suggestion] if suggestion in known else difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    return f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
