"""The files of the configuration and of the keys: when they changed, and whether they can be used."""

from __future__ import annotations

import logging

from ..accounting.log import log
from ..errors import ConfigurationError, KeysError
from .source import Loaded, Source, with_keys


class Files:
    """The files that a server was started from. `refused` says why the ones on disk are not in force, None if they are.

    Without a source there is no configuration file, and only the keys are read again.
    """

    def __init__(self, loaded: Loaded, source: Source | None) -> None:
        self.refused: str | None = None
        self.refused_keys_file: str | None = None
        """The keys file that the refusal is about. It need not be the one in force."""
        self._loaded = loaded
        self._source = source
        if loaded.refused is not None:
            self._refuse(loaded.refused, "the files on disk are refused, the last good ones are in force")
        self._taken = self._last_seen = self._contents()

    def changed(self) -> bool:
        """Returns whether the files have changed and then stayed the same since the last call."""
        contents = self._contents()
        # If they differ from the last call, somebody may still be writing them.
        is_settled = contents == self._last_seen
        self._last_seen = contents
        if contents == self._taken or not is_settled:
            return False
        self._taken = contents
        return True

    def read(self) -> Loaded | None:
        """Returns what the files hold now. None if they are refused, or if somebody wrote them meanwhile."""
        before = self._contents()
        try:
            loaded = self._load()
        except (ConfigurationError, KeysError) as error:
            self._refuse(error, "the changed configuration is refused, the running one stays")
            return None
        return loaded if self._contents() == before else None

    def accept(self, loaded: Loaded) -> None:
        """Notes that `loaded` is in force, and keeps it for the next start."""
        self._loaded = loaded
        self.refused = self.refused_keys_file = None
        if self._source is not None:
            self._source.remember(loaded)

    def _load(self) -> Loaded:
        if self._source is None:
            return with_keys(self._loaded.configuration)
        return self._source.load(self._loaded.authentication)

    def _refuse(self, error: ConfigurationError | KeysError, message: str) -> None:
        if self.refused != str(error):
            log(logging.ERROR, f"{message}: {error}")
        self.refused = str(error)
        self.refused_keys_file = error.path if isinstance(error, KeysError) else None

    def _contents(self) -> bytes:
        """Returns the bytes on disk: the configuration, the keys in force, and the keys that were refused."""
        keys_files = (self._loaded.configuration.server.api_keys_file, self.refused_keys_file)
        sources = (self._source or Source(), *map(Source, keys_files))
        return b"\0".join(source.text for source in sources)
