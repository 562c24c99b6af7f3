"""Processes that are measured: started on a core of their own, their CPU time and memory taken from the kernel."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = _CORES[-1], _CORES[0]
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 120.0


def pinned(core: int) -> Callable[[], None]:
    """What a child does first, so that it runs on that core alone."""
    return lambda: os.sched_setaffinity(0, {core})


class Process:
    """A server; it writes what it has to say into `log`."""

    def __init__(
        self, command: Sequence[str], core: int, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        self.started = time.monotonic()
        with log.open("wb") as file:
            self._child = subprocess.Popen(
                command, preexec_fn=pinned(core), stdout=file, stderr=file,
                env={**os.environ, "NO_PROXY": "127.0.0.1", **(environment or {})},
            )  # fmt: skip

    def until_it_answers(self, url: str) -> None:
        """Waits for a status below 500. Exits with the end of the log where none comes."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self._child.poll() is None:
            if _answers(url):
                return
            time.sleep(0.02)
        raise SystemExit(f"error: {url} does not answer:\n{self._log.read_text(errors='replace')[-2000:]}")

    def cpu_seconds(self) -> float:
        """User and system time so far, of all its threads and of its children."""
        return sum(_cpu_ticks(pid) for pid in self._family()) / _TICKS

    def memory_mb(self) -> float:
        """Resident memory, its children's included."""
        return sum(_resident_kb(pid) for pid in self._family()) / 1024

    def _family(self) -> Iterator[int]:
        waiting = [self._child.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            waiting += [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children")
                        for child in task.read_text().split()]  # fmt: skip

    def stop(self) -> None:
        self._child.kill()
        self._child.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def _cpu_ticks(pid: int) -> int:
    # The name, in parentheses, may hold spaces; utime and stime are the 14th and 15th fields of all.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
