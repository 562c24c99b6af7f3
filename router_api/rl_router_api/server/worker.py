"""Runs one worker process, which serves the API and, unless the admin port is disabled, the admin port."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from rl_router_process.output import STDERR

from ..access.day_counters import DayCounters
from ..config import is_loopback
from ..runtime.source import LoadedConfiguration, Source
from ..upstreams.in_flight import InFlight, WorkerRow

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from .app import App

SIGNALS = (signal.SIGTERM, signal.SIGINT)
KEEP_ALIVE = 75
"""The number of seconds for which the server keeps an idle connection open. Clients usually close idle connections
earlier than the server, and therefore send no request on a connection that the server is closing."""
_GC_THRESHOLD = 20_000
"""The number of new objects in memory after which Python starts a garbage collection. Python's default is 700 new
objects, or 2,000 since Python 3.13, but a few requests already create that many objects."""
_CLOSE = (b"connection", b"close")
_REPEAT_WINDOW = 0.5
"""The number of seconds within which a second signal counts as a copy of the first signal. A worker gets a signal twice
if a terminal or systemd sends the signal to all processes and the supervisor also forwards the signal to the
workers."""


@dataclass(frozen=True)
class Stopping:
    """The durations, in seconds, of the two phases in which a server stops after SIGTERM.

    During the phase `lag`, the server still accepts connections, because load balancers notice with a delay that the
    server is not ready. During the phase `grace`, the in-flight requests may finish. Then the server cancels the rest.
    """

    lag: float = 5.0
    grace: int = 30


DEFAULT_STOPPING = Stopping()


def work(
    source: Source,
    sockets: list[socket.socket],
    stopping: Stopping = DEFAULT_STOPPING,
    counters: str | None = None,
    row: WorkerRow | None = None,
    before: LoadedConfiguration | None = None,
) -> None:
    """Serves the router API in this process. After SIGTERM or SIGINT, returns when the server has stopped.

    The argument `counters` is the path of the file with the counter table that the workers share. The argument `row` is
    the worker's row in the table of in-flight requests. Both are None if the server has only one worker. The argument
    `before` is the configuration that was loaded at the start of the server. If the configuration file or the keys file
    has become invalid, the worker uses `before`, or the saved copies of the last valid files if `before` is None.
    """
    # Signals stay pending until the server can handle them. The empty handler ignores signals after the server has
    # ended.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    # These imports are here to save memory in the supervisor, which imports this module.
    from ..accounting.log import set_up
    from ..runtime.runtime import SharedState
    from .app import App

    if row is not None:
        STDERR.take_turns(row.path)
    loaded = source.start(before)
    set_up(loaded.configuration.server.log_level)
    app = App(loaded, source, shared=SharedState(DayCounters(counters), InFlight(row)))
    _tune_garbage_collection()
    main = _Server(app, stopping, sockets[0])
    with asyncio.Runner(loop_factory=main.config.get_loop_factory()) as runner:
        runner.run(_serve_both(app, main, stopping, sockets))


def _tune_garbage_collection() -> None:
    """Makes garbage collection rare, because requests create few reference cycles.

    Excludes all existing objects from garbage collection, because a check of these objects would only take time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)


async def _serve_both(app: App, main: _Server, stopping: Stopping, sockets: list[socket.socket]) -> None:
    serving = asyncio.create_task(main.serve(sockets[:1]))
    await asyncio.wait([serving, asyncio.create_task(main.listening.wait())], return_when=asyncio.FIRST_COMPLETED)
    if not sockets[1:] or serving.done():
        await serving
        return
    admin = _AdminServer(app, stopping, sockets[1])
    serving_admin = asyncio.create_task(admin.serve(sockets[1:]))
    await serving
    admin.should_exit = True
    await serving_admin


class _Server(uvicorn.Server):
    """uvicorn's server, with a phase after SIGTERM in which `/ready` returns 503 and the server still accepts requests.

    A process that is stopped by SIGTERM or SIGINT exits with code 0.
    """

    def __init__(self, app: App, stopping: Stopping, listener: socket.socket) -> None:
        remedy = "To allow other names in the Host header, configure server.api_keys_file."
        guarded = _guarded(app, listener, lambda: app.runtime.admission.open, remedy)
        super().__init__(_config(guarded, stopping, lifespan="on"))
        self.listening = asyncio.Event()
        self._app = app
        self._lag = stopping.lag
        self._parent = multiprocessing.parent_process()
        self._signalled_at: float | None = None
        self._exit_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        await super().startup(sockets)
        self.listening.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        now = time.monotonic()
        if self._signalled_at is not None:
            if now - self._signalled_at >= _REPEAT_WINDOW:
                # A second signal ends the phase `lag`. If the second signal is SIGINT, it also ends the phase `grace`.
                self.should_exit, self.force_exit = True, sig == signal.SIGINT
            return
        self._signalled_at = now
        if sig == signal.SIGTERM and self.started:
            self._app.drain()
            self._exit_at = now + self._lag
            # This header makes clients open a new connection, to another server, for their next request. Otherwise this
            # server might close a kept connection at the moment when a request arrives on it.
            self.config.encoded_headers.append(_CLOSE)
            self.server_state.default_headers.append(_CLOSE)
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        if self._parent is not None and not self._parent.is_alive():
            # The supervisor has died, so it cannot forward a signal to this worker.
            self.should_exit = True
        return await super().on_tick(counter)


class _AdminServer(uvicorn.Server):
    """The HTTP server of the admin port.

    The server of the admin port handles no signals, because the function `_serve_both` stops this server together with
    the server of the API.
    """

    def __init__(self, app: App, stopping: Stopping, listener: socket.socket) -> None:
        remedy = "To allow other names in the Host header, set server.admin_host to a non-loopback address."
        guarded = _guarded(app.admin, listener, lambda: True, remedy)
        super().__init__(_config(guarded, stopping, lifespan="off"))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _guarded(app: ASGIApp, listener: socket.socket, needs_check: Callable[[], bool], remedy: str) -> ASGIApp:
    """Returns `app`, with a check of the Host header if the socket `listener` has a loopback address. The check is
    skipped while `needs_check` returns False."""
    from .host_names import LoopbackNames

    return LoopbackNames(app, needs_check, remedy) if is_loopback(listener.getsockname()[0]) else app


def _config(app: ASGIApp, stopping: Stopping, *, lifespan: str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        proxy_headers=False,
        http="rl_router_api.server.connection:ApiConnection",
        ws="none",
        lifespan=lifespan,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=stopping.grace,
        timeout_keep_alive=KEEP_ALIVE,
    )
