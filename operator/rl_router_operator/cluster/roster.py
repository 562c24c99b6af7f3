"""Which RouterDeployments exist. kopf reports them; a look of our own finds what an outage kept from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress

from ..log import log
from ..objects.kinds import ROUTER
from ..objects.manifest import Manifest
from . import prune
from .client import Api, RefusedError, UnreachableError
from .store import Cache, Key

_PAUSE = 2.0
_SETTLING = 0.5


class Roster:
    """`changed` is called with the key of each RouterDeployment that is not as it was, or gone."""

    def __init__(self, api: Api, namespaces: tuple[str, ...], changed: Callable[[Key], None], every: float) -> None:
        self._api = api
        self._namespaces = namespaces or (None,)
        self._every = every
        self._cache = Cache(changed)
        self._again = asyncio.Event()
        self.synced = asyncio.Event()
        self.trouble: str | None = None

    def saw(self, event: str | None, body: Manifest) -> None:
        """Takes an event of kopf's; one without a type is from a list, which says nothing of what is gone."""
        kept = prune.router(body)
        if event == "DELETED":
            self._cache.drop(kept)
            return
        if event is None and self.synced.is_set():
            self.look_again()
        self.took(kept)

    def took(self, body: Manifest) -> None:
        """Takes a RouterDeployment as the API server has just answered it."""
        self._cache.put(prune.router(body), (_key(body),))

    def get(self, key: Key) -> Manifest | None:
        """A RouterDeployment as it was last seen."""
        return self._cache.get(ROUTER.kind, *key)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._cache.keys())

    def look_again(self) -> None:
        """Something may have been missed."""
        self._again.set()

    async def run(self) -> None:
        """Looks at the start, when asked, and every now and then."""
        while True:
            self._again.clear()
            pause = self._every if await self._look() else _PAUSE
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._again.wait()
                # Many ask at once.
                await asyncio.sleep(_SETTLING)

    async def _look(self) -> bool:
        try:
            for namespace in self._namespaces:
                items, version = await self._api.list_all(ROUTER, namespace, {})
                pairs = [(prune.router(item), (_key(item),)) for item in items]
                self._cache.replace(ROUTER.kind, namespace, pairs, int(version))
        except UnreachableError as error:
            log(logging.DEBUG, str(error))
            return False
        except RefusedError as error:
            self._fail(error.message)
            return False
        self.trouble = None
        self.synced.set()
        return True

    def _fail(self, trouble: str) -> None:
        if trouble != self.trouble:
            log(logging.WARNING, f"RouterDeployments cannot be listed: {trouble}")
        self.trouble = trouble


def _key(body: Manifest) -> Key:
    return body["metadata"]["namespace"], body["metadata"]["name"]
