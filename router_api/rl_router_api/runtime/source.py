"""Loads the configuration and the API keys of a server, and saves copies of the last valid files for the next start."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from ..access.keys import ApiKey, as_file, read_keys
from ..accounting.log import log
from ..config import Configuration
from ..config.yaml_file import text_of
from ..errors import ConfigurationError, KeysError
from .settings import FILE_VARIABLE, KEYS_FILE, merged, parsed

STATE_VARIABLE = "RL_ROUTER_STATE_DIR"


@dataclass(frozen=True)
class Authentication:
    """Says whether a configuration has a `server` section and a keys file.

    A new configuration must keep the section, and may drop the keys file only if `api_keys_file` is explicitly `null`.
    """

    has_server: bool
    has_keys: bool


_CLOSED = Authentication(has_server=True, has_keys=True)
"""The assumed `Authentication` of the last valid files if their saved `Authentication` is missing or unreadable."""


@dataclass(frozen=True)
class LoadedConfiguration:
    """A configuration, the API keys from the keys file, and the text of the configuration file.

    The attribute `keys` is None if no keys file is configured. The attribute `refused` is the error in the files on
    disk, or None if the configuration comes from these files. The attribute `has_server` is True if the configuration
    file has a `server` section.
    """

    configuration: Configuration
    keys: tuple[ApiKey, ...] | None
    refused: ConfigurationError | KeysError | None = None
    has_server: bool = False
    text: str = ""

    @property
    def authentication(self) -> Authentication:
        return Authentication(self.has_server, has_keys=self.configuration.server.api_keys_file is not None)

    def check_keeps(self, before: Authentication) -> None:
        """Raises ConfigurationError if this configuration lacks a `server` section or a keys file that `before` has.

        A configuration without a keys file is accepted if the configuration sets `api_keys_file` to `null` explicitly.
        A configuration file that removes the authentication without an explicit `null` was most likely emptied,
        truncated or overwritten by mistake.
        """
        if before.has_server and not self.has_server:
            raise ConfigurationError(
                "server: the section is missing, but the last valid configuration has this section. "
                "Write at least `server: {}`."
            )
        is_written = "api_keys_file" in self.configuration.server.model_fields_set
        if before.has_keys and not self.authentication.has_keys and not is_written:
            raise ConfigurationError(
                f"{KEYS_FILE}: the field is missing, but the last valid configuration has a keys file. "
                "Name the keys file, or write `null` to open the server to everyone."
            )


def with_keys(configuration: Configuration, *, has_server: bool = False, text: str = "") -> LoadedConfiguration:
    """Returns the configuration with the API keys from its keys file, if any.

    Raises KeysError if the keys file is invalid or unreadable.
    """
    path = configuration.server.api_keys_file
    return LoadedConfiguration(
        configuration, None if path is None else read_keys(path), has_server=has_server, text=text
    )


@dataclass(frozen=True)
class Source:
    """The files and flags from which a server loads the configuration and the API keys at the start and at a reload.

    The attribute `path` is the path of the configuration file, if any. The attribute `flags` contains values that
    override the configuration file and the environment variables. The attribute `state` is the path of the state
    folder, if any, which contains copies of the last valid files. A server that starts while the configuration file or
    the keys file is invalid uses these copies, if they exist.
    """

    path: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None

    @classmethod
    def from_environment(cls, path: str | None = None, flags: Mapping[str, Any] | None = None) -> Self:
        """Returns the source with the configuration file and the state folder that the environment variables name.

        The environment variable RL_ROUTER_CONFIG contains the path of the configuration file. The argument `path`
        overrides this variable. The environment variable RL_ROUTER_STATE_DIR contains the path of the state folder.
        """
        path = path or os.environ.get(FILE_VARIABLE) or None
        return cls(path, flags or {}, os.environ.get(STATE_VARIABLE) or None)

    def load(self, before: Authentication | None = None) -> LoadedConfiguration:
        """Returns the configuration and the API keys on disk.

        Raises ConfigurationError or KeysError if a file, an environment variable or a flag is invalid, or if the method
        `check_keeps` rejects the change from `before` to the configuration on disk.
        """
        configuration, has_server, text = self._read(self.path)
        loaded = with_keys(configuration, has_server=has_server, text=text)
        if before is not None:
            loaded.check_keeps(before)
        return loaded

    def check(self) -> LoadedConfiguration:
        """Returns the configuration and the API keys on disk, after the same checks as in `start` without `before`.

        Raises ConfigurationError or KeysError if a check fails.
        """
        return self.load(self._saved_authentication())

    def start(self, before: LoadedConfiguration | None = None) -> LoadedConfiguration:
        """Returns the configuration on disk, or an earlier valid configuration if the method `load` raises an error.

        The earlier configuration is `before` if `before` is not None, and otherwise the configuration in the copies of
        the last valid files. The argument `before` is the configuration that the server has already loaded. If the
        configuration on disk is valid, the method `remember` saves it. Raises ConfigurationError or KeysError if no
        valid configuration is available.
        """
        try:
            loaded = self.load(before.authentication) if before else self.check()
        except (ConfigurationError, KeysError) as error:
            return replace(before, refused=error) if before else self._last_good(error)
        self.remember(loaded)
        return loaded

    def remember(self, loaded: LoadedConfiguration) -> None:
        """Saves copies of the configuration file and the keys file, and their `Authentication`, in the state folder.

        Logs a warning if the copies cannot be saved. Does nothing if no state folder is configured.
        """
        try:
            if self.path is not None:
                _write(self._copy_path(self.path), loaded.text.encode())
            if loaded.keys is not None:
                _write(self._copy_path(loaded.configuration.server.api_keys_file), as_file(loaded.keys))
            _write(self._authentication_path, json.dumps(vars(loaded.authentication)).encode())
        except OSError as error:
            log(
                logging.WARNING,
                f"{self.state}: cannot save copies of the last valid files: {error.strerror}. "
                "Create the folder if it is missing, and allow the server to write to it.",
            )

    def _last_good(self, error: ConfigurationError | KeysError) -> LoadedConfiguration:
        copy = self._copy_path(self.path)
        if self.state is None or (self.path is not None and not (copy and copy.exists())):
            raise error
        configuration, has_server, text = self._read(str(copy) if copy else None)
        keys = self._last_good_keys(configuration, error)
        saved = self._saved_authentication()
        if keys is None and (isinstance(error, KeysError) or (saved is not None and saved.has_keys)):
            # The last valid configuration must not disable authentication if the API keys are invalid or were lost.
            raise error
        return LoadedConfiguration(configuration, keys, error, has_server, text)

    def _last_good_keys(
        self, configuration: Configuration, error: ConfigurationError | KeysError
    ) -> tuple[ApiKey, ...] | None:
        try:
            return with_keys(configuration).keys
        except KeysError:
            copy = self._copy_path(configuration.server.api_keys_file)
            if copy is None or not copy.exists():
                raise error from None
            return read_keys(str(copy))

    def _saved_authentication(self) -> Authentication | None:
        """Returns the saved `Authentication`, `_CLOSED` if missing or unreadable, or None if no files are saved."""
        copy, record = self._copy_path(self.path), self._authentication_path
        if record is not None and record.exists():
            try:
                return Authentication(**json.loads(record.read_text()))
            except (OSError, ValueError, TypeError):
                return _CLOSED
        # Older versions saved the last valid files without the `Authentication` of these files.
        return _CLOSED if copy is not None and copy.exists() else None

    def _read(self, path: str | None) -> tuple[Configuration, bool, str]:
        """Returns the configuration, whether the file `path` has a `server` section, and the text of the file.

        Raises ConfigurationError if the file or a value is invalid.
        """
        text = text_of(path) if path else ""
        values = parsed(text, path) if path else {}
        has_server = "server" in values
        return merged(values, os.environ, self.flags, path), has_server, text

    @property
    def _authentication_path(self) -> Path | None:
        """The path of the file that stores the `Authentication` of the last valid files, or None if no state folder is
        configured."""
        return None if self.state is None else Path(self.state) / f"last-good-{_hashed(self.path or '')}.json"

    def _copy_path(self, path: str | None) -> Path | None:
        """Returns the path of the copy of the file `path`, or None if no path or no state folder is configured."""
        if self.state is None or path is None:
            return None
        return Path(self.state) / f"last-good-{_hashed(path)}.yaml"


def _hashed(path: str) -> str:
    return hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:12]


def _write(path: Path | None, data: bytes) -> None:
    """Replaces the content of a file atomically.

    Only the owner may read the file, because the file may contain hashes of API keys. Does nothing if `path` is None.
    """
    if path is not None:
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
