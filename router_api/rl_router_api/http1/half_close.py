"""Detects whether a client that has closed its sending side still waits for its response.

Some clients, such as `nc -N`, close their sending side after the request. The server receives the same bytes from such
a client as from a client that has closed the whole connection. An interim response shows the difference. A client that
waits ignores the interim response, but the system of a client that has closed the connection resets the connection, so
that the server's next write fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .pipeline import Pipeline
from .request_response import CONTINUE, RequestResponseCycle

_INTERVAL = 0.4
"""Seconds before each interim response. After two intervals, the server notices that a client has disconnected."""


def waits_for_response(loop: asyncio.AbstractEventLoop, pipeline: Pipeline, write: Callable[[bytes], None]) -> bool:
    """Returns whether a client that has closed its sending side may still wait for the response to its last request.

    If the client may wait, this function also starts the interim responses, and the response ends the connection.
    """
    running = pipeline.running
    if running is None or pipeline.waiting or not running.awaits_response:
        return False
    running.keep_alive = False
    loop.call_later(_INTERVAL, _probe, loop, running, write)
    return True


def _probe(loop: asyncio.AbstractEventLoop, request: RequestResponseCycle, write: Callable[[bytes], None]) -> None:
    """Sends an interim response at each interval until the response begins or the client has disconnected."""
    if request.awaits_response and not request.disconnected:
        write(CONTINUE)
        loop.call_later(_INTERVAL, _probe, loop, request, write)
