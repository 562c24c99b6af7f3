"""Starts processes, each on one CPU core, and reads the processes' CPU time and memory from the kernel."""

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
_START_SECONDS = 120.0


def pinned(core: int) -> Callable[[], None]:
    """Returns a function for the argument `preexec_fn` that restricts the child process to the CPU core `core`."""
    return lambda: os.sched_setaffinity(0, {core})


class Process:
    """A running process that writes its output to the file `log`."""

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

    def wait_until_it_answers(self, url: str) -> None:
        """Waits until the process answers a request for the URL `url` with a status below 500.

        If the process ends or does not answer within 120 s, exits the benchmark with the end of the process's log.
        """
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._child.poll() is None:
            if _answers(url):
                return
            time.sleep(0.02)
        raise SystemExit(f"error: {url} does not answer:\n{self._log.read_text(errors='replace')[-2000:]}")

    def cpu_seconds(self) -> float:
        """Returns the CPU time that the process and its running descendants have used so far, in seconds.

        The CPU time is the sum of the user time and the system time of all threads.
        """
        return sum(_cpu_ticks(pid) for pid in self._family()) / _TICKS

    def memory_mb(self) -> float:
        """Returns the sum of the resident memory of the process and of its running descendants, in MiB."""
        return sum(_resident_kb(pid) for pid in self._family()) / 1024

    def mapped_mb(self, name: str) -> float:
        """Returns the resident memory, in MiB, of the parts of the file `name` that the process has mapped."""
        is_mapped, kilobytes = False, 0
        for line in Path(f"/proc/{self._child.pid}/smaps").read_text().splitlines():
            fields = line.split()
            if not fields[0].endswith(":"):
                is_mapped = fields[-1].endswith(f"/{name}")
            elif fields[0] == "Rss:" and is_mapped:
                kilobytes += int(fields[1])
        return kilobytes / 1024

    def _family(self) -> Iterator[int]:
        pending = [self._child.pid]
        while pending:
            pid = pending.pop()
            yield pid
            pending += [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children")
                        for child in task.read_text().split()]  # fmt: skip

    def stop(self) -> None:
        self._child.kill()
        self._child.wait()


def free_port() -> int:
    """Returns a port of 127.0.0.1 on which no process listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
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
    # utime and stime are fields 14 and 15. Field 2, the name in parentheses, can contain spaces, so it is cut off.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
