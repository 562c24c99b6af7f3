"""Reads the configuration: flags before environment before file before defaults; errors name their field."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from .. import policies
from ..config import Configuration, Price
from ..errors import ConfigurationError

PREFIX = "RL_ROUTER_"
FILE_VARIABLE = "RL_ROUTER_CONFIG"
_NONE = ("", "~", "null")
"""What stands for no value at all, as in YAML."""
KEYS_FILE = "server.api_keys_file"
"""The field whose absence opens the server: only the word `null` stands for no value there."""


def read(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Configuration:
    """The configuration from all its sources; `flags` maps dotted fields (`routing.max_turns`) to values.

    Raises ConfigurationError.
    """
    return merged(parsed(text_of(path), path) if path else {}, environment, flags, path)


def merged(
    values: dict[str, Any], environment: Mapping[str, str], flags: Mapping[str, Any], path: str | None
) -> Configuration:
    """The configuration of the `values` of the file `path`, under those of the environment and the flags.

    Raises ConfigurationError.
    """
    for name, text in _from_environment(environment).items():
        _put(values, name, text)
    for name, value in flags.items():
        _put(values, name, value)
    try:
        configuration = Configuration.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_lines(error, path))) from None
    name = configuration.routing.policy
    if not policies.exists(name):
        raise ConfigurationError(f"routing.policy: there is no policy `{name}`; known: {', '.join(policies.names())}")
    return configuration


def add_flags(parser: argparse._ActionsContainer) -> None:
    """One flag for every field of every section (`--routing.max-turns 3`)."""
    for name, description in _fields():
        parser.add_argument(
            f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", type=_reader(name), default=argparse.SUPPRESS,
            help=description.replace("%", "%%"),
        )  # fmt: skip


def chosen_flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those of `add_flags`' flags that were given, by dotted field."""
    return {name: getattr(arguments, name) for name, _ in _fields() if hasattr(arguments, name)}


def _fields() -> Sequence[tuple[str, str]]:
    """Every field with its description and its default."""
    fields: list[tuple[str, str]] = []
    for section, info in Configuration.model_fields.items():
        model = _model_of(info.annotation)
        if model is None:
            fields.append((section, info.description or "a list"))
        else:
            fields += [(f"{section}.{name}", _about(field)) for name, field in model.model_fields.items()]
    return fields


def _about(info: FieldInfo) -> str:
    default = "" if info.default in (None, (), Price()) else f"default: {info.default}"
    return "; ".join(part for part in (info.description, default) if part)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _reader(field: str) -> Callable[[str], Any]:
    def read_flag(text: str) -> Any:
        try:
            return _value(field, text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise argparse.ArgumentTypeError(f"not YAML: {text!r}") from error

    return read_flag


def _value(field: str, text: str) -> Any:
    """What a variable or a flag says: a text as it stands, where YAML would make `::` a mapping; all else as YAML.

    Raises YAMLError, ValueError, RecursionError.
    """
    annotation = _annotation(field)
    if not _is_text(annotation):
        return yaml.safe_load(text)
    none = ("null",) if field == KEYS_FILE else _NONE
    return None if text in none and type(None) in get_args(annotation) else text


def _annotation(field: str) -> Any:
    """The type of a dotted field; None where there is no such field."""
    found: Any = Configuration
    for name in field.split("."):
        model = _model_of(found)
        found = model.model_fields[name].annotation if model and name in model.model_fields else None
    return found


def _is_text(annotation: Any) -> bool:
    """Whether a field holds a text, or one of several, or perhaps none."""
    if get_origin(annotation) is Annotated:
        return _is_text(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return all(map(_is_text, get_args(annotation)))
    return annotation in (str, type(None)) or get_origin(annotation) is Literal


def text_of(path: str) -> str:
    """What the file says. Raises ConfigurationError if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise ConfigurationError(f"{path}: is not UTF-8 text") from None
        reason = getattr(error, "strerror", None) or "no file can have this name"
        raise ConfigurationError(f"{path}: cannot be read: {reason}") from None


def parsed(text: str, path: str) -> dict[str, Any]:
    """The sections of the file `path`. Raises ConfigurationError if it is no YAML, or no mapping of sections."""
    try:
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigurationError(f"{path}: {where}is not YAML: {_problem(error)}") from None
    sections = ", ".join(Configuration.model_fields)
    if values is None or values == {}:
        raise ConfigurationError(f"{path}: is empty; write a section ({sections}), or start without a file")
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: must be a mapping with the keys {sections}")
    server = values.get("server", {})
    if not isinstance(server, dict):
        # A flag or a variable would take its place, and the keys with it.
        raise ConfigurationError(f"{path}: server: must be a mapping of fields; `server: {{}}` takes the defaults")
    if server.get("api_keys_file", "") is None and not _writes_null(text):
        server["api_keys_file"] = ""
    return values


class _Loader(yaml.SafeLoader):
    """Refuses a key that is written twice, of which YAML would drop the first without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        written = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in written:
                    problem = f"`{key.value}` is written twice"
                    raise yaml.constructor.ConstructorError(problem=problem, problem_mark=key.start_mark)
                written.add(key.value)
        return super().construct_mapping(node, deep)


def _writes_null(text: str) -> bool:
    """Whether a file writes `api_keys_file: null`. In a file that was cut, or filled in from a template without a
    value, YAML takes nothing for null."""
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for name in KEYS_FILE.split("."):
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in reversed(entries) if key.value == name), None)
    return isinstance(node, yaml.ScalarNode) and node.value.lower() == "null"


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for variable, text in environment.items():
        field = variable.removeprefix(PREFIX).lower().replace("__", ".")
        # Kubernetes sets variables such as RL_ROUTER_PORT for a Service called rl-router: only our sections are ours.
        if variable.startswith(PREFIX) and field.split(".")[0] in Configuration.model_fields and (
            "." in field or field == "targets"
        ):  # fmt: skip
            try:
                found[field] = _value(field, text)
            except (yaml.YAMLError, ValueError, RecursionError):
                raise ConfigurationError(f"{variable}: is not YAML: {text!r}") from None
    return found


def _problem(error: Exception) -> str:
    """What PyYAML has to say, in one line; dates that do not exist are a ValueError to it."""
    return " ".join(str(getattr(error, "problem", None) or error).split())


def _put(values: dict[str, Any], field: str, value: Any) -> None:
    *sections, name = field.split(".")
    for section in sections:
        # A section that the file leaves empty, or fills with something else, gives way to the stronger source.
        if not isinstance(values.get(section), dict):
            values[section] = {}
        values = values[section]
    values[name] = value


def _lines(error: ValidationError, path: str | None) -> list[str]:
    details = error.errors(include_url=False, include_context=False)
    places = [detail["loc"] for detail in details]

    def is_mere_consequence(place: tuple[int | str, ...]) -> bool:
        # A list of which one entry is wrong is then also too short.
        return any(len(other) > len(place) and other[: len(place)] == place for other in places)

    return [_line(detail, path) for detail in details if not is_mere_consequence(detail["loc"])][:5]


def _line(detail: Any, path: str | None) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    given = detail["input"]
    # A key that was written where its name belongs must not reach a log.
    secret = "api_key" in where
    if not secret and not isinstance(given, (dict, list, tuple)) and detail["type"] not in ("value_error", "missing"):
        message += f" (got {given!r})"
    return ": ".join(part for part in (path, where, message) if part)
