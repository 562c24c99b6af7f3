"""Starts and ends the processes of one run of the suite, from all its threads."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

GRACE = 10.0
"""The seconds between SIGTERM and SIGKILL when a process is stopped."""


class StoppedError(Exception):
    """An attempt to start a process after the run has ended."""


class Processes:
    """Starts processes.

    The end of the `with` block stops the processes, so that no thread waits for a running process.
    """

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
        """Starts a process, and stops it at the end of the block."""
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
        """Waits for `seconds`. Raises StoppedError if the run ends."""
        if self._stopped.wait(seconds):
            raise StoppedError


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
