"""Runs a server in a session of its own, forwards the server's output, keeps the last lines, and stops the server."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import IO

from rl_router_process.output import STDOUT

from .error import HostingError

_KEPT_LINES = 500
_GRACE = 30.0
"""The number of seconds that the server may take to stop after SIGTERM."""
_POLL = 0.2
_OUTPUT_DELAY = 2.0
"""The maximum number of seconds to wait for output that the server wrote just before the server ended."""


class ServerProcess:
    """A running server.

    Ctrl-C in the terminal does not reach the server, because the server runs in a session of its own. Raises
    HostingError if the program cannot be started.
    """

    def __init__(self, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        self._process = _start(arguments, {**os.environ, **variables})
        self._lines: deque[bytes] = deque(maxlen=_KEPT_LINES)
        self._relay = threading.Thread(target=self._pass_on, args=(self._process.stdout,), daemon=True)
        self._relay.start()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> int:
        """Waits until the server ends.

        Returns the server's exit status, or 128 plus the number of the signal that ended the server.
        """
        while (status := self._process.poll()) is None:
            # A blocking wait would not end if another thread received a signal, or if a signal arrived just before the
            # wait.
            time.sleep(_POLL)
        return status if status >= 0 else 128 - status

    def last_lines(self) -> tuple[str, ...]:
        """Returns the last output lines, at most 500, of a server that has ended."""
        self._relay.join(_OUTPUT_DELAY)
        return tuple(line.decode(errors="replace") for line in tuple(self._lines))

    def stop(self) -> None:
        """Stops the server with SIGTERM.

        When the server has ended, or after 30 s, kills all processes of the server's process group.
        """
        if self.running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        # The process group contains only the server and processes that the server started.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _pass_on(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                self._lines.append(line)
                STDOUT.put(line)


def _start(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as error:
        raise HostingError(f"{arguments[0]} cannot be started: {error.strerror}. Install it again.") from None
