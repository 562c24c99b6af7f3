"""The processes of one run of the suite, in whichever thread they were started."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

GRACE = 10.0
"""Seconds between asking a process to end and killing it."""


class StoppedError(Exception):
    """The run has ended; nothing new is started."""


class Processes:
    """Starts processes; leaving its block ends those that still run, so that no thread waits for one of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = threading.Event()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._stopped.set()
            for process in self._running:
                process.terminate()

    @contextmanager
    def started(self, command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
        """A running process, which is ended when the block is left."""
        with self._lock:
            if self._stopped.is_set():
                raise StoppedError
            process = subprocess.Popen(command, text=True, **options)
            self._running.add(process)
        try:
            with process:
                try:
                    yield process
                finally:
                    _end(process)
        finally:
            with self._lock:
                self._running.remove(process)

    def pause(self, seconds: float) -> None:
        """Waits, but no longer than the run lasts."""
        if self._stopped.wait(seconds):
            raise StoppedError


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
