"""One worker: the API on the first socket, the admin port on the second; stops gracefully."""

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
"""Seconds for which an idle connection is kept: longer than clients keep theirs, whose request would meet its end."""
_COLLECTED_AFTER = 20_000
"""Objects by which the youngest may grow before they are searched for cycles; Python's 700 are some requests' worth."""
_CLOSE = (b"connection", b"close")
_ONCE = 0.5
"""Seconds within which a second signal is the first one's echo: a terminal, or systemd, tells every process of a group,
and the parent of several workers tells them too."""


@dataclass(frozen=True)
class Stopping:
    """How a server stops after SIGTERM, in seconds.

    `lag`: new connections are still served, for balancers hear of it late. `grace`: then what runs may finish.
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
    """One worker: the API on the first socket, the admin port on the second; `counters` and `row` are what several
    workers share, `before` is what to go on with if the files went wrong meanwhile."""
    # A signal is heard once the server can do something about it, and its echo after the end means nothing.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    from ..accounting.log import set_up
    from ..runtime.runtime import Shares
    from .app import App  # so that the parent of several workers stays small

    loaded = source.start(before)
    set_up(loaded.configuration.server.log_level)
    app = App(loaded, source, shares=Shares(DayCounters(counters), InFlight(row)))
    _spare_the_collector()
    main = _Server(app, stopping)
    with asyncio.Runner(loop_factory=main.config.get_loop_factory()) as runner:
        runner.run(_serve_both(main, _AdminServer(app, stopping), sockets))


def _spare_the_collector() -> None:
    """What is there now stays; what a request leaves behind holds few cycles, so it is looked through seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER)


async def _serve_both(main: _Server, admin: _AdminServer, sockets: list[socket.socket]) -> None:
    serving = asyncio.create_task(main.serve(sockets[:1]))
    await asyncio.wait([serving, asyncio.create_task(main.listening.wait())], return_when=asyncio.FIRST_COMPLETED)
    beside = asyncio.create_task(admin.serve(sockets[1:])) if sockets[1:] and not serving.done() else None
    await serving
    if beside is not None:
        admin.should_exit = True
        await beside


class _Server(uvicorn.Server):
    """uvicorn's server, but SIGTERM is heard by `/ready` first, and a stop that was asked for is no failure."""

    def __init__(self, app: App, stopping: Stopping) -> None:
        super().__init__(_config(app, stopping, lifespan="on"))
        self.listening = asyncio.Event()
        self._app = app
        self._lag = stopping.lag
        self._parent = multiprocessing.parent_process()
        self._told_at: float | None = None
        self._exit_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        await super().startup(sockets)
        self.listening.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        now = time.monotonic()
        if self._told_at is not None:
            if now - self._told_at >= _ONCE:
                # The second time is meant: nothing is waited for any more.
                self.should_exit, self.force_exit = True, sig == signal.SIGINT
            return
        self._told_at = now
        if sig == signal.SIGTERM and self.started:
            self._app.drain()
            self._exit_at = now + self._lag
            # Who asks again meanwhile does so by a new connection, elsewhere: one that is kept might be closed just
            # when a request comes by it.
            self.config.encoded_headers.append(_CLOSE)
            self.server_state.default_headers.append(_CLOSE)
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        if self._parent is not None and not self._parent.is_alive():
            # Nobody would ever tell this worker to stop.
            self.should_exit = True
        return await super().on_tick(counter)


class _AdminServer(uvicorn.Server):
    """The admin port: no signals of its own, it ends with the other."""

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
