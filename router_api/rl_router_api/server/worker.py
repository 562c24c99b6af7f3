"""One worker process: the API on the first socket, the admin port on the second. It stops gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from ..access.day_counters import DayCounters
from ..runtime.source import Loaded, Source
from ..upstreams.in_flight import InFlight, WorkerRow

if TYPE_CHECKING:
    from .app import App

SIGNALS = (signal.SIGTERM, signal.SIGINT)
KEEP_ALIVE = 75
"""Seconds for which an idle connection is kept. Clients keep theirs for less, so none sends a request into a connection
that the server is closing."""
_GC_THRESHOLD = 20_000
"""Objects that the youngest generation may gain before Python looks for cycles. Python's own 700 are few requests."""
_CLOSE = (b"connection", b"close")
_ECHO = 0.5
"""Seconds within which a second signal repeats the first one: a terminal, or systemd, signals every process of a group,
and the supervisor signals its workers too."""


@dataclass(frozen=True)
class Stopping:
    """How a server stops after SIGTERM, in seconds.

    For `lag`, new connections are still served, since load balancers learn late that the server is not ready. Then
    requests that run may finish within `grace`.
    """

    lag: float = 5.0
    grace: int = 30


USUAL = Stopping()


def work(
    source: Source,
    sockets: list[socket.socket],
    stopping: Stopping = USUAL,
    counters: str | None = None,
    row: WorkerRow | None = None,
    before: Loaded | None = None,
) -> None:
    """Serves until a signal. Several workers share `counters` and `row`. `before` is what to serve if the files have
    become invalid since it was loaded."""
    # Signals wait until the server can act on them. A repeated one after the end means nothing.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    # Imported here to keep the supervisor, which imports this module, small.
    from ..accounting.log import set_up
    from ..runtime.runtime import Shares
    from .app import App

    loaded = source.start(before)
    set_up(loaded.configuration.server.log_level)
    app = App(loaded, source, shares=Shares(DayCounters(counters), InFlight(row)))
    _tune_garbage_collection()
    main = _Server(app, stopping)
    with asyncio.Runner(loop_factory=main.config.get_loop_factory()) as runner:
        runner.run(_serve_both(app, main, stopping, sockets))


def _tune_garbage_collection() -> None:
    """Objects that exist now are never collected, and requests leave few cycles, so Python seldom looks for them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)


async def _serve_both(app: App, main: _Server, stopping: Stopping, sockets: list[socket.socket]) -> None:
    serving = asyncio.create_task(main.serve(sockets[:1]))
    await asyncio.wait([serving, asyncio.create_task(main.listening.wait())], return_when=asyncio.FIRST_COMPLETED)
    if not sockets[1:] or serving.done():
        await serving
        return
    admin = _AdminServer(app, stopping)
    serving_admin = asyncio.create_task(admin.serve(sockets[1:]))
    await serving
    admin.should_exit = True
    await serving_admin


class _Server(uvicorn.Server):
    """uvicorn's server, but on SIGTERM `/ready` changes first, and a requested stop exits with 0."""

    def __init__(self, app: App, stopping: Stopping) -> None:
        super().__init__(_config(app, stopping, lifespan="on"))
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
            if now - self._signalled_at >= _ECHO:
                # A second signal ends the server at once.
                self.should_exit, self.force_exit = True, sig == signal.SIGINT
            return
        self._signalled_at = now
        if sig == signal.SIGTERM and self.started:
            self._app.drain()
            self._exit_at = now + self._lag
            # Clients should send their next request to another server by a new connection. A connection that is kept
            # might be closed just when a request comes by it.
            self.config.encoded_headers.append(_CLOSE)
            self.server_state.default_headers.append(_CLOSE)
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        if self._parent is not None and not self._parent.is_alive():
            # Without its supervisor no signal would reach this worker.
            self.should_exit = True
        return await super().on_tick(counter)


class _AdminServer(uvicorn.Server):
    """The admin port. It handles no signals: it ends with the other server."""

    def __init__(self, app: App, stopping: Stopping) -> None:
        super().__init__(_config(app.admin, stopping, lifespan="off"))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: object, stopping: Stopping, *, lifespan: str) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        interface="asgi3",
        proxy_headers=False,
        http="rl_router_api.server.protocol:ApiProtocol",
        ws="none",
        lifespan=lifespan,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=stopping.grace,
        timeout_keep_alive=KEEP_ALIVE,
    )
