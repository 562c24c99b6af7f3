"""Where a server's configuration and keys come from, and what of them is kept for the next start."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..access.keys import ApiKey, as_file, read_keys
from ..accounting.log import log
from ..config import Configuration
from ..errors import ConfigurationError, KeysError
from .settings import KEYS_FILE, merged, parsed, text_of

STATE_VARIABLE = "RL_ROUTER_STATE_DIR"


@dataclass(frozen=True)
class Authentication:
    """What a changed configuration must not lose: the file's `server` section, and keys that requests need."""

    has_server: bool
    has_keys: bool


_CLOSED = Authentication(has_server=True, has_keys=True)
"""What is assumed if it cannot be known."""


@dataclass(frozen=True)
class Loaded:
    """A configuration, the keys that it names (None if the server is open), and its file's text.

    `refused` says why the files as they are now are not in force, if these are the last good ones. `has_server` is
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
        """Raises ConfigurationError if it would drop the authentication that was in force, unless it says so.

        Such a file was most often emptied, cut or overwritten by mistake.
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
    """A configuration with its keys as they are now. Raises KeysError."""
    path = configuration.server.api_keys_file
    return Loaded(configuration, None if path is None else read_keys(path), has_server=has_server, text=text)


@dataclass(frozen=True)
class Source:
    """Where a server's configuration and keys come from, and come from again when a file changes.

    `state` is a folder in which the last files that could be used are kept, so that a process that starts while one is
    wrong serves as its predecessor did.
    """

    path: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None

    def load(self, before: Authentication | None = None) -> Loaded:
        """The configuration and the keys as they are now, which keep the authentication of `before`.

        Raises ConfigurationError, KeysError.
        """
        configuration, has_server, text = self._read(self.path)
        loaded = with_keys(configuration, has_server=has_server, text=text)
        if before is not None:
            loaded.check_keeps(before)
        return loaded

    def start(self, before: Loaded | None = None) -> Loaded:
        """What to start with: what is there now, or else `before`, which was there a moment ago, or the last good.

        Raises ConfigurationError, KeysError.
        """
        try:
            loaded = self.load(before.authentication if before else self._remembered())
        except (ConfigurationError, KeysError) as error:
            return replace(before, refused=error) if before else self._last_good(error)
        self.remember(loaded)
        return loaded

    @property
    def text(self) -> bytes:
        """The file's bytes, to see whether it changed; empty where it is not there."""
        try:
            return Path(self.path).read_bytes() if self.path else b""
        except (OSError, ValueError):
            return b""

    def remember(self, loaded: Loaded) -> None:
        """Keeps the files as the last good ones."""
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
            # Neither what was meant to close an open server nor the loss of what closed it leaves it open.
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
        kept, told = self._kept(self.path), self._kept_authentication
        if told is not None and told.exists():
            try:
                return Authentication(**json.loads(told.read_text()))
            except (OSError, ValueError, TypeError):
                return _CLOSED
        # A version that kept the files alone may have been here.
        return _CLOSED if kept is not None and kept.exists() else None

    def _read(self, path: str | None) -> tuple[Configuration, bool, str]:
        """The configuration of a file, whether that has a `server` section, and its text. Raises ConfigurationError."""
        text = text_of(path) if path else ""
        values = parsed(text, path) if path else {}
        has_server = "server" in values
        return merged(values, os.environ, self.flags, path), has_server, text

    @property
    def _kept_authentication(self) -> Path | None:
        """Where it is kept what of the last good files a changed one must not lose."""
        return None if self.state is None else Path(self.state) / f"last-good-{_hashed(self.path or '')}.json"

    def _kept(self, path: str | None) -> Path | None:
        """Where the last good copy of a file is."""
        if self.state is None or path is None:
            return None
        return Path(self.state) / f"last-good-{_hashed(path)}.yaml"


def _hashed(path: str) -> str:
    return hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:12]


def _keep(path: Path | None, data: bytes) -> None:
    """Writes a file whole, for its owner alone: hashes of keys are nobody else's business."""
    if path is not None:
        handle, fresh = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(fresh, path)
