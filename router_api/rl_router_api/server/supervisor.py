"""Serves the router API in this process, or supervises several worker processes that share the sockets."""

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

from rl_router_process.output import STDERR

from ..access.day_counters import make_counter_table
from ..runtime.source import LoadedConfiguration, Source
from ..upstreams.in_flight import WorkerRow, make_in_flight_table
from .worker import DEFAULT_STOPPING, SIGNALS, Stopping, work

_RESTART_DELAY = 1.0
"""The number of seconds for which the supervisor waits before the supervisor replaces a worker that has ended."""


def serve(
    source: Source, loaded: LoadedConfiguration, sockets: list[socket.socket], stopping: Stopping = DEFAULT_STOPPING
) -> None:
    """Serves the router API. After SIGTERM or SIGINT, returns when the server has stopped.

    The argument `loaded` is the configuration that was loaded at the start of the server.
    """
    if loaded.configuration.server.workers == 1:
        work(source, sockets, stopping, before=loaded)
    else:
        _supervise(source, loaded, sockets, stopping)


def _supervise(source: Source, loaded: LoadedConfiguration, sockets: list[socket.socket], stopping: Stopping) -> None:
    """Runs the configured number of workers. Forwards SIGTERM or SIGINT to all workers and then waits for their end."""
    folder = tempfile.mkdtemp(prefix="rl-router-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    if source.state is None:
        # A restarted worker uses the same configuration as the other workers, even if the file has become invalid.
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
        for listener in sockets:
            # If this socket stayed open, the kernel would accept connections that no worker serves any more.
            listener.close()
        workers.stop(signals)
        shutil.rmtree(folder, ignore_errors=True)


class _Workers:
    """The worker processes of one server. The folder `folder` contains the tables that the workers share."""

    def __init__(
        self, source: Source, sockets: list[socket.socket], stopping: Stopping, folder: str, count: int
    ) -> None:
        self._arguments = (source, sockets, stopping, make_counter_table(folder))
        self._in_flight = make_in_flight_table(folder, count)
        STDERR.take_turns(self._in_flight)
        self._count = count
        self._context = multiprocessing.get_context("spawn")
        self._running = [self._start(number) for number in range(count)]

    def _start(self, number: int) -> SpawnProcess:
        row = WorkerRow(self._in_flight, number, self._count)
        process = self._context.Process(target=work, args=(*self._arguments, row))
        # The worker inherits this signal mask, so the kernel keeps the worker's signals pending until the worker
        # unblocks the signals.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return process

    def wait(self, seconds: float) -> None:
        """Waits until a worker ends, but at most `seconds` seconds."""
        multiprocessing.connection.wait([process.sentinel for process in self._running], timeout=seconds)

    def restart_dead(self, signals: list[int]) -> None:
        """Starts a new worker for each worker that has ended, unless the supervisor has received SIGTERM or SIGINT."""
        for number, process in enumerate(self._running):
            if not signals and not process.is_alive():
                logging.getLogger("rl_router").error(
                    "a worker ended with exit code %s. The server starts a new worker", process.exitcode
                )
                _forget_gauges(process.pid)
                time.sleep(_RESTART_DELAY)
                self._running[number] = self._start(number)

    def stop(self, signals: list[int]) -> None:
        """Sends `signals`, or SIGTERM if `signals` is empty, to all workers and waits until every worker has ended.

        Signals that are added to `signals` during the wait are sent too.
        """
        if not signals:
            self._send(signal.SIGTERM)
        forwarded = 0
        while any(process.is_alive() for process in self._running):
            for number in signals[forwarded:]:
                forwarded += 1
                self._send(number)
            self.wait(0.1)

    def _send(self, number: int) -> None:
        for process in self._running:
            if process.pid and process.is_alive():
                os.kill(process.pid, number)


def _forget_gauges(pid: int | None) -> None:
    """Removes the gauges of a dead worker from the metrics. The counters keep the dead worker's counts."""
    # This import reads PROMETHEUS_MULTIPROC_DIR, so it must run after `_supervise` has set the variable.
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
