"""Provides closed, broken and full standard streams for the programs that a test starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def redirected(command: list[str], streams: str) -> list[str]:
    """Returns a command that runs `command` with the bash redirections `streams`."""
    return ["bash", "-c", f'exec "$@" {streams}', "bash", *command]


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """Yields the read end and the write end of a full pipe."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for size in (4096, 1):
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"-" * size)
    os.set_blocking(writing, True)
    yield reading, writing
    os.close(reading)
    os.close(writing)


@contextmanager
def broken_pipe() -> Iterator[int]:
    """Yields the write end of a pipe that has no reader."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)
