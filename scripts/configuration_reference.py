"""Implements `python scripts/configuration_reference.py [--check]`, which generates docs/configuration.md's tables.

The tables come from the schema in router_api/rl_router_api/config/schema.py. The text of docs/configuration.md outside
the tables is written by hand. With `--check`, the program writes nothing and prints a message if docs/configuration.md
would change.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema
from rl_router_api.config import Configuration
from rl_router_api.config.layer import as_flag_text
from rl_router_operator.generate.output import ROOT, replace_between, update

PAGE = "docs/configuration.md"
HEAD = "| field | type | default | meaning |\n| --- | --- | --- | --- |\n"

Json = Mapping[str, Any]


class _OwnFieldsFirst(GenerateJsonSchema):
    """Generates a schema in which the own fields of a pydantic model precede the model's inherited fields."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        generated = super().model_schema(schema)
        own = inspect.get_annotations(schema["cls"])
        fields = sorted(generated["properties"].items(), key=lambda field: field[0] not in own)
        return {**generated, "properties": dict(fields)}


def page(text: str, schema: Json) -> str:
    """Returns the text of docs/configuration.md with a new table in every section.

    Raises ValueError if a marker before or after the table of a section is missing.
    """
    for section, node in schema["properties"].items():
        table = HEAD + "".join(_rows(_plain(node, schema["$defs"]), section, schema["$defs"]))
        text = replace_between(f"<!-- {section}: begin -->", f"<!-- {section}: end -->", text, f"\n{table}")
    return text


def _rows(node: Json, prefix: str, definitions: Json) -> Iterator[str]:
    """Yields a table row for every field of an object or of the objects in a list or map, including nested fields."""
    inner = node.get("items") or node.get("additionalProperties")
    owner = _plain(inner, definitions) if isinstance(inner, dict) else node
    for name, child in owner.get("properties", {}).items():
        path, field = f"{prefix}.{name}", _plain(child, definitions)
        meaning, _, default = field["description"].replace("|", "\\|").partition("; default: ")
        shown = "required" if name in owner.get("required", ()) else default or _default(field)
        yield f"| `{path}` | {_type(field, definitions)} | {shown} | {meaning[:1].upper()}{meaning[1:]} |\n"
        yield from _rows(field, path, definitions)


def _plain(node: Json, definitions: Json) -> Json:
    """Returns a node of the schema with the referenced node's content.

    If the node allows null and one other type, null is removed.
    """
    options = [option for option in node.get("anyOf", ()) if option.get("type") != "null"]
    inner = options[0] if len(options) == 1 else definitions.get(node.get("$ref", "").rpartition("/")[2])
    if inner is None:
        return node
    return {**_plain(inner, definitions), **{key: node[key] for key in node if key not in ("$ref", "anyOf")}}


def _default(field: Json) -> str:
    default = field.get("default")
    if default in (None, [], "") or isinstance(default, dict):
        return "none"
    return f"`{default if isinstance(default, str) else as_flag_text(default)}`"


def _type(node: Json, definitions: Json) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "anyOf" in node:  # Decimal numbers have `anyOf`: pydantic accepts a number or a string.
        words = [_type(option, definitions) for option in node["anyOf"] if "enum" in option]
        return ", ".join([*words, "decimal number"])
    if node.get("type") == "array":
        return f"list of {_type(_plain(node['items'], definitions), definitions)}"
    if node.get("type") == "object":
        return "object" if "properties" in node else "map"
    return f"{node['type']}{_range(node)}"


def _range(node: Json) -> str:
    minimum, above, maximum = (node.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
    if minimum is None and above is None:
        return ""
    low, to = (f"above {above:,}", "and at most") if minimum is None else (f"{minimum:,}", "to")
    return f", {low} {to} {maximum:,}" if maximum is not None else f", at least {low}"


def main() -> int:
    """Runs the generator, and returns the exit status: 1 if `--check` finds that the page would change, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python scripts/configuration_reference.py", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing and print a message if the page would change"
    )
    check = parser.parse_args().check
    schema = Configuration.model_json_schema(schema_generator=_OwnFieldsFirst)
    text = page((ROOT / PAGE).read_text("utf-8"), schema)
    return update({PAGE: text}, check=check, command="make reference")


if __name__ == "__main__":
    sys.exit(main())
