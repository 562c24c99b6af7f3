"""The order of a connection's requests: each one runs when the response to the one before it is complete."""

from __future__ import annotations

import asyncio
from collections import deque

from .asgi import App, Scope, ServerState
from .cycle import Cycle
from .deadlines import Deadlines


class Pipeline:
    """Runs a connection's requests. `running` runs or ran last, `waiting` came before its response was complete."""

    def __init__(self, app: App, state: ServerState, loop: asyncio.AbstractEventLoop, deadlines: Deadlines) -> None:
        self._app = app
        self._state = state
        self._loop = loop
        self._deadlines = deadlines
        self.running: Cycle | None = None
        self.waiting: deque[tuple[Cycle, Scope]] = deque()

    def start(self, cycle: Cycle, scope: Scope) -> None:
        """Lets the application answer a request."""
        self._deadlines.due, self.running = 0.0, cycle
        cycle.task = task = self._loop.create_task(cycle.run(self._app, scope))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def disconnect(self) -> None:
        """The client has gone: tells every request so and forgets them."""
        for cycle in (self.running, *(cycle for cycle, _ in self.waiting)):
            if cycle is not None:
                cycle.disconnect()
        self.running = None
        self.waiting.clear()
