"""Detects whether a client that has closed the sending side of the connection still waits for the response.

Some clients, such as `nc -N`, close the sending side of the connection after the request. The server receives the same
TCP segment (FIN) from a client that has closed only the sending side as from a client that has closed the whole
connection. An interim response (100 Continue) shows whether the client still waits. A client that still waits ignores
the interim response. If the client has closed the whole connection, the client's operating system resets the connection
after the interim response, and the server's next write fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .pipeline import Pipeline
from .request_response import CONTINUE

_INTERVAL = 0.4
"""The number of seconds before each interim response. If the client has disconnected, the write of the second interim
response fails."""


def waits_for_response(
    loop: asyncio.AbstractEventLoop, pipeline: Pipeline, write: Callable[[bytes], None], *, is_last: bool
) -> bool:
    """Returns whether interim responses can show if a client that has closed its sending side still waits.

    If so, the function also starts the interim responses, unless they were started before. If the running request is
    the last one (`is_last`), the connection is closed after the final response.
    """
    running = pipeline.running
    if running is None or running.response_complete:
        return False
    if not pipeline.is_half_closed:
        if not running.awaits_response:
            return False
        pipeline.is_half_closed = True
        loop.call_later(_INTERVAL, _probe, loop, pipeline, write)
    running.keep_alive = running.keep_alive and not is_last
    return True


def _probe(loop: asyncio.AbstractEventLoop, pipeline: Pipeline, write: Callable[[bytes], None]) -> None:
    """Sends an interim response every 0.4 seconds before each final response, until the client has disconnected."""
    running = pipeline.running
    if running is not None:
        if running.awaits_response:
            write(CONTINUE)
        loop.call_later(_INTERVAL, _probe, loop, pipeline, write)
