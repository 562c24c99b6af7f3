"""Parses the chart's values.yaml.

Each parsed value has a path, a comment and the tags of the comment, and may have a default. The comments in values.yaml
follow the conventions of the project cert-manager. A comment describes the key in the line below the comment. The tag
`+docs:section=…` begins a section of the README. The tag `+docs:property` marks a key that is commented out. A key that
is commented out is a value without a default. The tags `+docs:type=…`, `+docs:items=…`, `+docs:enum=…`,
`+docs:schema=…` and `+docs:pattern=…` restrict the value. The pattern applies to the items of the value. The tag
`+docs:hidden` omits the value from the README.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

_KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z]\w*):")
_COMMENT = re.compile(r"^(?P<indent> *)# ?(?P<text>.*)$")
_TAG = re.compile(r"^\+docs:(?P<name>\w+)(=(?P<value>.*))?$")


@dataclass(frozen=True)
class Value:
    """A value of the chart.

    The attribute `default` is None for a value without a default. The attribute `about` contains the paragraphs of the
    comment on the value.
    """

    path: tuple[str, ...]
    default: Any
    about: tuple[str, ...]
    tags: dict[str, str]
    section: str

    @property
    def hidden(self) -> bool:
        """Returns whether the README omits the value."""
        return "hidden" in self.tags


@dataclass
class _Comment:
    lines: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, text: str) -> None:
        tag = _TAG.match(text)
        if tag:
            self.tags[tag["name"]] = tag["value"] or ""
        else:
            self.lines.append(text)

    @property
    def paragraphs(self) -> tuple[str, ...]:
        joined = "\n".join(self.lines).strip("\n").split("\n\n")
        return tuple(" ".join(paragraph.split()) for paragraph in joined if paragraph.strip())


def read(text: str) -> list[Value]:
    """Returns the values that have a comment in values.yaml, in the order of the file. `text` is the file's text."""
    return list(_values(text))


def defaults(values: Iterable[Value]) -> dict[str, Any]:
    """Returns the defaults that the chart uses instead of null values.

    The result has no default for an object in a format of Kubernetes whose default is not empty, such as `resources`,
    so that null removes the object.
    """
    tree: dict[str, Any] = {}
    for value in values:
        if value.default is None or (isinstance(value.default, dict) and value.default):
            continue
        node = tree
        for name in value.path[:-1]:
            node = node.setdefault(name, {})
        node[value.path[-1]] = value.default
    return tree


def _values(text: str) -> Iterator[Value]:
    defaults, section, comment = yaml.safe_load(text), "", _Comment()
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        if key := _KEY.match(line):
            parents = [*_above(parents, key), (len(key["indent"]), key["name"])]
            if comment.lines or comment.tags:
                path = tuple(name for _, name in parents)
                yield Value(path, _at(defaults, path), comment.paragraphs, comment.tags, section)
            comment = _Comment()
        elif remark := _COMMENT.match(line):
            unset = "property" in comment.tags and _KEY.match(remark["text"])
            if unset:
                path = (*(name for _, name in _above(parents, remark)), unset["name"])
                yield Value(path, None, comment.paragraphs, comment.tags, section)
                comment = _Comment()
            else:
                comment.add(remark["text"])
                section = comment.tags.pop("section", section)
        elif not line.strip():
            comment = _Comment()


def _above(parents: list[tuple[int, str]], line: re.Match[str]) -> list[tuple[int, str]]:
    return [parent for parent in parents if parent[0] < len(line["indent"])]


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values[name]
    return values
