"""Checks that every field of a schema has a description, and that every text, list and map has a maximum size.

Enums, times and fields with the flag `x-kubernetes-preserve-unknown-fields` require no maximum size.
"""

from __future__ import annotations

from collections.abc import Iterator

from .openapi import OPEN, Json

_BOUND = {"string": "maxLength", "array": "maxItems", "object": "maxProperties"}


class UnfitSchemaError(Exception):
    """Raised if a field of a schema has no description, or if a text, list or map has no maximum size.

    Each line of the error's message names the path of a field and the missing description or maximum size.
    """


def require_fit(schema: Json, path: str) -> None:
    """Raises UnfitSchemaError if a field has no description, or if a text, list or map has no maximum size."""
    gaps = [*_gaps(schema, path)]
    if gaps:
        raise UnfitSchemaError("\n".join(gaps))


def _gaps(node: Json, path: str) -> Iterator[str]:
    if not _is_bounded(node):
        bound = _BOUND[node["type"]]
        yield f"{path}: no {bound}. Add {bound} to the field in the schema"
    for name, child in node.get("properties", {}).items():
        if not child.get("description"):
            yield f"{path}.{name}: no description. Add a description to the field in the schema"
        yield from _gaps(child, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if key in node:
            yield from _gaps(node[key], path + suffix)


def _is_bounded(node: Json) -> bool:
    kind = node.get("type")
    if kind not in _BOUND or "properties" in node or node.get(OPEN):
        return True
    return _BOUND[kind] in node or "enum" in node or node.get("format") == "date-time"
