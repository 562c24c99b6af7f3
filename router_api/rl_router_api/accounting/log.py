"""The log: one JSON object a line, on standard error. A request's line is its ledger."""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from ..encoding import encode

LOG = logging.getLogger("rl_router")
_USUAL = logging.LogRecord(LOG.name, logging.INFO, "", 0, "", (), None).__dict__


class JsonLines(logging.Formatter):
    """A record as one line of JSON; `extra={"fields": {...}}` are fields of their own."""

    def format(self, record: logging.LogRecord) -> str:
        return self.line(record).decode()

    def line(self, record: logging.LogRecord) -> bytes:
        """The same as bytes, without a line's end."""
        said: dict[str, Any] = {
            "time": f"{_second(int(record.created))}.{int(record.created % 1 * 1000):03d}+00:00",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        line = encode(said)
        # What clients and upstreams wrote as JSON may have lines of its own.
        return msgspec.json.format(line, indent=-1) if b"\n" in line or b"\r" in line else line


@lru_cache(maxsize=1)
def _second(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _Record(logging.LogRecord):
    """A record without a place in the source, which takes longer to find than the line takes to write."""

    def __init__(self, level: int, message: str, fields: dict[str, object]) -> None:
        self.__dict__.update(_USUAL)
        self.levelno, self.levelname, self.created = level, logging.getLevelName(level), time.time()
        self.msg, self.fields = message, fields


class _Stderr(logging.Handler):
    """Writes each record to standard error as bytes, whole; what cannot be written is no request's fault.

    One write a line needs no lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines = JsonLines()
        self._file = sys.stderr.fileno()

    def handle(self, record: logging.LogRecord) -> bool:
        left = memoryview(self._lines.line(record) + b"\n")
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            # There is nobody to be told of it.
            return False
        return True


def set_up(level: str) -> None:
    """Sends everything that is logged, uvicorn's lines too, to standard error as JSON."""
    # A record needs none of what is left out here, which costs more than to write it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    root = logging.getLogger()
    root.handlers = [_Stderr()]
    root.setLevel(logging.WARNING)
    set_level(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def set_level(level: str) -> None:
    """How much of our own is logged from now on."""
    LOG.setLevel(level.upper())


def log(level: int, message: str, **fields: object) -> None:
    """One line."""
    if LOG.isEnabledFor(level):
        LOG.handle(_Record(level, message, fields))
