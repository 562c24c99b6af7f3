"""Watches the configuration file and the keys file for changes, and reports whether they are valid."""

from __future__ import annotations

import logging

from ..accounting.log import log
from ..errors import ConfigurationError, KeysError
from .source import LoadedConfiguration, Source, with_keys


class WatchedFiles:
    """The files that a server was started from.

    `refused` is the reason why the files on disk are not in force, None if they are. Without a source there is no
    configuration file, and only the keys are read again.
    """

    def __init__(self, loaded: LoadedConfiguration, source: Source | None) -> None:
        self.refused: str | None = None
        self.refused_keys_file: str | None = None
        """The keys file that was refused. It may differ from the one in force."""
        self._loaded = loaded
        self._source = source
        if loaded.refused is not None:
            self._refuse(loaded.refused, "the files on disk are invalid, starting with the last good ones")
        self._last_read = self._last_seen = self._contents()

    def changed(self) -> bool:
        """Returns whether the files have changed, and are the same as at the last call."""
        contents = self._contents()
        # If they differ from the last call, a program may still be writing them.
        is_settled = contents == self._last_seen
        self._last_seen = contents
        if contents == self._last_read or not is_settled:
            return False
        self._last_read = contents
        return True

    def read(self) -> LoadedConfiguration | None:
        """Returns the configuration on disk, or None if it is invalid or was written while it was read."""
        before = self._contents()
        try:
            loaded = self._load()
        except (ConfigurationError, KeysError) as error:
            self._refuse(error, "the changed configuration is invalid, the current one stays in force")
            return None
        return loaded if self._contents() == before else None

    def accept(self, loaded: LoadedConfiguration) -> None:
        """Marks `loaded` as the configuration in force, and saves it as the last good one."""
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

    def _contents(self) -> bytes:
        """Returns the bytes of the configuration file, the keys file in force, and the refused keys file."""
        keys_files = (self._loaded.configuration.server.api_keys_file, self.refused_keys_file)
        sources = (self._source or Source(), *map(Source, keys_files))
        return b"\0".join(source.text for source in sources)
