"""Repeats a server's background work every second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..accounting.log import LOG

_PERIOD = 1.0
"""Seconds between two runs of the work."""


async def each_second(work: Callable[[], Awaitable[None]]) -> None:
    """Runs `work` every second until the task is cancelled.

    Logs a failure and continues. Otherwise a server that no longer reads its files or probes its upstreams would look
    healthy.
    """
    while True:
        try:
            await work()
        except Exception:
            LOG.exception("background work failed, retrying in 1 s")
        await asyncio.sleep(_PERIOD)
