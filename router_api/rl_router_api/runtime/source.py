"""Where a server's configuration and keys come from, and the last good copies that are kept for the next start."""

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
    """Whether a configuration has a `server` section, and whether it names a keys file. A reload must not lose them."""

    has_server: bool
    has_keys: bool


_CLOSED = Authentication(has_server=True, has_keys=True)
"""What is assumed if the record cannot be read."""


@dataclass(frozen=True)
class Loaded:
    """A configuration, the keys of its keys file (None if the server is open), and the configuration file's text.

    `refused` is set if these are the last good files: it says why those on disk are not in force. `has_server` says
    whether the file has a `server` section.
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
        """Raises ConfigurationError if this configuration drops the authentication of `before` without saying so.

        Such a file was most likely emptied, cut or overwritten by mistake.
        """
        if before.has_server and not self.has_server:
            raise ConfigurationError(
                "server: the section is missing, which the configuration in force has; write it, at least `server: {}`"
            )
        is_written = "api_keys_file" in self.configuration.server.model_fields_set
        if before.has_keys and not self.authentication.has_keys and not is_written:
            raise ConfigurationError(
                f"{KEYS_FILE}: is missing, which the configuration in force has; name the keys file, or write `null` "
                "to open the server to everybody"
            )


def with_keys(configuration: Configuration, *, has_server: bool = False, text: str = "") -> Loaded:
    """Returns a configuration with the keys that its keys file has now. Raises KeysError."""
    path = configuration.server.api_keys_file
    return Loaded(configuration, None if path is None else read_keys(path), has_server=has_server, text=text)


@dataclass(frozen=True)
class Source:
    """Where a server's configuration and keys come from, at the start and at each reload.

    `state` is the folder of the last good files. A process that starts while a file is invalid serves with them.
    """

    path: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None

    @classmethod
    def from_environment(cls, path: str | None = None, flags: Mapping[str, Any] | None = None) -> Self:
        """Returns the source that RL_ROUTER_CONFIG and RL_ROUTER_STATE_DIR name. `path` and `flags` go first."""
        path = path or os.environ.get(FILE_VARIABLE) or None
        return cls(path, flags or {}, os.environ.get(STATE_VARIABLE) or None)

    def load(self, before: Authentication | None = None) -> Loaded:
        """Returns the configuration and the keys on disk. They must keep the authentication of `before`.

        Raises ConfigurationError, KeysError.
        """
        configuration, has_server, text = self._read(self.path)
        loaded = with_keys(configuration, has_server=has_server, text=text)
        if before is not None:
            loaded.check_keeps(before)
        return loaded

    def start(self, before: Loaded | None = None) -> Loaded:
        """Returns what to start with: the files on disk if they are valid, otherwise `before`, otherwise the last good.

        `before` was read a moment ago. Raises ConfigurationError, KeysError.
        """
        try:
            loaded = self.load(before.authentication if before else self._remembered())
        except (ConfigurationError, KeysError) as error:
            return replace(before, refused=error) if before else self._last_good(error)
        self.remember(loaded)
        return loaded

    @property
    def text(self) -> bytes:
        """The file's bytes, by which a change is noticed. Empty if there is no file."""
        try:
            return Path(self.path).read_bytes() if self.path else b""
        except (OSError, ValueError):
            return b""

    def remember(self, loaded: Loaded) -> None:
        """Keeps copies of the files as the last good ones."""
        try:
            if self.path is not None:
                _keep(self._kept(self.path), loaded.text.encode())
            if loaded.keys is not None:
                _keep(self._kept(loaded.configuration.server.api_keys_file), as_file(loaded.keys))
            _keep(self._kept_authentication, json.dumps(vars(loaded.authentication)).encode())
        except OSError as error:
            log(logging.WARNING, f"{self.state}: the last good files cannot be kept: {error.strerror}")

    def _last_good(self, error: ConfigurationError | KeysError) -> Loaded:
        kept = self._kept(self.path)
        if self.state is None or (self.path is not None and not (kept and kept.exists())):
            raise error
        configuration, has_server, text = self._read(str(kept) if kept else None)
        keys = self._last_good_keys(configuration, error)
        remembered = self._remembered()
        if keys is None and (isinstance(error, KeysError) or (remembered is not None and remembered.has_keys)):
            # Neither invalid keys for an open server nor the loss of a server's keys may leave the server open.
            raise error
        return Loaded(configuration, keys, error, has_server, text)

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

    def _remembered(self) -> Authentication | None:
        """The authentication of the last good files; None if none are kept."""
        copy, record = self._kept(self.path), self._kept_authentication
        if record is not None and record.exists():
            try:
                return Authentication(**json.loads(record.read_text()))
            except (OSError, ValueError, TypeError):
                return _CLOSED
        # An older version kept the files without this record.
        return _CLOSED if copy is not None and copy.exists() else None

    def _read(self, path: str | None) -> tuple[Configuration, bool, str]:
        """Returns a file's configuration, whether it has a `server` section, its text. Raises ConfigurationError."""
        text = text_of(path) if path else ""
        values = parsed(text, path) if path else {}
        has_server = "server" in values
        return merged(values, os.environ, self.flags, path), has_server, text

    @property
    def _kept_authentication(self) -> Path | None:
        """The path of the record of the last good files' authentication. None without a state folder."""
        return None if self.state is None else Path(self.state) / f"last-good-{_hashed(self.path or '')}.json"

    def _kept(self, path: str | None) -> Path | None:
        """Returns the path of a file's last good copy. None without a state folder."""
        if self.state is None or path is None:
            return None
        return Path(self.state) / f"last-good-{_hashed(path)}.yaml"


def _hashed(path: str) -> str:
    return hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:12]


def _keep(path: Path | None, data: bytes) -> None:
    """Writes a file as a whole, readable by its owner only, because it may hold the hashes of keys."""
    if path is not None:
        handle, fresh = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(fresh, path)
