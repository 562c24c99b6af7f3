"""Serves with one process, or supervises several workers on the same sockets."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import socket
import tempfile
import time
from dataclasses import replace
from multiprocessing.context import SpawnProcess

from ..access.day_counters import make_counter_table
from ..runtime.source import Loaded, Source
from ..upstreams.in_flight import WorkerRow, make_in_flight_table
from .worker import SIGNALS, USUAL, Stopping, work

_RESTART_DELAY = 1.0


def serve(source: Source, loaded: Loaded, sockets: list[socket.socket], stopping: Stopping = USUAL) -> None:
    """Serves until SIGTERM or SIGINT. `loaded` is what the source contained when the sockets were opened."""
    if loaded.configuration.server.workers == 1:
        work(source, sockets, stopping, before=loaded)
    else:
        _supervise(source, loaded, sockets, stopping)


def _supervise(source: Source, loaded: Loaded, sockets: list[socket.socket], stopping: Stopping) -> None:
    """Runs the configured number of workers until a signal, which it passes on to all of them."""
    folder = tempfile.mkdtemp(prefix="rl-router-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    if source.state is None:
        # A worker that starts, or restarts, serves what the others do, even if the file has changed meanwhile.
        source = replace(source, state=folder)
        source.remember(loaded)
    signals: list[int] = []
    for number in SIGNALS:
        signal.signal(number, lambda received, _: signals.append(received))
    workers = _Workers(source, sockets, stopping, folder, loaded.configuration.server.workers)
    try:
        while not signals:
            workers.wait(0.2)
            workers.restart_dead(signals)
    finally:
        for each in sockets:
            # Otherwise the kernel would accept connections that nobody serves once the workers stop listening.
            each.close()
        workers.stop(signals)
        shutil.rmtree(folder, ignore_errors=True)


class _Workers:
    """The processes of one server. `folder` holds what they share."""

    def __init__(
        self, source: Source, sockets: list[socket.socket], stopping: Stopping, folder: str, count: int
    ) -> None:
        self._start_with = (source, sockets, stopping, make_counter_table(folder))
        self._in_flight = make_in_flight_table(folder, count)
        self._count = count
        self._context = multiprocessing.get_context("spawn")
        self._running = [self._start(number) for number in range(count)]

    def _start(self, number: int) -> SpawnProcess:
        row = WorkerRow(self._in_flight, number, self._count)
        process = self._context.Process(target=work, args=(*self._start_with, row))
        # The worker inherits the mask, so that signals wait from its first moment on.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return process

    def wait(self, seconds: float) -> None:
        """Waits so long, or until a worker ends."""
        multiprocessing.connection.wait([process.sentinel for process in self._running], timeout=seconds)

    def restart_dead(self, signals: list[int]) -> None:
        """Starts another worker for each one that ended, unless `signals` holds one."""
        for number, process in enumerate(self._running):
            if not signals and not process.is_alive():
                logging.getLogger("rl_router").error("a worker ended (%s); starting another", process.exitcode)
                _forget_gauges(process.pid)
                time.sleep(_RESTART_DELAY)
                self._running[number] = self._start(number)

    def stop(self, signals: list[int]) -> None:
        """Passes each of `signals` on, later ones too, until every worker has ended."""
        passed = 0
        while any(process.is_alive() for process in self._running):
            for number in signals[passed:] or ([signal.SIGTERM] if not signals and not passed else []):
                passed += 1
                self._send(number)
            self.wait(0.1)

    def _send(self, number: int) -> None:
        for process in self._running:
            if process.pid and process.is_alive():
                os.kill(process.pid, number)


def _forget_gauges(pid: int | None) -> None:
    """The gauges of a dead worker no longer count. Its counters do."""
    from prometheus_client import multiprocess  # looks at the folder when it is imported

    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
