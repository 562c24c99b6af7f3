"""Loads the language model once, either at the start or when a request needs it for the first time."""

import asyncio
from collections.abc import Callable

from rl_router_model.engine import Engine


class LanguageModel:
    """A language model, which the function `load` loads.

    The attribute `tokens` is the maximum number of tokens of a request.
    """

    def __init__(self, load: Callable[[], Engine], tokens: int) -> None:
        self._load = load
        self._loading: asyncio.Task[Engine] | None = None
        self.tokens = tokens

    async def engine(self) -> Engine:
        """Returns the engine. Loads the model first if no request has needed the model yet. Raises StartError.

        If a client disconnects, the load continues for other requests. After a failed load, the next request
        loads the model again.
        """
        failed = self._loading is not None and self._loading.done() and self._loading.exception() is not None
        if self._loading is None or failed:
            self._loading = asyncio.create_task(asyncio.to_thread(self._load))
        return await asyncio.shield(self._loading)


def loaded(engine: Engine) -> LanguageModel:
    """Returns a language model that is already loaded."""
    return LanguageModel(lambda: engine, engine.slot_tokens)
