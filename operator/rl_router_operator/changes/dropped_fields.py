"""Finds the fields that the operator applied and that are missing in the resulting object.

The API server drops a field whose feature gate is disabled. An admission webhook can also remove a field that the
operator applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..objects.manifest import Manifest
from .edit_conflicts import is_same_entry

_EMPTY: tuple[Any, ...] = (None, "", 0, False, [], {})
"""The empty values. The API server does not store an empty value that means the same as a missing field."""


def dropped_fields(applied: Manifest, result: Manifest) -> list[str]:
    """Returns the paths of the applied fields that are missing in the object `result`, such as `spec.type`.

    The function ignores fields of the metadata and fields with an empty value.
    """
    content = {key: value for key, value in applied.items() if key not in ("apiVersion", "kind", "metadata")}
    return [*_missing(content, result, "")]


def _missing(applied: Any, result: Any, path: str) -> Iterator[str]:
    if isinstance(applied, dict) and isinstance(result, dict):
        yield from _missing_in_mapping(applied, result, path)
    elif isinstance(applied, list) and isinstance(result, list):
        for index, entry in enumerate(applied):
            if isinstance(entry, dict):
                yield from _missing(entry, _counterpart(entry, index, result, len(applied)), f"{path}[{index}]")


def _missing_in_mapping(applied: Mapping[str, Any], result: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, value in applied.items():
        below = f"{path}.{key}" if path else key
        if value in _EMPTY:
            continue
        if key in result:
            yield from _missing(value, result[key], below)
        else:
            yield below


def _counterpart(entry: Mapping[str, Any], index: int, result: list[Any], length: int) -> Any:
    """Returns the entry of the list `result` that corresponds to `entry`, or else an empty mapping.

    The corresponding entry is the entry with the same key as `entry`, or else the entry with the same index.

    The index counts only if `result` has `length` entries, like the applied list, because an admission webhook can
    insert entries.
    """
    same = [candidate for candidate in result if is_same_entry(entry, candidate)]
    # Several entries of a list may have the same key, so the entry at the same index is tried first.
    if len(result) == length and (not same or is_same_entry(entry, result[index])):
        return result[index]
    return same[0] if same else {}
