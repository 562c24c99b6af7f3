"""Reads the configuration file, and parses the YAML of the configuration file and of the keys file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from ..errors import ConfigurationError


def text_of(path: str) -> str:
    """Returns the text of a file. Raises ConfigurationError if the file cannot be read or is not UTF-8 text."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise ConfigurationError(f"{path}: the file is not UTF-8 text. Save the file as UTF-8") from None
        reason = getattr(error, "strerror", None) or "the name is not a valid file name"
        remedy = "Fix the path or the permissions of the file"
        raise ConfigurationError(f"{path}: the file cannot be read: {reason}. {remedy}") from None


def value_of(text: str) -> Any:
    """Returns the value of a YAML text.

    Raises ValueError if the text is not YAML or contains a duplicate key. The error names the problem, and the line if
    PyYAML reports a line.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{line}the file is not valid YAML: {_problem(error)}") from None


def parsed(text: str, path: str, model: type[BaseModel]) -> dict[str, Any]:
    """Returns the settings in `text`, the content of the file `path`. `model` has a field for each valid top-level key.

    Raises ConfigurationError if the text is not YAML, has a duplicate key, has no settings or is not a mapping.
    """
    try:
        values = value_of(text)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}. Fix the syntax of the file") from None
    sections = ", ".join(model.model_fields)
    if values is None or values == {}:
        remedy = f"Write one or more of the keys {sections} into the file, or start the program without the file"
        raise ConfigurationError(f"{path}: the file contains no settings. {remedy}")
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{path}: the file must be a mapping. Write one or more of the keys {sections} into the file"
        )
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
    """Returns the message of PyYAML's error on one line. For an invalid date, PyYAML raises a ValueError."""
    return " ".join(str(getattr(error, "problem", None) or error).split())
