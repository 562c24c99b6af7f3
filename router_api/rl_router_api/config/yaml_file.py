"""Reads YAML files of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from ..errors import ConfigurationError


def text_of(path: str) -> str:
    """Returns the text of a file. Raises ConfigurationError if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise ConfigurationError(f"{path}: is not UTF-8 text. Save it as UTF-8") from None
        reason = getattr(error, "strerror", None) or "the name is not a valid file name"
        raise ConfigurationError(f"{path}: cannot be read: {reason}. Fix the path or the permissions") from None


def parsed(text: str, path: str, model: type[BaseModel]) -> dict[str, Any]:
    """Returns the values of the file `path`, whose keys are the fields of `model`.

    Raises ConfigurationError if the text is not YAML, is empty or is not a mapping.
    """
    try:
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigurationError(f"{path}: {line}is not YAML: {_problem(error)}. Fix the syntax") from None
    sections = ", ".join(model.model_fields)
    if values is None or values == {}:
        raise ConfigurationError(f"{path}: is empty. Write a section ({sections}), or start without a file")
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: must be a mapping with the keys {sections}")
    return values


class _Loader(yaml.SafeLoader):
    """A YAML loader that rejects duplicate keys. PyYAML would silently keep only the last value of a duplicate key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    problem = f"duplicate key `{key.value}`"
                    raise yaml.constructor.ConstructorError(problem=problem, problem_mark=key.start_mark)
                keys.add(key.value)
        return super().construct_mapping(node, deep)


def _problem(error: Exception) -> str:
    """Returns PyYAML's error message on one line. PyYAML raises ValueError for an invalid date."""
    return " ".join(str(getattr(error, "problem", None) or error).split())
