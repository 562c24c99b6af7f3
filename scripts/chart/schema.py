"""Generates values.schema.json, with which Helm rejects invalid values before Helm connects to the API server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rl_router_operator.generate.openapi import OPEN, structural
from rl_router_operator.schema import RouterDeploymentSpec
from values import Value

Json = dict[str, Any]
_TYPES = {bool: "boolean", str: "string", int: "integer", list: "array", dict: "object"}
_EXTENSION = "x-kubernetes-"


def schema(values: Iterable[Value]) -> Json:
    """Returns the JSON Schema of the file values.yaml.

    If values.yaml describes the fields of an object, the schema rejects unknown fields of this object.
    """
    root: Json = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$defs": {"spec": _plain(structural(RouterDeploymentSpec, defaults=False))},
        "type": "object",
        "additionalProperties": False,
        "properties": {"global": {"description": "Values that a parent chart shares with its subcharts."}},
    }
    for value in values:
        _parent(root, value.path)["properties"][value.path[-1]] = _node(value)
    return root


def _parent(root: Json, path: tuple[str, ...]) -> Json:
    node = root
    for name in path[:-1]:
        node = node["properties"].setdefault(name, {"type": "object"})
        node.setdefault("properties", {})
        node["additionalProperties"] = False
    return node


def _node(value: Value) -> Json:
    node: Json = {"description": value.about[0]} if value.about else {}
    if "schema" in value.tags:
        return {**node, "allOf": [{"$ref": f"#/$defs/{value.tags['schema']}"}]}
    if "enum" in value.tags:
        return {**node, "enum": value.tags["enum"].split(",")}
    kinds = value.tags.get("type", _TYPES.get(type(value.default), "string")).split(",")
    node["type"] = kinds[0] if len(kinds) == 1 else kinds
    if "items" in value.tags:
        node["items"] = {"type": value.tags["items"]}
    if "pattern" in value.tags:
        node["items"]["pattern"] = value.tags["pattern"]
    return node


def _plain(node: Json) -> Json:
    """Returns a structural schema as JSON Schema, without defaults and without the extensions of Kubernetes."""
    plain = {key: value for key, value in node.items() if not key.startswith(_EXTENSION) and key != "default"}
    if node.get("x-kubernetes-int-or-string"):
        plain["type"] = ["integer", "string"]
    if plain.pop("nullable", False) and "type" in plain:
        plain["type"] = [plain["type"], "null"]
    if plain.pop("exclusiveMinimum", False):
        plain["exclusiveMinimum"] = plain.pop("minimum")
    if "properties" in node:
        plain["properties"] = {name: _plain(child) for name, child in node["properties"].items()}
        plain["additionalProperties"] = bool(node.get(OPEN))
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            plain[key] = _plain(node[key])
    return plain
