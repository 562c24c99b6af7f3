"""Converts a pydantic model to the structural OpenAPI schema that the API server accepts."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
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
    """A schema generator for pydantic models.

    The generator writes the defaults of the router API into the descriptions of the fields, and adds a pattern to the
    schema of each decimal number.
    """

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Json:
        return self.generate_inner(schema["schema"])  # A missing field is None, so the schema needs no null.

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> Json:
        fraction = schema["decimal_places"]
        whole = schema["max_digits"] - fraction
        return {
            "type": "string",
            "maxLength": whole + fraction + 1,
            "pattern": f"^{_above_zero(whole, fraction) if 'gt' in schema else _decimal(whole, fraction)}$",
            REMEDY: 'a price or cost must be a decimal number of 0 or more, in quotes such as "0.25", with at most'
            f" {whole} digits before and {fraction} digits after the decimal point",
        }

    def union_schema(self, schema: core_schema.UnionSchema) -> Json:
        kinds = [choice["type"] for choice in schema["choices"] if not isinstance(choice, tuple)]
        if kinds != ["literal", "decimal"]:
            return super().union_schema(schema)
        words, number = [self.generate_inner(choice) for choice in schema["choices"] if not isinstance(choice, tuple)]
        pattern = number["pattern"].removeprefix("^").removesuffix("$")
        return {
            **number,
            "pattern": f"^({'|'.join(words['enum'])}|{pattern})$",
            REMEDY: f'the value must be {", ".join(words["enum"])}, or a number above 0 in quotes such as "0.25"'
            ", with at most 12 digits before and 12 digits after the decimal point",
        }

    def model_schema(self, schema: core_schema.ModelSchema) -> Json:
        result = super().model_schema(schema)
        for name, field in schema["cls"].model_fields.items():
            node = result["properties"][field.alias or name]
            if not _declared_here(schema["cls"], name):
                _describe_default(node)
        return result


def _decimal(whole: int, fraction: int) -> str:
    """Returns the pattern of a decimal number with at most `whole` integer digits and `fraction` decimal places."""
    return rf"[0-9]{{1,{whole}}}(\.[0-9]{{1,{fraction}}})?"


def _above_zero(whole: int, fraction: int) -> str:
    """Returns the pattern of decimal numbers above 0 without needless leading zeros. CEL patterns have no lookahead."""
    parts = "|".join(f"{'0' * zeros}[1-9][0-9]{{0,{fraction - zeros - 1}}}" for zeros in range(fraction))
    return rf"([1-9][0-9]{{0,{whole - 1}}}(\.[0-9]{{1,{fraction}}})?|0\.({parts}))"


def _declared_here(model: type[BaseModel], field: str) -> bool:
    """Returns whether the field `field` of the model `model` is declared by the operator instead of the router API.

    Fields that the router API declares get no default in the CRD, because each version of the router API has its own
    defaults.
    """
    owner = next(base for base in model.__mro__ if field in inspect.get_annotations(base))
    return owner.__module__.startswith(_OWN)


def _describe_default(node: Json) -> None:
    default = node.pop("default", None)
    description = node.get("description", "")
    if default not in (None, "", [], {}) and not isinstance(default, dict) and "default:" not in description:
        shown = f"{default:g}" if isinstance(default, float) else json.dumps(default).strip('"')
        node["description"] = f"{description}; default: {shown}"


def separate_defaults(node: Json) -> None:
    """Turns the default at the end of a description into a separate sentence if the description has several sentences.

    The function changes the schema and the nested schemas in place.
    """
    description = node.get("description")
    if isinstance(description, str) and ". " in description.partition("; default: ")[0]:
        node["description"] = description.replace("; default: ", ". Default: ", 1)
    for child in [*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")]:
        if isinstance(child, dict):
            separate_defaults(child)


def structural(model: type[BaseModel], defaults: bool = True) -> Json:
    """Returns the schema of a pydantic model, with field aliases as names and with inlined references.

    If `defaults` is true, the schema contains the operator's defaults, except the defaults of fields inside lists and
    maps. If the API server added a default to a list item, tools such as Argo CD would report a difference, because
    these tools compare a list as a whole. The operator itself applies its defaults inside lists and maps, and the
    descriptions of these fields name the defaults.
    """
    schema = model.model_json_schema(by_alias=True, schema_generator=_Nodes)
    return _fold(schema, schema.get("$defs", {}), _write_default if defaults else _omit_default)


WriteDefault = Callable[[Json, Json], None]
"""A function that writes the default of a pydantic schema node into the converted node of the CRD."""


def _fold(node: Json, definitions: Json, write_default: WriteDefault) -> Json:
    node = _inlined(node, definitions)
    folded = {key: value for key, value in node.items() if key not in _DROPPED}
    if "properties" in node:
        children = node["properties"].items()
        folded["properties"] = {name: _fold(child, definitions, write_default) for name, child in children}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            in_values = _describe_own_default if write_default is _write_default else write_default
            folded[key] = _fold(node[key], definitions, in_values)
    _write_any(folded, node)
    _write_remedy(folded)
    _write_bounds(folded, node)
    write_default(folded, node)
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
        # Without `nullable`, the API server would drop each value of the map that is null.
        folded["additionalProperties"] = {OPEN: True, "nullable": True}


def _write_remedy(folded: Json) -> None:
    """Replaces the pattern of a node with a CEL rule if the node has an error message for the pattern.

    The API server's own error message would quote the pattern, but would not explain which values are valid.
    """
    if message := folded.pop(REMEDY, None):
        rule = {"rule": f"self.matches(r'{folded.pop('pattern')}')", "message": message}
        folded[RULES] = [rule, *folded.get(RULES, ())]


def _write_bounds(folded: Json, node: Json) -> None:
    if "exclusiveMinimum" in node:
        folded |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
    names = node.get("propertyNames", {})
    # The API server rejects a rule that reads a map with untyped values.
    if "maxLength" in names and not folded.get("additionalProperties", {}).get(OPEN, False):
        minimum, maximum = names.get("minLength", 0), names["maxLength"]
        allowed = f"{minimum} to {maximum}" if minimum else f"at most {maximum}"
        rule = {
            "rule": f"self.all(key, size(key) >= {minimum} && size(key) <= {maximum})",
            "message": f"each key of the map must have {allowed} characters. Choose another key",
        }
        folded[RULES] = [*folded.get(RULES, ()), rule]


def _omit_default(_folded: Json, _node: Json) -> None:
    """Does nothing, so that the converted node of the CRD has no default."""


def _describe_own_default(folded: Json, node: Json) -> None:
    if "default" in node:
        folded["default"] = node["default"]
        _describe_default(folded)


def _write_default(folded: Json, node: Json) -> None:
    default = node.get("default")
    if default is None or default == []:
        return
    if not isinstance(default, dict):
        folded["default"] = default
    elif filled := defaults_of(folded):
        folded["default"] = filled


def defaults_of(node: Json) -> Json:
    """Returns the defaults of an object's fields, including the defaults of nested fields.

    The result includes the defaults of nested fields, because the API server checks each default against the CEL
    rules before the API server adds nested defaults.
    """
    return {name: child["default"] for name, child in node.get("properties", {}).items() if "default" in child}
