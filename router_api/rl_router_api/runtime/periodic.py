"""Repeats a server's background work, with a pause of one second after each run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..accounting.log import LOG

_PERIOD = 1.0
"""The pause, in seconds, after each run of the background work."""


async def each_second(work: Callable[[], Awaitable[None]]) -> None:
    """Runs `work` repeatedly, with a pause of one second after each run, until the task is cancelled.

    If `work` fails, logs the error and continues. If the background work ended after an error, the server would look
    healthy, although the server would no longer read changed files or probe upstreams.
    """
    while True:
        try:
            await work()
        except Exception:
            LOG.exception("background work failed, retrying in 1 s")
        await asyncio.sleep(_PERIOD)
