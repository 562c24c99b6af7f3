"""Reads the configuration: flags before environment before file before defaults; errors name their field."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from .. import policies
from ..config import Configuration, Price
from ..journal import log
from .access import ApiKey, KeysError, as_file, read_keys

PREFIX = "RL_ROUTER_"
FILE_VARIABLE = "RL_ROUTER_CONFIG"
STATE_VARIABLE = "RL_ROUTER_STATE_DIR"
_NONE = ("", "~", "null")
"""What stands for no value at all, as in YAML."""
_KEYS_FILE = "server.api_keys_file"
"""The field whose absence opens the server: only the word `null` stands for no value there."""


class ConfigurationError(Exception):
    """The configuration cannot be used; the message is one line that names the field and the remedy."""


def read(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Configuration:
    """The configuration from all its sources; `flags` maps dotted fields (`routing.max_turns`) to values.

    Raises ConfigurationError.
    """
    return _configuration(_from_file(path) if path else {}, environment, flags, path)


def _configuration(
    values: dict[str, Any], environment: Mapping[str, str], flags: Mapping[str, Any], path: str | None
) -> Configuration:
    """`values` are the file's, which the others are put into."""
    for name, text in _from_environment(environment).items():
        _put(values, name, text)
    for name, value in flags.items():
        _put(values, name, value)
    try:
        configuration = Configuration.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_lines(error, path))) from None
    name, known = configuration.routing.policy, policies.names()
    if name not in known:
        raise ConfigurationError(f"routing.policy: there is no policy `{name}`; known: {', '.join(known)}")
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
    none = ("null",) if field == _KEYS_FILE else _NONE
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


def _from_file(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from None
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigurationError(f"{path}: {where}is not YAML: {_problem(error)}") from None
    sections = ", ".join(Configuration.model_fields)
    if values is None or values == {}:
        raise ConfigurationError(f"{path}: is empty; write a section ({sections}), or start without a file")
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: must be a mapping with the keys {sections}")
    server = values.get("server")
    if isinstance(server, dict) and server.get("api_keys_file", "") is None and not _writes_null(text):
        server["api_keys_file"] = ""
    return values


def _writes_null(text: str) -> bool:
    """Whether a file writes `api_keys_file: null`. In a file that was cut, or filled in from a template without a
    value, YAML takes nothing for null."""
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for name in _KEYS_FILE.split("."):
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


@dataclass(frozen=True)
class Loaded:
    """A configuration and the keys that it names, None if the server is open.

    `refused` says why the files as they are now are not in force, if these are the last good ones. `has_server` is
    whether the file has a `server` section.
    """

    configuration: Configuration
    keys: tuple[ApiKey, ...] | None
    refused: ConfigurationError | KeysError | None = None
    has_server: bool = False


def with_keys(configuration: Configuration, *, has_server: bool = False) -> Loaded:
    """A configuration with its keys as they are now. Raises KeysError."""
    path = configuration.server.api_keys_file
    return Loaded(configuration, None if path is None else read_keys(path), has_server=has_server)


def check_still_closed(before: Loaded, now: Loaded) -> None:
    """Raises ConfigurationError if a changed file would drop the authentication that was in force, unless it says so.

    Such a file was most often emptied, cut or overwritten by mistake.
    """
    if before.has_server and not now.has_server:
        raise ConfigurationError(
            "server: the section is missing, which the configuration in force has; write it, at least `server: {}`"
        )
    server = now.configuration.server
    is_written = "api_keys_file" in server.model_fields_set
    if before.configuration.server.api_keys_file and server.api_keys_file is None and not is_written:
        raise ConfigurationError(
            f"{_KEYS_FILE}: is missing, which the configuration in force has; name the keys file, or write `null` to "
            "open the server to everybody"
        )


@dataclass(frozen=True)
class Source:
    """Where a server's configuration and keys come from, and come from again when a file changes.

    `state` is a folder in which the last files that could be used are kept, so that a process that starts while one is
    wrong serves as its predecessor did.
    """

    path: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None

    def read(self) -> Configuration:
        """The configuration as it is now. Raises ConfigurationError."""
        return self._configured(self.path)[0]

    def load(self, before: Loaded | None = None) -> Loaded:
        """The configuration and the keys as they are now, which `before` gives way to.

        Raises ConfigurationError, KeysError.
        """
        configuration, has_server = self._configured(self.path)
        loaded = with_keys(configuration, has_server=has_server)
        if before is not None:
            check_still_closed(before, loaded)
        return loaded

    def start(self) -> Loaded:
        """What to start with: what is there now, or else the last good. Raises ConfigurationError, KeysError."""
        try:
            loaded = self.load(self._remembered())
        except (ConfigurationError, KeysError) as error:
            return self._last_good(error)
        self.remember(loaded)
        return loaded

    @property
    def text(self) -> bytes:
        """The file's bytes, to see whether it changed; empty where it is not there."""
        try:
            return Path(self.path).read_bytes() if self.path else b""
        except OSError:
            return b""

    def remember(self, loaded: Loaded) -> None:
        """Keeps the files as the last good ones."""
        try:
            if self.path is not None:
                _keep(self._kept(self.path), self.text)
            if loaded.keys is not None:
                _keep(self._kept(loaded.configuration.server.api_keys_file), as_file(loaded.keys))
        except OSError as error:
            log(logging.WARNING, f"{self.state}: the last good files cannot be kept: {error.strerror}")

    def _last_good(self, error: ConfigurationError | KeysError) -> Loaded:
        kept = self._kept(self.path)
        if self.state is None or (self.path is not None and not (kept and kept.exists())):
            raise error
        configuration, has_server = self._configured(str(kept) if kept else None)
        keys = self._last_good_keys(configuration, error)
        if keys is None and isinstance(error, KeysError):
            # The server was open before: what was meant to close it must not leave it so.
            raise error
        return Loaded(configuration, keys, error, has_server)

    def _last_good_keys(
        self, configuration: Configuration, error: ConfigurationError | KeysError
    ) -> tuple[ApiKey, ...] | None:
        try:
            return with_keys(configuration).keys
        except KeysError:
            kept = self._kept(configuration.server.api_keys_file)
            if kept is None or not kept.exists():
                raise error from None
            return read_keys(str(kept))

    def _remembered(self) -> Loaded | None:
        """The last good configuration; None if there is none that can be read."""
        kept = self._kept(self.path)
        if kept is None or not kept.exists():
            return None
        try:
            configuration, has_server = self._configured(str(kept))
        except ConfigurationError:
            # Written by another version.
            return None
        return Loaded(configuration, None, has_server=has_server)

    def _configured(self, path: str | None) -> tuple[Configuration, bool]:
        """The configuration of a file, and whether that has a `server` section. Raises ConfigurationError."""
        values = _from_file(path) if path else {}
        has_server = "server" in values
        return _configuration(values, os.environ, self.flags, path), has_server

    def _kept(self, path: str | None) -> Path | None:
        """Where the last good copy of a file is."""
        if self.state is None or path is None:
            return None
        return Path(self.state) / f"last-good-{hashlib.sha256(path.encode()).hexdigest()[:12]}.yaml"


def _keep(path: Path | None, data: bytes) -> None:
    """Writes a file whole, for its owner alone: hashes of keys are nobody else's business."""
    if path is not None:
        handle, fresh = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(fresh, path)
