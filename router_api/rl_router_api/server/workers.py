"""Listens: one process, or several workers on the same sockets; stops gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from ..access.day_counters import DayCounters, make_counter_table
from ..config import Server
from ..errors import ListenError
from ..runtime.source import Loaded, Source
from ..upstreams.in_flight import InFlight, WorkerRow, make_in_flight_table

if TYPE_CHECKING:
    from .app import App

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
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


_USUAL = Stopping()


def listen(server: Server) -> list[socket.socket]:
    """The sockets of the server and, where there is one, of its admin port. Raises ListenError."""
    sockets = [_bind(server.host, server.port, "--serve-port")]
    admin_port = server.admin_port if server.admin_port is not None else server.port and server.port + 1
    if admin_port:
        sockets.append(_bind(server.host, admin_port, "--server.admin-port (0 turns it off)"))
    return sockets


def address(host: str, port: int) -> str:
    """Host and port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(source: Source, loaded: Loaded, sockets: list[socket.socket], stopping: Stopping = _USUAL) -> None:
    """Serves until SIGTERM or SIGINT; `loaded` is what the source had when the sockets were made."""
    if loaded.configuration.server.workers == 1:
        work(source, sockets, stopping, before=loaded)
    else:
        _supervise(source, loaded, sockets, stopping)


def work(
    source: Source,
    sockets: list[socket.socket],
    stopping: Stopping = _USUAL,
    counters: str | None = None,
    row: WorkerRow | None = None,
    before: Loaded | None = None,
) -> None:
    """One worker: the API on the first socket, the admin port on the second; `counters` and `row` are what several
    workers share, `before` is what to go on with if the files went wrong meanwhile."""
    # A signal is heard once the server can do something about it, and its echo after the end means nothing.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    for number in _SIGNALS:
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
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
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


def _bind(host: str, port: int, flag: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol's number asyncio does not set TCP_NODELAY, and small replies wait 40 ms for the client.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(2048)
    except (OSError, OverflowError) as error:
        made.close()
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is in use" if in_use else f"cannot be used ({getattr(error, 'strerror', None) or error})"
        remedy = f"stop what listens there, or choose another with {flag}"
        raise ListenError(f"{address(host, port)} {why}; {remedy}") from None
    made.set_inheritable(True)
    return made


def _supervise(source: Source, loaded: Loaded, sockets: list[socket.socket], stopping: Stopping) -> None:
    """Keeps the configured number of processes running until a signal, which all of them hear."""
    workers = loaded.configuration.server.workers
    folder = tempfile.mkdtemp(prefix="rl-router-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    counters, in_flight = make_counter_table(folder), make_in_flight_table(folder, workers)
    if source.state is None:
        # A worker that is started, or started again, serves what the others do, whatever the file says by then.
        source = replace(source, state=folder)
        source.remember(loaded)
    context = multiprocessing.get_context("spawn")
    signals: list[int] = []
    for number in _SIGNALS:
        signal.signal(number, lambda received, _: signals.append(received))

    def start(number: int) -> SpawnProcess:
        row = WorkerRow(in_flight, number, workers)
        process = context.Process(target=work, args=(source, sockets, stopping, counters, row))
        # Blocked in the worker from its first moment on.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return process

    running = [start(number) for number in range(workers)]
    try:
        while not signals:
            multiprocessing.connection.wait([process.sentinel for process in running], timeout=0.2)
            for index, process in enumerate(running):
                if not signals and not process.is_alive():
                    logging.getLogger("rl_router").error("a worker ended (%s); starting another", process.exitcode)
                    _forget_gauges(process.pid)
                    time.sleep(1.0)
                    running[index] = start(index)
    finally:
        for each in sockets:
            # Or else connections would still be taken, by nobody, once the workers listen no more.
            each.close()
        _stop(running, signals)
        shutil.rmtree(folder, ignore_errors=True)


def _forget_gauges(pid: int | None) -> None:
    """What a dead worker last said of now is not added to what the living say; its counters are."""
    from prometheus_client import multiprocess  # looks at the folder when it is imported

    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _stop(running: list[SpawnProcess], signals: list[int]) -> None:
    told = 0
    while any(process.is_alive() for process in running):
        # Each signal goes on to the workers, a second one as well.
        for number in signals[told:] or ([signal.SIGTERM] if not signals and not told else []):
            told += 1
            for process in running:
                if process.pid and process.is_alive():
                    os.kill(process.pid, number)
        multiprocessing.connection.wait([process.sentinel for process in running], timeout=0.1)
