"""Reads the API's configuration, and checks the name of the policy and the `server` section."""

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
"""The field in which a null disables authentication, so that only the explicit word `null` counts as a null."""
LAYER = SettingsLayer(Configuration, "RL_ROUTER_", only_null=(KEYS_FILE,))


def read(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Configuration:
    """Returns the configuration from a file, the environment and flags.

    `flags` maps fields (`routing.max_turns`) to values. Raises ConfigurationError.
    """
    return merged(parsed(text_of(path), path) if path else {}, environment, flags, path)


def merged(
    values: dict[str, Any], environment: Mapping[str, str], flags: Mapping[str, Any], path: str | None
) -> Configuration:
    """Returns the configuration from `values`, which environment variables and flags override.

    `path` is the file that contains `values`. Raises ConfigurationError.
    """
    configuration = LAYER.merged(values, environment, flags, path)
    name = configuration.routing.policy
    if not policies.exists(name):
        raise ConfigurationError(f"routing.policy: unknown policy `{name}`. Use one of: {', '.join(policies.names())}.")
    return configuration


def parsed(text: str, path: str) -> dict[str, Any]:
    """Returns the sections of the file `path`. Raises ConfigurationError if a section is invalid.

    An empty `server` section or `api_keys_file` is an error, so that a truncated file does not disable authentication.
    """
    values = parsed_file(text, path, Configuration)
    server = values.get("server", {})
    if not isinstance(server, dict):
        # A flag or a variable would replace the invalid section, and the server would lose its keys file.
        raise ConfigurationError(
            f"{path}: server: the section must be a mapping of fields. Write `server: {{}}` for the defaults."
        )
    if server.get("api_keys_file", "") is None and not _writes_null(text):
        server["api_keys_file"] = ""
    return values


def _writes_null(text: str) -> bool:
    """Returns whether a text contains `api_keys_file: null`. YAML also parses `api_keys_file:` as null."""
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for name in KEYS_FILE.split("."):
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in reversed(entries) if key.value == name), None)
    return isinstance(node, yaml.ScalarNode) and node.value.lower() == "null"
