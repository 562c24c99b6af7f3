"""Runs the CPU fallback as a process."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO


@dataclass
class ModelServer:
    """A running server.

    Until the end of the context, the attribute `lines` contains the lines of standard error up to the line with the
    URL. After the end of the context, `lines` contains all lines of standard error.
    """

    url: str
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)


@contextmanager
def running_model_server(*arguments: str) -> Iterator[ModelServer]:
    """Runs `python -m rl_router_model` on a free port, and stops the server at the end of the context."""
    command = [sys.executable, "-m", "rl_router_model", "--port", "0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines: list[str] = []
        server = ModelServer(_url(process.stderr, lines), process, lines)
        try:
            yield server
        finally:
            process.terminate()
            lines += process.stderr.read().splitlines()


def _url(errors: IO[str], lines: list[str]) -> str:
    """Returns the URL, without the path `/v1`, from the line that says that the server is ready."""
    for line in errors:
        lines.append(line.rstrip())
        if ready := re.search(r" ready on (http\S+)/v1$", lines[-1]):
            return ready[1]
    raise AssertionError(lines)
