"""Runs the requests of a connection one after another.

A request starts only after the previous request's response is complete.
"""

from __future__ import annotations

import asyncio
from collections import deque

from .asgi import App, Scope, ServerState
from .deadlines import Deadlines
from .request_response import RequestResponseCycle


class Pipeline:
    """The requests of a connection, in the order in which the client sent the requests.

    The attribute `running` is the request that was started last. The attribute `waiting` contains the requests whose
    headers have been parsed, but that have not started. The attribute `is_half_closed` is true after the client has
    closed the sending side of the connection, but may still wait for responses.
    """

    def __init__(self, app: App, state: ServerState, loop: asyncio.AbstractEventLoop, deadlines: Deadlines) -> None:
        self._app = app
        self._state = state
        self._loop = loop
        self._deadlines = deadlines
        self.running: RequestResponseCycle | None = None
        self.waiting: deque[tuple[RequestResponseCycle, Scope]] = deque()
        self.is_half_closed = False

    def start(self, cycle: RequestResponseCycle, scope: Scope) -> None:
        """Starts the ASGI application for a request."""
        self._deadlines.stop()
        self.running = cycle
        cycle.task = task = self._loop.create_task(cycle.run(self._app, scope))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def disconnect(self) -> None:
        """Marks the client of every request as disconnected, and drops all requests."""
        for cycle in (self.running, *(cycle for cycle, _ in self.waiting)):
            if cycle is not None:
                cycle.disconnect()
        self.running = None
        self.waiting.clear()
