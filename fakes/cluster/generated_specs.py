"""Generates specs that match the CRD's schema, for property tests."""

from __future__ import annotations

import re
import string
from typing import Any

from hypothesis import strategies as st
from rl_router_operator.generate.crd import definition
from rl_router_operator.generate.openapi import OPEN, RULES

Node = dict[str, Any]
_WHOLE_VALUE = re.compile(r"self\.matches\(r'(.*)'\)")
_FIELD = re.compile(r"self\.(\w+)\.matches\(r'(.*)'\)")
_OPTIONAL_FIELDS = 5
_KEYS = st.one_of(st.sampled_from(["cpu", "memory", "example.com/team"]), st.text(string.ascii_letters, min_size=1))


def schema() -> Node:
    """Returns the schema of the field `spec` in the CRD of RouterDeployments."""
    return definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def specs() -> st.SearchStrategy[Node]:
    """Returns a strategy that generates specs with the types, sizes and patterns of the CRD's schema.

    Some generated specs violate other rules of the CRD, for example rules that compare several fields.
    """
    return _of(schema())


def urls() -> st.SearchStrategy[str]:
    """Returns a strategy that generates valid values of the field `baseUrl` of a target."""
    target = schema()["properties"]["targets"]["items"]
    (pattern,) = (match[2] for rule in target[RULES] if (match := _FIELD.fullmatch(rule["rule"])))
    return _matching(pattern)


def _of(node: Node, pattern: str | None = None) -> st.SearchStrategy[Any]:
    values = _values(node, pattern)
    return st.none() | values if node.get("nullable") else values


def _values(node: Node, pattern: str | None) -> st.SearchStrategy[Any]:
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return _quantities()
    if node.get(OPEN) and "maxLength" in node:
        return _quantities() | st.floats(0, 1000)
    if node.get(OPEN):
        return st.dictionaries(st.text(max_size=5), st.integers(), max_size=2)
    return {
        "object": _objects,
        "array": _lists,
        "string": lambda node: _strings(node, pattern),
        "integer": lambda node: st.integers(node.get("minimum", 0), node.get("maximum", 2**40)),
        "number": lambda node: st.floats(node["minimum"], node["maximum"], exclude_min="exclusiveMinimum" in node),
        "boolean": lambda _: st.booleans(),
    }[node["type"]](node)


def _quantities() -> st.SearchStrategy[int | str]:
    return st.integers(0, 2**40) | _matching(r"^[0-9]{1,18}(\.[0-9]{1,9})?(m|[kMGTPE]|[KMGTPE]i)?$")


def _objects(node: Node) -> st.SearchStrategy[Node]:
    if "properties" not in node:
        return st.dictionaries(_KEYS, _of(node["additionalProperties"]), max_size=2)
    patterns = dict(match.groups() for rule in node.get(RULES, ()) if (match := _FIELD.fullmatch(rule["rule"])))
    fields = {name: _of(child, patterns.get(name)) for name, child in node["properties"].items()}
    required = {*node.get("required", ())}
    optional = sorted(fields.keys() - required)
    chosen = st.lists(st.sampled_from(optional), unique=True, max_size=_OPTIONAL_FIELDS) if optional else st.just([])
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in [*required, *names]}))


def _lists(node: Node) -> st.SearchStrategy[list[Any]]:
    keys = node.get("x-kubernetes-list-map-keys")
    minimum = node.get("minItems", 0)
    unique_by = (lambda item: tuple(item[key] for key in keys)) if keys else None
    return st.lists(_of(node["items"]), min_size=minimum, max_size=minimum + 2, unique_by=unique_by)


def _strings(node: Node, pattern: str | None) -> st.SearchStrategy[str]:
    in_rules = [match[1] for rule in node.get(RULES, ()) if (match := _WHOLE_VALUE.fullmatch(rule["rule"]))]
    minimum, maximum = node.get("minLength", 0), node["maxLength"]
    for candidate in (pattern, node.get("pattern"), *in_rules):
        if candidate:
            return _matching(candidate).filter(lambda text: minimum <= len(text) <= maximum)
    return st.text(st.characters(codec="utf-8"), min_size=minimum, max_size=min(maximum, minimum + 10))


def _matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(re.compile(pattern.removeprefix("^").removesuffix("$"), re.ASCII), fullmatch=True)
