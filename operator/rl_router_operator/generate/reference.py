"""Builds the page docs/routerdeployment.md with the types, defaults and rules of all fields of a RouterDeployment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from .crd import definition
from .openapi import OPEN, RULES, Json

_INTRODUCTION = """\
# The RouterDeployment

<!-- `python -m rl_router_operator.generate` wrote this page. Do not edit. -->

This page lists every field of a RouterDeployment. [kubernetes.md](kubernetes.md) is the guide to
RouterDeployments, and the folder [samples/](../samples) has complete examples. If a cluster has the CRD, the command
`kubectl explain rd.spec.model` shows the descriptions of the fields of `spec.model`.

```yaml
apiVersion: rlrouter.dev/v1alpha1
kind: RouterDeployment
metadata:
  name: demo
spec:
  targets:
    - name: gpt-6-luna
      baseUrl: https://api.openai.com/v1
      apiKeySecretRef:
        name: openai
        key: api-key
      price:
        input: "0.10"
        cachedInput: "0.01"
        output: "0.50"
```

A field marked `required` must be set if the object that contains the field is set. With `spec: {}`, the bundled model
runs on a CPU and is both the router model and the only target. Prices are decimal numbers in quotes, in US dollars per
million tokens or per request. Durations are in seconds. A default is in **bold** if the API server adds the default to
the RouterDeployment. Other components, such as the operator and the router API, apply all other defaults, which may
change when these components are upgraded. If a RouterDeployment breaks a rule, the API server rejects the
RouterDeployment with a message that names the field and explains the rule.
"""


@dataclass(frozen=True)
class _Row:
    path: str
    node: Json
    required: bool


def text() -> str:
    """Returns the text of the page docs/routerdeployment.md."""
    root = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec, status = root["properties"]["spec"], root["properties"]["status"]
    model, api = spec["properties"]["model"], spec["properties"]["api"]
    tiers = [name for name in model["properties"] if name in api["properties"] and name != "replicas"]
    rest = _without({**spec, RULES: []}, "model", "api", "routing", "targets")
    seen: set[str] = set()
    sections = [
        _section("The whole object", {"type": "object", RULES: root[RULES]}, "", seen),
        _section("`spec.model`: the router model", _without(model, *tiers), "model", seen),
        _section("`spec.api`: the router API", _without(api, *tiers), "api", seen),
        _section("`spec.model` and `spec.api`: common fields", _only(model, *tiers), "", seen),
        _section("`spec.routing`: how requests are routed", spec["properties"]["routing"], "routing", seen),
        _section("`spec.targets`: the target models", {**_only(spec, "targets"), RULES: spec[RULES]}, "", seen),
        _section("`spec`: other fields", rest, "", seen),
        _section("`status`: the state of the router", status, "", seen),
    ]
    return "\n".join([_INTRODUCTION, *sections])


def _without(node: Json, *names: str) -> Json:
    return {**node, "properties": {name: child for name, child in node["properties"].items() if name not in names}}


def _only(node: Json, *names: str) -> Json:
    return {"type": "object", "properties": {name: node["properties"][name] for name in names}}


def _section(title: str, node: Json, prefix: str, seen: set[str]) -> str:
    """Returns a section of docs/routerdeployment.md: the title, a table of the fields in `node`, and the fields' rules.

    The set `seen` contains the messages of the rules in earlier sections, so that each rule is in only one section of
    the page.
    """
    rows = [*_rows(node, prefix)]
    lines = [f"## {title}", ""]
    if rows:
        lines += ["| field | type | default | meaning |", "| --- | --- | --- | --- |", *map(_line, rows), ""]
    if rules := [*_rules(_Row(prefix, node, required=False), rows, seen)]:
        lines += [*(["Rules:", ""] if rows else []), *rules, ""]
    return "\n".join(lines)


def _rows(node: Json, prefix: str) -> Iterator[_Row]:
    for name, child in node.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        yield _Row(path, child, name in node.get("required", ()))
        if child.get("type") == "array":
            yield from _rows(child["items"], f"{path}[]")
        else:
            yield from _rows(child, path)


def _line(row: _Row) -> str:
    meaning, described_default = _without_default(row.node["description"].replace("|", "\\|"))
    default = "required" if row.required else _written_default(row.node) or described_default
    return f"| `{row.path}` | {_type(row.node)} | {default} | {meaning} |"


def _without_default(description: str) -> tuple[str, str]:
    """Splits a field's description into the meaning and the default, and returns the two parts.

    The default is an empty string if the description names no default.
    """
    for mark in ("; default: ", ". Default: "):
        meaning, found, default = description.partition(mark)
        if found:
            return meaning, default
    return description, ""


def _written_default(node: Json) -> str:
    default = node.get("default")
    if default is None or isinstance(default, dict):
        return ""
    return f"**`{default if isinstance(default, str) else json.dumps(default)}`**"


def _type(node: Json) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if node.get(OPEN):
        return "object" if node.get("type") else "any"
    if node.get("x-kubernetes-int-or-string"):
        return "quantity"
    return _of_kind(node)


def _of_kind(node: Json) -> str:
    kind = node["type"]
    if kind == "array":
        return "list" if "properties" in node["items"] else f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map to {_type(node['additionalProperties'])}"
    return f"{kind}{_range(node)}"


def _range(node: Json) -> str:
    above, to = ("above ", "and at most") if node.get("exclusiveMinimum") else ("", "to")
    minimum, maximum = node.get("minimum"), node.get("maximum")
    if minimum is None:
        return ""
    return f", {above}{minimum:,}" + (f" {to} {maximum:,}" if maximum is not None else " or more" if not above else "")


def _rules(whole: _Row, rows: list[_Row], seen: set[str]) -> Iterator[str]:
    for path, rule in _rules_with_paths([whole, *rows]):
        if rule["message"] not in seen:
            seen.add(rule["message"])
            yield f"- `{path}`: {rule['message']}" if path else f"- {rule['message']}"


def _rules_with_paths(rows: list[_Row]) -> Iterator[tuple[str, Json]]:
    for row in rows:
        for path, node in _with_values(row):
            for rule in node.get(RULES, ()):
                yield (path + rule.get("fieldPath", "")).removeprefix("."), rule


def _with_values(row: _Row) -> Iterator[tuple[str, Json]]:
    """Yields the path and schema of a field.

    If the field is a list or map, also yields the path and schema of the list's items or of the map's values.
    """
    yield row.path, row.node
    for key, suffix in (("items", "[]"), ("additionalProperties", "")):
        if key in row.node:
            yield row.path + suffix, row.node[key]
