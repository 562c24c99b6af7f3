"""Merges settings from a file, environment variables and flags, for the router API and the operator.

Flags override environment variables, environment variables override the file, and the file overrides the defaults. A
pydantic model describes the settings. A field such as `targets` belongs to the model itself. A field such as
`routing.max_turns` belongs to a section, here `routing`. A section of the settings is a pydantic model within the model
of all settings.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError, WrapValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..errors import ConfigurationError
from .problems import Origin, lines

Model = TypeVar("Model", bound=BaseModel)

_NULLS = ("", "~", "null")
"""The texts that mean null in the variable or flag of an optional text field that is not in `only_null`."""


@dataclass(frozen=True)
class SettingsLayer(Generic[Model]):
    """Merges the settings of the pydantic model `model` from a file, environment variables and flags.

    The names of the environment variables begin with `prefix`. `only_null` contains the names of optional text fields
    that only the word `null` sets to null, and not an empty text or `~`.
    """

    model: type[Model]
    prefix: str
    only_null: Collection[str] = ()

    def add_flags(self, parser: argparse._ActionsContainer) -> None:
        """Adds to the parser a flag for every field, such as `--routing.max-turns` for `routing.max_turns`."""
        for name, field in fields_of(self.model).items():
            parser.add_argument(
                flag_of(name),
                dest=name,
                metavar="VALUE",
                type=self._flag_reader(name),
                default=argparse.SUPPRESS,
                help=f"{_help(field)}; {self.variable_of(name)}".replace("%", "%%"),
            )

    def chosen_flags(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """Returns the values of the flags that the command line contains, by field name."""
        return {name: getattr(arguments, name) for name in fields_of(self.model) if hasattr(arguments, name)}

    def variable_of(self, name: str) -> str:
        """Returns the name of a field's environment variable, such as `RL_ROUTER_ROUTING__MAX_TURNS`."""
        return self.prefix + name.replace(".", "__").upper()

    def merged(
        self,
        values: dict[str, Any],
        environment: Mapping[str, str],
        flags: Mapping[str, Any],
        path: str | None = None,
    ) -> Model:
        """Returns the settings: the `values` of the file `path`, overridden by environment variables and flags.

        Raises ConfigurationError if a value is invalid. The error message names the source and the field, if known.
        """
        origins: list[Origin] = []
        for origin, value in (*self._from_environment(environment), *_from_flags(flags)):
            _put(values, origin.field, value)
            origins.append(origin)
        try:
            return self.model.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError("; ".join(lines(error, origins, path))) from None

    def _from_environment(self, environment: Mapping[str, str]) -> Iterator[tuple[Origin, Any]]:
        for variable, text in environment.items():
            name = variable.removeprefix(self.prefix).lower().replace("__", ".")
            # Ignore variables such as RL_ROUTER_PORT, which Kubernetes sets for a Service named rl-router.
            if variable.startswith(self.prefix) and name.partition(".")[0] in self.model.model_fields:
                self._reject_section(variable, name)
                yield Origin(variable, name), self._variable_value(variable, name, text)

    def _reject_section(self, variable: str, name: str) -> None:
        field = field_of(self.model, name)
        if "." not in name and field and (section := model_of(field.annotation)):
            example = self.variable_of(f"{name}.{next(iter(section.model_fields))}")
            remedy = f"Use the variable of a field instead, such as {example}"
            raise ConfigurationError(f"{variable}: the variable names a whole section, not a field. {remedy}")

    def _variable_value(self, variable: str, name: str, text: str) -> Any:
        try:
            return self._value(name, text)
        except (yaml.YAMLError, ValueError, RecursionError):
            message = f"{variable}: the value {text!r} is not YAML. Fix the value of the variable"
            raise ConfigurationError(message) from None

    def _flag_reader(self, name: str) -> Callable[[str], Any]:
        def read_flag(text: str) -> Any:
            try:
                return self._value(name, text)
            except (yaml.YAMLError, ValueError, RecursionError) as error:
                raise argparse.ArgumentTypeError(f"the value {text!r} is not YAML. Fix the value") from error

        return read_flag

    def _value(self, name: str, text: str) -> Any:
        """Returns the value of the field `name`: the text or None for a text field, and otherwise the parsed YAML.

        The value of a text field is not parsed as YAML, because YAML would change some texts. For example, YAML reads
        the IPv6 address `::` as a mapping. An optional text field becomes None if the text means null. If `name` is not
        a text field and PyYAML cannot parse the text, the function raises YAMLError, ValueError or RecursionError.
        """
        field = field_of(self.model, name)
        if field is None or not _takes_text(field):
            return yaml.safe_load(text)
        nulls = ("null",) if name in self.only_null else _NULLS
        return None if text in nulls and type(None) in get_args(field.annotation) else text


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Returns a model's fields and the fields of its sections, without the sections, by dotted name."""
    fields: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        section = model_of(field.annotation)
        if section is None:
            fields[name] = field
        else:
            fields |= {f"{name}.{inner}": info for inner, info in section.model_fields.items()}
    return fields


def field_of(model: type[BaseModel], name: str) -> FieldInfo | None:
    """Returns the field with a dotted name of any depth, or None if the model has no field with this name."""
    section, _, rest = name.partition(".")
    field = model.model_fields.get(section)
    if field is None or not rest:
        return field
    inner = model_of(field.annotation)
    return field_of(inner, rest) if inner else None


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Returns the annotation if the annotation is a pydantic model, and otherwise None."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def flag_of(name: str) -> str:
    """Returns the command-line flag of a field, such as `--routing.max-turns`."""
    return f"--{name.replace('_', '-')}"


def plain_default(field: FieldInfo) -> Any:
    """Returns a field's default value, or None if the default is missing, empty or a pydantic model."""
    default = field.default
    return None if default in (PydanticUndefined, None, (), "") or isinstance(default, BaseModel) else default


def as_flag_text(value: Any) -> str:
    """Returns the text with which users set a flag to `value`. The value is a number, a boolean or a text."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _help(field: FieldInfo) -> str:
    default = plain_default(field)
    shown = "" if default is None else f"; default: {as_flag_text(default)}"
    return f"{field.description or 'a list'}{shown}"


def _takes_text(field: FieldInfo) -> bool:
    """Returns whether a field is a text or an enum, which may be optional, or has a validator that reads text."""
    return _is_text(field.annotation) or any(
        isinstance(item, (BeforeValidator, WrapValidator)) for item in field.metadata
    )


def _is_text(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _is_text(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return all(map(_is_text, get_args(annotation)))
    return annotation in (str, type(None)) or get_origin(annotation) is Literal


def _from_flags(flags: Mapping[str, Any]) -> Iterator[tuple[Origin, Any]]:
    for name, value in flags.items():
        yield Origin(flag_of(name), name), value


def _put(values: dict[str, Any], field: str, value: Any) -> None:
    *sections, name = field.split(".")
    for section in sections:
        # An environment variable or flag replaces a section that is empty or not a mapping in the file.
        if not isinstance(values.get(section), dict):
            values[section] = {}
        values = values[section]
    values[name] = value
