"""Specs that meet the generated schema, for property tests."""

from __future__ import annotations

import re
import string
from typing import Any

from hypothesis import strategies as st
from rl_router_operator.generate.crd import definition
from rl_router_operator.generate.openapi import OPEN, RULES

Node = dict[str, Any]
_WHOLE = re.compile(r"self\.matches\(r'(.*)'\)")
_FIELD = re.compile(r"self\.(\w+)\.matches\(r'(.*)'\)")
_OPTIONAL_FIELDS = 5
_KEYS = st.one_of(st.sampled_from(["cpu", "memory", "example.com/team"]), st.text(string.ascii_letters, min_size=1))


def schema() -> Node:
    """That of `spec`, as the CRD has it."""
    return definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def specs() -> st.SearchStrategy[Node]:
    """Every value that the schema's types, bounds and patterns take; not every one keeps the rules between fields."""
    return _of(schema())


def urls() -> st.SearchStrategy[str]:
    """What a target's `baseUrl` may be."""
    target = schema()["properties"]["targets"]["items"]
    (pattern,) = (found[2] for rule in target[RULES] if (found := _FIELD.fullmatch(rule["rule"])))
    return _matching(pattern)


def _of(node: Node, pattern: str | None = None) -> st.SearchStrategy[Any]:
    values = _values(node, pattern)
    return st.none() | values if node.get("nullable") else values


def _values(node: Node, pattern: str | None) -> st.SearchStrategy[Any]:
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return st.integers(0, 2**40) | _matching(node["pattern"])
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


def _objects(node: Node) -> st.SearchStrategy[Node]:
    if "properties" not in node:
        return st.dictionaries(_KEYS, _of(node["additionalProperties"]), max_size=2)
    patterns = dict(found.groups() for rule in node.get(RULES, ()) if (found := _FIELD.fullmatch(rule["rule"])))
    fields = {name: _of(child, patterns.get(name)) for name, child in node["properties"].items()}
    required = {*node.get("required", ())}
    optional = sorted(fields.keys() - required)
    chosen = st.lists(st.sampled_from(optional), unique=True, max_size=_OPTIONAL_FIELDS) if optional else st.just([])
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in [*required, *names]}))


def _lists(node: Node) -> st.SearchStrategy[list[Any]]:
    keys = node.get("x-kubernetes-list-map-keys")
    least = node.get("minItems", 0)
    unique_by = (lambda item: tuple(item[key] for key in keys)) if keys else None
    return st.lists(_of(node["items"]), min_size=least, max_size=least + 2, unique_by=unique_by)


def _strings(node: Node, pattern: str | None) -> st.SearchStrategy[str]:
    written = [found[1] for rule in node.get(RULES, ()) if (found := _WHOLE.fullmatch(rule["rule"]))]
    least, most = node.get("minLength", 0), node["maxLength"]
    for given in (pattern, node.get("pattern"), *written):
        if given:
            return _matching(given).filter(lambda text: least <= len(text) <= most)
    return st.text(st.characters(codec="utf-8"), min_size=least, max_size=min(most, least + 10))


def _matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(re.compile(pattern.removeprefix("^").removesuffix("$"), re.ASCII), fullmatch=True)
