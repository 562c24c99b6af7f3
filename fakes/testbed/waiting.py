"""Polls for a condition, so that tests do not sleep for a fixed time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable


async def until(reached: Callable[[], object], what: str, within: float = 10) -> None:
    """Polls until `reached`, a function or a coroutine function, returns a true value.

    Raises AssertionError if `reached` does not return a true value within `within` seconds. The message contains the
    text `what`.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while True:
        result = reached()
        if await result if inspect.isawaitable(result) else result:
            return
        assert loop.time() < end, f"timeout after {within} s while waiting for: {what}"
        await asyncio.sleep(0.005)
