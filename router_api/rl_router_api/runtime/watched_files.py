"""Watches the configuration file and the keys file for changes, and checks whether the changed files are valid."""

from __future__ import annotations

import logging
from pathlib import Path

from ..accounting.log import log
from ..errors import ConfigurationError, KeysError
from .source import LoadedConfiguration, Source, with_keys


class WatchedFiles:
    """The configuration file and the keys file of a running server.

    The attribute `refused` is the reason why the server rejects a file on disk, or None if the server accepts the
    files. If the argument `source` is None, only the keys file is read again.
    """

    def __init__(self, loaded: LoadedConfiguration, source: Source | None) -> None:
        self.refused: str | None = None
        self.refused_keys_file: str | None = None
        """The path of the keys file that the server rejected, if any. This path may differ from the path of the keys
        file in use."""
        self._loaded = loaded
        self._source = source
        if loaded.refused is not None:
            message = "the configuration or the keys file is invalid, so the server starts with the last valid files"
            self._refuse(loaded.refused, message)
        self._last_read = self._last_seen = self._contents()

    def changed(self) -> bool:
        """Returns whether the files have changed since they were last read, but have not changed since the previous
        call."""
        contents = self._contents()
        # If the files have changed since the previous call, a program may still be writing the files.
        is_settled = contents == self._last_seen
        self._last_seen = contents
        if contents == self._last_read or not is_settled:
            return False
        self._last_read = contents
        return True

    def read(self) -> LoadedConfiguration | None:
        """Returns the configuration and the API keys on disk, or None if a file is rejected or changed during the
        read."""
        before = self._contents()
        try:
            loaded = self._load()
        except (ConfigurationError, KeysError) as error:
            self._refuse(error, "a changed file is invalid, so the current configuration stays in use")
            return None
        return loaded if self._contents() == before else None

    def accept(self, loaded: LoadedConfiguration) -> None:
        """Marks `loaded` as the configuration in use, and saves copies of its files if `source` has a state folder."""
        self._loaded = loaded
        self.refused = self.refused_keys_file = None
        if self._source is not None:
            self._source.remember(loaded)

    def _load(self) -> LoadedConfiguration:
        if self._source is None:
            return with_keys(self._loaded.configuration)
        return self._source.load(self._loaded.authentication)

    def _refuse(self, error: ConfigurationError | KeysError, message: str) -> None:
        if self.refused != str(error):
            log(logging.ERROR, f"{message}: {error}")
        self.refused = str(error)
        self.refused_keys_file = error.path if isinstance(error, KeysError) else None

    def _contents(self) -> list[bytes | str | None]:
        """Returns the contents of the configuration file, the keys file in use, and the rejected keys file."""
        configuration_file = None if self._source is None else self._source.path
        keys_file = self._loaded.configuration.server.api_keys_file
        return [_content(path) for path in (configuration_file, keys_file, self.refused_keys_file)]


def _content(path: str | None) -> bytes | str | None:
    """Returns the bytes of the file `path`, the error text if the file cannot be read, or None if `path` is None.

    The error text shows whether the file is missing or unreadable. The difference matters, because the server rejects
    an unreadable keys file, but treats a missing keys file as a file without keys.
    """
    try:
        return None if path is None else Path(path).read_bytes()
    except (OSError, ValueError) as error:
        return str(error)
