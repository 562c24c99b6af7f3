"""Finds the targets and the answers that a chat completion request offers for a decision.

A request offers targets by tools with names such as `call_NAME`, and answers by the tool `select_response`. Without
tools, a request offers targets and answers by a JSON schema that allows only `{"ask": NAME}` and `{"select": CALL_ID}`.
A property with a name other than `ask` and `select` offers targets too, if all values of the property begin with
`call_`. A request does not ask for a decision if it offers nothing, offers anything else, asks for several answers,
forbids tool calls, or demands one certain tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

PREFIX, SELECT = "call_", "select_response"
_ASK, _SELECT = "ask", "select"
_FREE_CHOICE = (None, "auto", "required")


@dataclass(frozen=True)
class Offer:
    """What a request offers.

    The keys of `names` are the names by which the answer can call targets: names of tools or of targets. Each value is
    the name of the schema's property that allows the key, or an empty string without a schema. The attribute
    `selectable` contains the ids of the calls whose answers can be selected. If `selectable` is None, all answers can
    be selected.
    """

    way: Literal["tools", "json_schema"]
    names: Mapping[str, str]
    selectable: frozenset[str] | None = frozenset()

    def selects(self, call_id: str) -> bool:
        """Returns whether the answer of a call can be selected."""
        return self.selectable is None or call_id in self.selectable


def offer_of(fields: Mapping[str, Any]) -> Offer | None:
    """Returns what the body of a request offers, or None if the request does not ask for a decision."""
    if fields.get("n") not in (None, 1):
        return None
    tools = fields.get("tools")
    return _by_tools(tools, fields.get("tool_choice")) if tools else _by_schema(fields.get("response_format"))


def _by_tools(tools: Any, choice: Any) -> Offer | None:
    names = _tool_names(tools) if isinstance(tools, list) else []
    if not names or not all(map(_is_offered, names)) or not _is_free(choice):
        return None
    targets = {name: "" for name in names if name != SELECT}
    return Offer("tools", targets, None if SELECT in names else frozenset())


def _is_free(choice: Any) -> bool:
    return isinstance(choice, str | None) and choice in _FREE_CHOICE


def _tool_names(tools: list[Any]) -> list[str]:
    """Returns the names of the tools' functions. Without a function name, the result contains ""."""
    functions = [tool.get("function") if isinstance(tool, dict) else None for tool in tools]
    names = [function.get("name") if isinstance(function, dict) else None for function in functions]
    return [name if isinstance(name, str) else "" for name in names]


def _is_offered(name: str) -> bool:
    return name.startswith(PREFIX) or name == SELECT


def _by_schema(form: Any) -> Offer | None:
    described = form.get("json_schema") if isinstance(form, dict) and form.get("type") == "json_schema" else None
    schema = described.get("schema") if isinstance(described, dict) else None
    if not isinstance(schema, dict):
        return None
    forms = schema.get("anyOf", [schema])
    found = [_only_property(each) for each in forms] if isinstance(forms, list) else []
    known = [each for each in found if each is not None and _is_decision(*each)]
    if not known or len(known) != len(found):
        return None
    names = {value: name for name, values in known if name != _SELECT for value in values}
    selectable = [value for name, values in known if name == _SELECT for value in values]
    return Offer("json_schema", names, frozenset(selectable))


def _only_property(form: Any) -> tuple[str, list[str]] | None:
    """Returns the only property in the schema of an object, with the values that the property can have.

    Returns None if the schema does not have exactly one property, or if it does not list the values as strings.
    """
    properties = form.get("properties") if isinstance(form, dict) else None
    if not isinstance(properties, dict) or len(properties) != 1:
        return None
    ((name, schema),) = properties.items()
    values = schema.get("enum") if isinstance(schema, dict) else None
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        return None
    return name, values


def _is_decision(name: str, values: list[str]) -> bool:
    return name in (_ASK, _SELECT) or all(value.startswith(PREFIX) for value in values)
