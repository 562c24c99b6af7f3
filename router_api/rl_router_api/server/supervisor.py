"""Serves with one process, or with several workers on the same sockets."""

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


def serve(source: Source, loaded: Loaded, sockets: list[socket.socket], stopping: Stopping = USUAL) -> None:
    """Serves until SIGTERM or SIGINT; `loaded` is what the source had when the sockets were made."""
    if loaded.configuration.server.workers == 1:
        work(source, sockets, stopping, before=loaded)
    else:
        _supervise(source, loaded, sockets, stopping)


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
    for number in SIGNALS:
        signal.signal(number, lambda received, _: signals.append(received))

    def start(number: int) -> SpawnProcess:
        row = WorkerRow(in_flight, number, workers)
        process = context.Process(target=work, args=(source, sockets, stopping, counters, row))
        # Blocked in the worker from its first moment on.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
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
