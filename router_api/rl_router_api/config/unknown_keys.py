"""The error for a key that the schema does not have, with the key that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic_core import PydanticCustomError

UNKNOWN_KEY = "unknown_key"
"""The type of the error. Its context holds `key`, the dotted name of the key below the place of the error."""

_MEANT = {"routes": "routing"}
"""Keys whose spelling is nearer to another known key than to the one that is meant."""


def unknown_key(key: Any, remedy: str, section: str = "") -> PydanticCustomError:
    """Returns the error for an unknown key of a section; an empty `section` is the place where it is raised."""
    written = str(key).encode(errors="backslashreplace").decode()
    name, place = (f"{section}.{written}", f"{section}: ") if section else (written, "")
    context = {"key": name, "written": written, "remedy": remedy, "place": place}
    return PydanticCustomError(UNKNOWN_KEY, "{place}unknown key `{written}`; {remedy}", context)


def remedy(key: str, known: Sequence[str]) -> str:
    """Returns the question for the nearest known key, or else the list of all."""
    meant = _MEANT.get(key)
    near = [meant] if meant in known else difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    return f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
