"""Checks that every field of the CRD has a description and a bound on its size."""

from __future__ import annotations

from collections.abc import Iterator

from .openapi import OPEN, Json

_BOUND = {"string": "maxLength", "array": "maxItems", "object": "maxProperties"}


class UnfitSchemaError(Exception):
    """A field lacks what it must have; the message names the field's path and the lack."""


def require_fit(schema: Json, path: str) -> None:
    """Raises UnfitSchemaError, naming each field that lacks a description or a bound."""
    lacks = [*_lacks(schema, path)]
    if lacks:
        raise UnfitSchemaError("\n".join(lacks))


def _lacks(node: Json, path: str) -> Iterator[str]:
    if not _bounded(node):
        yield f"{path}: no {_BOUND[node['type']]}"
    for name, child in node.get("properties", {}).items():
        if not child.get("description"):
            yield f"{path}.{name}: no description"
        yield from _lacks(child, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if key in node:
            yield from _lacks(node[key], path + suffix)


def _bounded(node: Json) -> bool:
    kind = node.get("type")
    if kind not in _BOUND or "properties" in node or node.get(OPEN):
        return True
    return _BOUND[kind] in node or "enum" in node or node.get("format") == "date-time"
