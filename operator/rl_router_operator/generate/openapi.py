"""Converts a pydantic model to the structural OpenAPI schema that the API server accepts."""

from __future__ import annotations

import inspect
import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from ..schema.base import REMEDY

Json = dict[str, Any]
OPEN = "x-kubernetes-preserve-unknown-fields"
RULES = "x-kubernetes-validations"
_OWN = __package__.partition(".")[0]


class _Nodes(GenerateJsonSchema):
    """What only the classes know: whose default it is, and how a decimal is written."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Json:
        return self.generate_inner(schema["schema"])  # left out is how a field is None

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> Json:
        places = schema["decimal_places"]
        whole = schema["max_digits"] - places
        return {
            "type": "string",
            "maxLength": whole + places + 1,
            "pattern": rf"^[0-9]{{1,{whole}}}(\.[0-9]{{1,{places}}})?$",
            REMEDY: f'must be a decimal number in quotes such as "0.25", with at most {places} digits behind the point',
        }

    def model_schema(self, schema: core_schema.ModelSchema) -> Json:
        found = super().model_schema(schema)
        for name, field in schema["cls"].model_fields.items():
            node = found["properties"][field.alias or name]
            if not _declared_here(schema["cls"], name):
                _tell_default(node)
        return found


def _declared_here(model: type[BaseModel], field: str) -> bool:
    """Whether a field is the operator's own: the router API's get no default, so that each version has its own."""
    owner = next(each for each in model.__mro__ if field in inspect.get_annotations(each))
    return owner.__module__.startswith(_OWN)


def _tell_default(node: Json) -> None:
    default = node.pop("default", None)
    description = node.get("description", "")
    if default not in (None, "", [], {}) and not isinstance(default, dict) and "default:" not in description:
        shown = f"{default:g}" if isinstance(default, float) else json.dumps(default).strip('"')
        node["description"] = f"{description}; default: {shown}"


def structural(model: type[BaseModel], defaults: bool = True) -> Json:
    """The model's schema by alias, every reference inlined; `defaults`: with those of the operator's own fields."""
    schema = model.model_json_schema(by_alias=True, schema_generator=_Nodes)
    return _fold(schema, schema.get("$defs", {}), defaults)


def _fold(node: Json, definitions: Json, defaults: bool) -> Json:
    node = _inlined(node, definitions)
    folded = {key: value for key, value in node.items() if key not in _DROPPED}
    if "properties" in node:
        folded["properties"] = {name: _fold(child, definitions, defaults) for name, child in node["properties"].items()}
    if "items" in node:
        folded["items"] = _fold(node["items"], definitions, defaults)
    if isinstance(node.get("additionalProperties"), dict):
        folded["additionalProperties"] = _fold(node["additionalProperties"], definitions, defaults)
    _write_any(folded, node)
    _write_remedy(folded)
    _write_bounds(folded, node)
    _write_default(folded, node, defaults)
    return folded


_DROPPED = ("$defs", "title", "default", "additionalProperties", "propertyNames", "anyOf", "exclusiveMinimum")


def _inlined(node: Json, definitions: Json) -> Json:
    if "$ref" not in node:
        return node
    target = _inlined(definitions[node["$ref"].rpartition("/")[2]], definitions)
    rules = [*target.get(RULES, ()), *node.get(RULES, ())]
    own = {key: value for key, value in node.items() if key != "$ref"}
    return {**target, **own, **({RULES: rules} if rules else {})}


def _write_any(folded: Json, node: Json) -> None:
    anything = not node.get("type") and "x-kubernetes-int-or-string" not in node
    if anything:
        folded[OPEN] = True
    elif node.get("additionalProperties") is True and OPEN not in node:
        folded["additionalProperties"] = {OPEN: True}


def _write_remedy(folded: Json) -> None:
    """The API server's own words for a pattern are the pattern; a rule's can be a person's."""
    if message := folded.pop(REMEDY, None):
        rule = {"rule": f"self.matches(r'{folded.pop('pattern')}')", "message": message}
        folded[RULES] = [rule, *folded.get(RULES, ())]


def _write_bounds(folded: Json, node: Json) -> None:
    if "exclusiveMinimum" in node:
        folded |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
    names = node.get("propertyNames", {})
    if "maxLength" in names and isinstance(node["additionalProperties"], dict):  # no rule can look into open values
        least, most = names.get("minLength", 0), names["maxLength"]
        rule = {
            "rule": f"self.all(key, size(key) >= {least} && size(key) <= {most})",
            "message": f"a key has {least} to {most} characters",
        }
        folded[RULES] = [*folded.get(RULES, ()), rule]


def _write_default(folded: Json, node: Json, defaults: bool) -> None:
    default = node.get("default")
    if not defaults or default is None or default == []:
        return
    if not isinstance(default, dict):
        folded["default"] = default
    elif filled := defaults_of(folded):
        folded["default"] = filled


def defaults_of(node: Json) -> Json:
    """What an object is with the defaults of its fields: rules are checked on a default as it is written."""
    return {name: child["default"] for name, child in node.get("properties", {}).items() if "default" in child}
