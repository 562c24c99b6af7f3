"""Writes to standard output. Ignores a closed terminal or pipe, because the server can run without output."""

import contextlib
import os

_STANDARD_OUTPUT = 1


def say(text: str) -> None:
    """Writes a line to standard output."""
    write(f"{text}\n".encode())


def write(data: bytes) -> None:
    """Writes bytes without a buffer, so that no output is lost when the process ends."""
    rest = memoryview(data)
    with contextlib.suppress(OSError):
        while rest:
            rest = rest[os.write(_STANDARD_OUTPUT, rest) :]
