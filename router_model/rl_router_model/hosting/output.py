"""Writes to standard output. A closed terminal or pipe is no error, because the server runs on without it."""

import contextlib
import os

_STANDARD_OUTPUT = 1


def say(text: str) -> None:
    """Writes a line."""
    write(f"{text}\n".encode())


def write(data: bytes) -> None:
    """Writes bytes without a buffer, so that nothing is left to write when the process ends."""
    rest = memoryview(data)
    with contextlib.suppress(OSError):
        while rest:
            rest = rest[os.write(_STANDARD_OUTPUT, rest) :]
