"""The artefacts in a folder that a server uses: finds the newest one, and reads it again when it changes."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path

from . import embedding
from .artefact import Artefact, load_artefact
from .embedding import Embedding
from .errors import ArtefactError
from .folder import Version, newest_first


class Artefacts:
    """A folder of artefacts, and the artefact in use.

    The attribute `current` is the artefact in use, or None if no artefact could be read. The attribute `refused` is the
    reason why the newest artefact is not in use, or None if the newest artefact is in use. The reason begins with
    `option`, which is the name of the option that names the folder.
    """

    def __init__(self, folder: Path, option: str) -> None:
        self.current: Artefact | None = None
        self.refused: str | None = None
        self._folder = folder
        self._option = option
        versions = newest_first(folder)
        self._read = self._seen = versions[0] if versions else None
        self._accept(self._loaded(self._read))
        # After a restart, the newest artefact that can be read is in use.
        for version in versions[1:]:
            if self.current is None:
                older = self._loaded(version)
                self.current = older if isinstance(older, Artefact) else None

    async def refresh(self) -> bool:
        """Reads the newest artefact if it has changed, but not since the previous call of the method.

        Returns whether an artefact was read, or refused.
        """
        newest = next(iter(newest_first(self._folder)), None)
        # If the artefact has changed since the previous call, a program may still be writing the artefact.
        is_settled, self._seen = newest == self._seen, newest
        if not is_settled or newest == self._read:
            return False
        self._read = newest
        self._accept(await asyncio.to_thread(self._loaded, newest))
        return True

    def _accept(self, loaded: Artefact | str) -> None:
        if isinstance(loaded, str):
            self.refused = loaded
        else:
            self.current, self.refused = loaded, None

    def _loaded(self, version: Version | None) -> Artefact | str:
        """Returns an artefact, or the reason why it cannot be used."""
        if version is None:
            return f"{self._option}: {self._folder} contains no artefact. Name a folder that contains one"
        try:
            return _load(version)
        except ArtefactError as error:
            return f"{self._option}: {error}"


@lru_cache(maxsize=1)
def _load(version: Version) -> Artefact:
    """Returns an artefact. A reload of a configuration gets the artefact that is already in memory."""
    return load_artefact(version[0], _embedding())


@lru_cache(maxsize=1)
def _embedding() -> Embedding:
    return embedding.load(embedding.BUNDLED)
