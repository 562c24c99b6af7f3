"""Loads a server's configuration and keys, and saves copies of the last good files for the next start."""

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
    """Whether a configuration has a `server` section and a keys file, which a reload must not remove."""

    has_server: bool
    has_keys: bool


_CLOSED = Authentication(has_server=True, has_keys=True)
"""The Authentication that is assumed if the saved record of the last good files cannot be read."""


@dataclass(frozen=True)
class LoadedConfiguration:
    """A configuration, the keys of its keys file (None without a keys file), and the configuration file's text.

    `refused` is the error of the files on disk if the last good files are used instead. `has_server` is whether the
    configuration file has a `server` section.
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
        """Raises ConfigurationError if this configuration drops the authentication of `before` without a `null`.

        A file that drops the authentication was most likely emptied, truncated or overwritten by mistake.
        """
        if before.has_server and not self.has_server:
            raise ConfigurationError(
                "server: the section is missing, but the current configuration has it. Write at least `server: {}`."
            )
        is_written = "api_keys_file" in self.configuration.server.model_fields_set
        if before.has_keys and not self.authentication.has_keys and not is_written:
            raise ConfigurationError(
                f"{KEYS_FILE}: the field is missing, but the current configuration has it. Name the keys file, or "
                "write `null` to open the server to everyone."
            )


def with_keys(configuration: Configuration, *, has_server: bool = False, text: str = "") -> LoadedConfiguration:
    """Returns a configuration together with the keys on disk. Raises KeysError."""
    path = configuration.server.api_keys_file
    return LoadedConfiguration(
        configuration, None if path is None else read_keys(path), has_server=has_server, text=text
    )


@dataclass(frozen=True)
class Source:
    """The origin of a server's configuration and keys, at the start and at each reload.

    `path` is the configuration file, `flags` override it, and `state` is the folder with the last good files. A process
    that starts while a file is invalid uses the last good files.
    """

    path: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None

    @classmethod
    def from_environment(cls, path: str | None = None, flags: Mapping[str, Any] | None = None) -> Self:
        """Returns the source that the variables RL_ROUTER_CONFIG and RL_ROUTER_STATE_DIR name.

        `path` and `flags` take precedence over the environment.
        """
        path = path or os.environ.get(FILE_VARIABLE) or None
        return cls(path, flags or {}, os.environ.get(STATE_VARIABLE) or None)

    def load(self, before: Authentication | None = None) -> LoadedConfiguration:
        """Returns the configuration and the keys on disk, which must keep the authentication of `before`.

        Raises ConfigurationError, KeysError.
        """
        configuration, has_server, text = self._read(self.path)
        loaded = with_keys(configuration, has_server=has_server, text=text)
        if before is not None:
            loaded.check_keeps(before)
        return loaded

    def check(self) -> LoadedConfiguration:
        """Returns the configuration and the keys on disk, with the same checks as at a start.

        Raises ConfigurationError, KeysError.
        """
        return self.load(self._saved_authentication())

    def start(self, before: LoadedConfiguration | None = None) -> LoadedConfiguration:
        """Returns the configuration on disk if it is valid, else `before`, else the last good configuration.

        `before` is a configuration that was loaded just before the start. Raises ConfigurationError, KeysError.
        """
        try:
            loaded = self.load(before.authentication) if before else self.check()
        except (ConfigurationError, KeysError) as error:
            return replace(before, refused=error) if before else self._last_good(error)
        self.remember(loaded)
        return loaded

    @property
    def text(self) -> bytes:
        """The bytes of the configuration file, which are compared to detect changes.

        `text` is empty if no file is configured or the file cannot be read.
        """
        try:
            return Path(self.path).read_bytes() if self.path else b""
        except (OSError, ValueError):
            return b""

    def remember(self, loaded: LoadedConfiguration) -> None:
        """Saves copies of the files as the last good files. Does nothing if no state folder is configured."""
        try:
            if self.path is not None:
                _write(self._copy_path(self.path), loaded.text.encode())
            if loaded.keys is not None:
                _write(self._copy_path(loaded.configuration.server.api_keys_file), as_file(loaded.keys))
            _write(self._authentication_path, json.dumps(vars(loaded.authentication)).encode())
        except OSError as error:
            log(
                logging.WARNING,
                f"{self.state}: cannot save the last good files: {error.strerror}. Make the folder writable.",
            )

    def _last_good(self, error: ConfigurationError | KeysError) -> LoadedConfiguration:
        copy = self._copy_path(self.path)
        if self.state is None or (self.path is not None and not (copy and copy.exists())):
            raise error
        configuration, has_server, text = self._read(str(copy) if copy else None)
        keys = self._last_good_keys(configuration, error)
        saved = self._saved_authentication()
        if keys is None and (isinstance(error, KeysError) or (saved is not None and saved.has_keys)):
            # The last good configuration must not disable authentication if the keys are invalid or were lost.
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
        """Returns the authentication of the last good files, or None if no files are saved."""
        copy, record = self._copy_path(self.path), self._authentication_path
        if record is not None and record.exists():
            try:
                return Authentication(**json.loads(record.read_text()))
            except (OSError, ValueError, TypeError):
                return _CLOSED
        # Older versions saved the last good files without a record of their authentication.
        return _CLOSED if copy is not None and copy.exists() else None

    def _read(self, path: str | None) -> tuple[Configuration, bool, str]:
        """Returns a file's configuration, whether it has a `server` section, and its text.

        Raises ConfigurationError.
        """
        text = text_of(path) if path else ""
        values = parsed(text, path) if path else {}
        has_server = "server" in values
        return merged(values, os.environ, self.flags, path), has_server, text

    @property
    def _authentication_path(self) -> Path | None:
        """The path of the record of the last good files' authentication. None if no state folder is configured."""
        return None if self.state is None else Path(self.state) / f"last-good-{_hashed(self.path or '')}.json"

    def _copy_path(self, path: str | None) -> Path | None:
        """Returns the path of a file's last good copy, or None without a state folder."""
        if self.state is None or path is None:
            return None
        return Path(self.state) / f"last-good-{_hashed(path)}.yaml"


def _hashed(path: str) -> str:
    return hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:12]


def _write(path: Path | None, data: bytes) -> None:
    """Replaces a file atomically. Only the owner may read the file, because the file may contain hashes of keys."""
    if path is not None:
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
