"""Reads the configuration: flags before environment before file before defaults; errors name their field."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from .config import Configuration

PREFIX = "RL_ROUTER_"
FILE_VARIABLE = "RL_ROUTER_CONFIG"
_HANDED_OVER = "RL_ROUTER_COMMAND_LINE"


class ConfigurationError(Exception):
    """The configuration cannot be used; the message is one line that names the field and the remedy."""


def read(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Configuration:
    """The configuration from all its sources; `flags` maps dotted fields (`routing.max_turns`) to values.

    Raises ConfigurationError.
    """
    values = _from_file(path) if path else {}
    for field, text in _from_environment(environment).items():
        _put(values, field, text)
    for field, value in flags.items():
        _put(values, field, value)
    try:
        return Configuration.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_lines(error, path))) from None


def add_flags(parser: argparse._ActionsContainer) -> None:
    """One flag for every field of every section (`--routing.max-turns 3`), its value read as YAML."""
    for field, description in _fields():
        parser.add_argument(
            f"--{field.replace('_', '-')}", dest=field, metavar="VALUE", type=_yaml_value, default=argparse.SUPPRESS,
            help=(description or "").replace("%", "%%") or argparse.SUPPRESS,
        )  # fmt: skip


def chosen_flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those of `add_flags`' flags that were given, by dotted field."""
    return {field: getattr(arguments, field) for field, _ in _fields() if hasattr(arguments, field)}


def _fields() -> Sequence[tuple[str, str | None]]:
    fields: list[tuple[str, str | None]] = []
    for section, info in Configuration.model_fields.items():
        model = _model_of(info.annotation)
        if model is None:
            fields.append((section, info.description))
        else:
            fields += [(f"{section}.{name}", field.description) for name, field in model.model_fields.items()]
    return fields


def _model_of(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _yaml_value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"not YAML: {text!r}") from error


def _from_file(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from None
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigurationError(f"{path}: {where}is not YAML: {getattr(error, 'problem', error)}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: must be a mapping with the keys {', '.join(Configuration.model_fields)}")
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for variable, text in environment.items():
        field = variable.removeprefix(PREFIX).lower().replace("__", ".")
        # Kubernetes sets variables such as RL_ROUTER_PORT for a Service called rl-router: only our sections are ours.
        if variable.startswith(PREFIX) and field.split(".")[0] in Configuration.model_fields and (
            "." in field or field == "targets"
        ):  # fmt: skip
            try:
                found[field] = yaml.safe_load(text)
            except yaml.YAMLError:
                raise ConfigurationError(f"{variable}: is not YAML: {text!r}") from None
    return found


def _put(values: dict[str, Any], field: str, value: Any) -> None:
    *sections, name = field.split(".")
    for section in sections:
        # A section that the file leaves empty, or fills with something else, gives way to the stronger source.
        if not isinstance(values.get(section), dict):
            values[section] = {}
        values = values[section]
    values[name] = value


def _lines(error: ValidationError, path: str | None) -> list[str]:
    return [_line(detail, path) for detail in error.errors(include_url=False, include_context=False)[:5]]


def _line(detail: Any, path: str | None) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    given = detail["input"]
    if not isinstance(given, (dict, list, tuple)) and detail["type"] not in ("value_error", "missing"):
        message += f" (got {given!r})"
    return ": ".join(part for part in (path, where, message) if part)


def hand_over(path: str | None, flags: Mapping[str, Any]) -> None:
    """Leaves in the environment what `from_process` needs: a server's workers are processes of their own."""
    os.environ[_HANDED_OVER] = json.dumps({"path": path, "flags": dict(flags)})


def from_process() -> Configuration:
    """The configuration that this process was started with. Raises ConfigurationError."""
    handed = json.loads(os.environ.get(_HANDED_OVER, "{}"))
    path = handed.get("path") or os.environ.get(FILE_VARIABLE) or None
    return read(path, os.environ, handed.get("flags", {}))
