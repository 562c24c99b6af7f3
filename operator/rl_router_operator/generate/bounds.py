"""Checks that every field of the CRD has a description and a bound on its size."""

from __future__ import annotations

from collections.abc import Iterator

from .openapi import OPEN, Json

_BOUND = {"string": "maxLength", "array": "maxItems", "object": "maxProperties"}


class UnfitSchemaError(Exception):
    """Raised if a schema has fields without a description or without a bound on their size.

    The message has one line for each field that lacks a description or a bound, with the path of the field.
    """


def require_fit(schema: Json, path: str) -> None:
    """Raises UnfitSchemaError if the schema has fields without a description or without a bound on their size."""
    gaps = [*_gaps(schema, path)]
    if gaps:
        raise UnfitSchemaError("\n".join(gaps))


def _gaps(node: Json, path: str) -> Iterator[str]:
    if not _is_bounded(node):
        yield f"{path}: no {_BOUND[node['type']]}"
    for name, child in node.get("properties", {}).items():
        if not child.get("description"):
            yield f"{path}.{name}: no description"
        yield from _gaps(child, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if key in node:
            yield from _gaps(node[key], path + suffix)


def _is_bounded(node: Json) -> bool:
    kind = node.get("type")
    if kind not in _BOUND or "properties" in node or node.get(OPEN):
        return True
    return _BOUND[kind] in node or "enum" in node or node.get("format") == "date-time"
