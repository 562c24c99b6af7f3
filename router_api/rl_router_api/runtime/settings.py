"""Reads the configuration of the router API, and checks the name of the policy and the `server` section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from .. import policies
from ..config import Configuration, SettingsLayer
from ..config.yaml_file import parsed as parsed_file
from ..config.yaml_file import text_of
from ..errors import ConfigurationError

FILE_VARIABLE = "RL_ROUTER_CONFIG"
KEYS_FILE = "server.api_keys_file"
"""The name of the field in which the value null disables authentication. In the field `server.api_keys_file`, only the
explicit word `null` counts as null, so that an empty value never disables authentication."""
LAYER = SettingsLayer(Configuration, "RL_ROUTER_", only_null=(KEYS_FILE,))


def read(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Configuration:
    """Returns the configuration from the file `path` (if not None), the environment variables and the flags.

    The argument `flags` maps the names of fields, such as `routing.max_turns`, to values. Raises ConfigurationError if
    the file or a value is invalid.
    """
    return merged(parsed(text_of(path), path) if path else {}, environment, flags, path)


def merged(
    values: dict[str, Any], environment: Mapping[str, str], flags: Mapping[str, Any], path: str | None
) -> Configuration:
    """Returns the configuration from `values`, the environment variables and the flags.

    Environment variables override `values`, and flags override environment variables. The argument `path` is the path
    of the file that contains `values`, or None without a file. Raises ConfigurationError if a value is invalid.
    """
    configuration = LAYER.merged(values, environment, flags, path)
    name = configuration.routing.policy
    if name is not None and (problem := policies.problem(name)):
        raise ConfigurationError(f"routing.policy: {problem}.")
    return configuration


def parsed(text: str, path: str) -> dict[str, Any]:
    """Returns the settings in `text`, the content of the configuration file `path`.

    Raises ConfigurationError if the text is invalid, or if the text has a key `server` whose value is empty or not a
    mapping. An empty field `server.api_keys_file` becomes an invalid value, so that a truncated file does not disable
    authentication.
    """
    values = parsed_file(text, path, Configuration)
    server = values.get("server", {})
    if not isinstance(server, dict):
        # Without this error, a flag or an environment variable would replace the invalid section, and the server would
        # lose the keys file.
        raise ConfigurationError(
            f"{path}: server: the section must be a mapping of fields. Write `server: {{}}` to use the default values."
        )
    if server.get("api_keys_file", "") is None and not _writes_null(text):
        server["api_keys_file"] = ""
    return values


def _writes_null(text: str) -> bool:
    """Returns whether a configuration file contains `api_keys_file: null` in the section `server`.

    The function reads the value as it is written in the text, because YAML also parses the empty value in
    `api_keys_file:` as null.
    """
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for name in KEYS_FILE.split("."):
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in reversed(entries) if key.value == name), None)
    return isinstance(node, yaml.ScalarNode) and node.value.lower() == "null"
