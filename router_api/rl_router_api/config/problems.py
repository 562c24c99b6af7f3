"""Writes what pydantic found wrong as lines that name the source and the field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .unknown_keys import UNKNOWN_KEY

_MAXIMUM_LINES = 5


@dataclass(frozen=True)
class Origin:
    """The variable or the flag that set a field."""

    source: str
    field: str

    def covers(self, field: str) -> bool:
        """Whether it set this field, or an object that the field is part of."""
        return f"{field}.".startswith(f"{self.field}.")


def lines(error: ValidationError, origins: Sequence[Origin], path: str | None) -> list[str]:
    """Returns one line for each of the first mistakes.

    `origins` are in the order in which they were applied. `path` is the file that every other value came from.
    """
    details = error.errors(include_url=False)
    places = [detail["loc"] for detail in details]

    def is_consequence(place: tuple[int | str, ...]) -> bool:
        # If an entry of a list is wrong, pydantic also reports the list as too short.
        return any(len(other) > len(place) and other[: len(place)] == place for other in places)

    found = [detail for detail in details if not is_consequence(detail["loc"])]
    return [_line(detail, origins, path) for detail in found[:_MAXIMUM_LINES]]


def _line(detail: ErrorDetails, origins: Sequence[Origin], path: str | None) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    field = _field(detail, where)
    origin = next((each for each in reversed(origins) if each.covers(field)), None)
    source = origin.source if origin else path
    # The variable and the flag of a field without a section are its name.
    place = None if origin and origin.field == where and "." not in where else where
    return ": ".join(part for part in (source, place, _message(detail, where)) if part)


def _field(detail: ErrorDetails, where: str) -> str:
    """Returns the name of the field at fault; for an unknown key, the name that it would have."""
    key = detail["ctx"]["key"] if detail["type"] == UNKNOWN_KEY else ""
    return ".".join(part for part in (where, key) if part)


def _message(detail: ErrorDetails, where: str) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    value: Any = detail["input"]
    # Somebody may write the key itself instead of its variable's name. The log must not show it.
    is_secret = "api_key" in where
    if is_secret or isinstance(value, (dict, list, tuple)) or detail["type"] in ("value_error", "missing"):
        return message
    return f"{message} (got {value!r})"
