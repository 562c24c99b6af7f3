"""The artefacts in a folder that a server uses: finds the newest one, and reads it again when it changes."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
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
    reason if the newest artefact cannot be used or no artefact exists, and otherwise None. The reason begins with
    `option`, which is the name of the option that names the folder. After the start, the function `prepare` is called
    with each new artefact in another thread, before the artefact is used.
    """

    def __init__(self, folder: Path, option: str, prepare: Callable[[Artefact], object] | None = None) -> None:
        self.current: Artefact | None = None
        self.refused: str | None = None
        self._folder = folder
        self._option = option
        self._prepare = prepare
        self._in_memory = _in_memory(folder)
        versions = newest_first(folder)
        self._read = self._seen = versions[0] if versions else None
        self._accept(self._read, self._loaded(self._read))
        # After a reload of a configuration, the artefact in use stays in use.
        self.current = self.current or self._in_memory.artefact
        # If the newest artefact cannot be read at the start, the newest of the readable artefacts is used.
        for version in versions[1:]:
            if self.current is None and isinstance(older := self._loaded(version), Artefact):
                self._use(version, older)

    async def refresh(self) -> bool:
        """Tries to read the newest artefact if it has changed since the last attempt. Returns whether it tried.

        The artefact is read only after two calls of the method in a row have found the same files.
        """
        newest = next(iter(newest_first(self._folder)), None)
        # If the artefact has changed since the previous call, a program may still be writing the artefact.
        is_settled, self._seen = newest == self._seen, newest
        if not is_settled or newest == self._read:
            return False
        self._read = newest
        self._accept(newest, await asyncio.to_thread(self._prepared, newest))
        return True

    def _prepared(self, version: Version | None) -> Artefact | str:
        loaded = self._loaded(version)
        if isinstance(loaded, Artefact) and self._prepare is not None:
            self._prepare(loaded)
        return loaded

    def _accept(self, version: Version | None, loaded: Artefact | str) -> None:
        self.refused = loaded if isinstance(loaded, str) else None
        if isinstance(loaded, Artefact):
            self._use(version, loaded)

    def _use(self, version: Version | None, artefact: Artefact) -> None:
        self.current = self._in_memory.artefact = artefact
        self._in_memory.version = version

    def _loaded(self, version: Version | None) -> Artefact | str:
        """Returns an artefact, or the reason why it cannot be used."""
        if version is None:
            return f"{self._option}: {self._folder} contains no artefact. Name a folder that contains one"
        if self._in_memory.artefact is not None and self._in_memory.version == version:
            return self._in_memory.artefact
        try:
            artefact = load_artefact(version[0], _embedding())
        except ArtefactError as error:
            return f"{self._option}: {error}"
        _return_freed_memory()
        return artefact


@dataclass
class _InMemory:
    """Keeps the artefact of a folder in memory, for the next configuration with the same folder."""

    version: Version | None = None
    artefact: Artefact | None = None


@lru_cache(maxsize=1)
def _in_memory(_folder: Path) -> _InMemory:
    return _InMemory()


def _return_freed_memory() -> None:
    """Returns freed memory to the operating system. Without this, loading an artefact leaves 3 MB of unused memory."""
    # Only glibc has the function.
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@lru_cache(maxsize=1)
def _embedding() -> Embedding:
    return embedding.load(embedding.BUNDLED)
