"""Formats pydantic's validation errors as lines. Each line names the source and the field of an error, if known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .unknown_keys import UNKNOWN_KEY

_MAXIMUM_LINES = 5
_MESSAGES = {
    **dict.fromkeys(("tuple_type", "list_type", "set_type"), "Input should be a list"),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type", "dataclass_type"), "Input should be a mapping"
    ),
}
"""The messages that replace pydantic's messages about wrong types, because those messages name Python classes."""


@dataclass(frozen=True)
class Origin:
    """The source of a field's value: an environment variable or a flag."""

    source: str
    field: str

    def covers(self, field: str) -> bool:
        """Returns whether this source set `field`, or a mapping or a list that contains `field`."""
        return f"{field}.".startswith(f"{self.field}.")


def lines(error: ValidationError, origins: Sequence[Origin], path: str | None) -> list[str]:
    """Returns one line for each validation error that no other error caused, but at most five lines.

    `origins` contains the environment variables and flags in the order in which the values were applied. `path` is
    the path of the configuration file, or None. A value comes from the file if no variable or flag set it.
    """
    details = error.errors(include_url=False)
    locations = [detail["loc"] for detail in details]

    def is_consequence(location: tuple[int | str, ...]) -> bool:
        # If an entry of a list is invalid, pydantic also reports that the list is too short.
        return any(len(other) > len(location) and other[: len(location)] == location for other in locations)

    causes = [detail for detail in details if not is_consequence(detail["loc"])]
    return [_line(detail, origins, path) for detail in causes[:_MAXIMUM_LINES]]


def _line(detail: ErrorDetails, origins: Sequence[Origin], path: str | None) -> str:
    location = ".".join(str(part) for part in detail["loc"])
    field = _field(detail, location)
    origin = next((origin for origin in reversed(origins) if origin.covers(field)), None)
    source = origin.source if origin else path
    # For a field that belongs to no section, the name of the variable or flag already shows the name of the field.
    field_shown = None if origin and origin.field == location and "." not in location else location
    return ": ".join(part for part in (source, field_shown, _message(detail, location)) if part)


def _field(detail: ErrorDetails, location: str) -> str:
    """Returns the dotted name of the field or unknown key to which the error belongs."""
    key = detail["ctx"]["key"] if detail["type"] == UNKNOWN_KEY else ""
    return ".".join(part for part in (location, key) if part)


def _message(detail: ErrorDetails, location: str) -> str:
    message = _MESSAGES.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
    value: Any = detail["input"]
    # The log must not show an API key, which users may write instead of the name of the key's environment variable.
    is_secret = "api_key" in location
    if is_secret or isinstance(value, (dict, list, tuple)) or detail["type"] in ("value_error", "missing"):
        return message
    return f"{message} (got {value!r})"
