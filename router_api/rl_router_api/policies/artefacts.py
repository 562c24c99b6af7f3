"""The artefacts of the learned policy on disk: finds the newest one, and reads it again when it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from rl_router_policy import embedding
from rl_router_policy.artefact import Artefact, load_artefact
from rl_router_policy.embedding import Embedding
from rl_router_policy.errors import ArtefactError
from rl_router_policy.folder import Version, newest_first

_LOG = logging.getLogger("rl_router")


class Artefacts:
    """The folder of artefacts that the field `routing.artefacts` names, and the artefact in use.

    The attribute `current` is the artefact in use, or None if no artefact could be read. The attribute `refused` is the
    reason if the newest artefact cannot be used or no artefact exists, and otherwise None. The function `prepare` is
    called with each new artefact in another thread, before the artefact is used.
    """

    def __init__(self, folder: Path, prepare: Callable[[Artefact], object]) -> None:
        self.folder = folder
        self._prepare = prepare
        self.current: Artefact | None = None
        self.refused: str | None = None
        versions = newest_first(self.folder)
        self._read = self._seen = versions[0] if versions else None
        self._accept(_loaded(self.folder, self._read))
        # If the newest artefact cannot be read at the start, the newest of the readable artefacts is used.
        for version in versions[1:]:
            if self.current is None:
                older = _loaded(self.folder, version)
                self.current = None if isinstance(older, str) else older

    async def refresh(self) -> None:
        """Reads the newest artefact if it is not the artefact that was read last.

        The artefact is read only after two calls of the method in a row have found the same files.
        """
        newest = next(iter(newest_first(self.folder)), None)
        # If the artefact has changed since the previous call, a program may still be writing the artefact.
        is_settled, self._seen = newest == self._seen, newest
        if is_settled and newest != self._read:
            self._read = newest
            self._accept(await asyncio.to_thread(self._prepared, newest))

    def _prepared(self, version: Version | None) -> Artefact | str:
        loaded = _loaded(self.folder, version)
        if not isinstance(loaded, str):
            self._prepare(loaded)
        return loaded

    def _accept(self, loaded: Artefact | str) -> None:
        if isinstance(loaded, str):
            self.refused = loaded
            _LOG.error("%s", loaded)
            return
        if self.current is not None and self.current.hash != loaded.hash:
            _LOG.info("the policy uses another artefact", extra={"fields": {"artefact": loaded.hash}})
        self.current, self.refused = loaded, None


def _loaded(folder: Path, version: Version | None) -> Artefact | str:
    """Returns an artefact, or the reason why it cannot be used."""
    if version is None:
        return f"routing.artefacts: {folder} contains no artefact. Name a folder that contains one"
    try:
        return _load(version)
    except ArtefactError as error:
        return f"routing.artefacts: {error}"


@lru_cache(maxsize=1)
def _load(version: Version) -> Artefact:
    """Returns an artefact. A reload of the configuration gets the artefact that is already in memory."""
    return load_artefact(version[0], _embedding())


@lru_cache(maxsize=1)
def _embedding() -> Embedding:
    return embedding.load(embedding.BUNDLED)
