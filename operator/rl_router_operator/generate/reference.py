"""docs/routerdeployment.md: every field of a RouterDeployment with its type, its default, its meaning and its rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from .crd import definition
from .openapi import OPEN, RULES, Json

_INTRODUCTION = """\
# The RouterDeployment

<!-- Written by `python -m rl_router_operator.generate`; not to be edited. -->

Every field of a RouterDeployment. The guide is [kubernetes.md](kubernetes.md); [samples/](../samples) has whole ones.
`kubectl explain rd.spec.model` says the same on a cluster.

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

Only the fields marked so are required: `spec: {}` is a router of the bundled model on a CPU, between its own names.
Prices are US dollars per million tokens, as decimal numbers in quotes; durations are seconds. A default in **bold** is
written into the object by the API server; any other is that of the operator or the router API that runs, and may change
with its version. What breaks a rule is refused when it is applied, with the field's path and the remedy.
"""


@dataclass(frozen=True)
class _Row:
    path: str
    node: Json
    required: bool


def text() -> str:
    """The whole page."""
    root = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec, status = root["properties"]["spec"], root["properties"]["status"]
    model, api = spec["properties"]["model"], spec["properties"]["api"]
    tiers = [name for name in model["properties"] if name in api["properties"] and name != "replicas"]
    rest = _without({**spec, RULES: []}, "model", "api", "routing", "targets")
    told: set[str] = set()
    sections = [
        _section("`metadata` and the whole", {"type": "object", RULES: root[RULES]}, "", told),
        _section("`spec.model`: the router model", _without(model, *tiers), "model", told),
        _section("`spec.api`: the router API", _without(api, *tiers), "api", told),
        _section("Both tiers: `spec.model` and `spec.api`", _only(model, *tiers), "", told),
        _section("`spec.routing`: how it is decided", spec["properties"]["routing"], "routing", told),
        _section("`spec.targets`: the models that answer", {**_only(spec, "targets"), RULES: spec[RULES]}, "", told),
        _section("`spec`: the rest", rest, "", told),
        _section("`status`: how it is", status, "", told),
    ]
    return "\n".join([_INTRODUCTION, *sections])


def _without(node: Json, *names: str) -> Json:
    return {**node, "properties": {name: child for name, child in node["properties"].items() if name not in names}}


def _only(node: Json, *names: str) -> Json:
    return {"type": "object", "properties": {name: node["properties"][name] for name in names}}


def _section(title: str, node: Json, prefix: str, told: set[str]) -> str:
    """`told`: the rules' words so far; a rule of a type that is used everywhere is told once."""
    rows = [*_rows(node, prefix)]
    lines = [f"## {title}", ""]
    if rows:
        lines += ["| field | type | default | meaning |", "| --- | --- | --- | --- |", *map(_line, rows), ""]
    if rules := [*_rules(_Row(prefix, node, required=False), rows, told)]:
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
    meaning, _, told_default = row.node["description"].replace("|", "\\|").partition("default: ")
    default = "required" if row.required else _written_default(row.node) or told_default
    return f"| `{row.path}` | {_type(row.node)} | {default} | {meaning.removesuffix('; ')} |"


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
    above = "above " if node.get("exclusiveMinimum") else ""
    least, most = node.get("minimum"), node.get("maximum")
    if least is None:
        return ""
    return f", {above}{least:,}" + (f" to {most:,}" if most is not None else " at least" if not above else "")


def _rules(whole: _Row, rows: list[_Row], told: set[str]) -> Iterator[str]:
    for path, rule in _each_rule([whole, *rows]):
        if rule["message"] not in told:
            told.add(rule["message"])
            yield f"- `{path}`: {rule['message']}" if path else f"- {rule['message']}"


def _each_rule(rows: list[_Row]) -> Iterator[tuple[str, Json]]:
    for row in rows:
        for path, node in _with_values(row):
            for rule in node.get(RULES, ()):
                yield (path + rule.get("fieldPath", "")).removeprefix("."), rule


def _with_values(row: _Row) -> Iterator[tuple[str, Json]]:
    """The field, and what a list or a map of it holds."""
    yield row.path, row.node
    for key, suffix in (("items", "[]"), ("additionalProperties", "")):
        if key in row.node:
            yield row.path + suffix, row.node[key]
