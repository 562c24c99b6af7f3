"""Writes the log to standard error, one JSON object per line."""

from __future__ import annotations

import logging
import re
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from rl_router_process.output import STDERR

from ..encoding import encode, one_line

LOG = logging.getLogger("rl_router")
_UNPRINTABLE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Matches an unprintable character that JSON does not escape, such as a control character or a line separator. Such a
character could hide or forge parts of the log."""
# The operator `in` finds an integer in bytes several times faster than it finds a bytes object of length 1.
_DELETE = ord("\x7f")
_DEFAULTS = logging.LogRecord(LOG.name, logging.INFO, "", 0, "", (), None).__dict__


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON.

    The argument `extra={"fields": {...}}` of a logging call adds fields to the line.
    """

    def format(self, record: logging.LogRecord) -> str:
        return self.line(record).decode()

    def line(self, record: logging.LogRecord) -> bytes:
        """Returns the log line of a record as bytes, without a line break."""
        fields: dict[str, Any] = {
            "time": f"{_second(int(record.created))}.{int(record.created % 1 * 1000):03d}+00:00",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        line = encode(fields)
        if not line.isascii() or _DELETE in line:
            line = _UNPRINTABLE.sub(_escaped, line.decode()).encode()
        # Raw JSON from clients and upstreams may contain line breaks.
        return one_line(line)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


@lru_cache(maxsize=1)
def _second(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _Record(logging.LogRecord):
    """A log record without a source location.

    Finding a source location takes longer than writing a log line.
    """

    def __init__(self, level: int, message: str, fields: dict[str, object]) -> None:
        self.__dict__.update(_DEFAULTS)
        self.levelno, self.levelname, self.created = level, logging.getLevelName(level), time.time()
        self.msg, self.fields = message, fields


class _Stderr(logging.Handler):
    """A handler that writes each log record to standard error.

    The handler needs no lock, because several threads may call the method `STDERR.put` at the same time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines = JsonLines()

    def handle(self, record: logging.LogRecord) -> bool:
        STDERR.put(self._lines.line(record) + b"\n")
        return True


def lost_lines() -> int:
    """Returns the number of lines of this process that could not be written to standard error."""
    return STDERR.lost


def _describe_loss(count: int) -> bytes:
    message = f"{count} log lines were lost, because standard error did not accept them. Read the log faster."
    return JsonLines().line(_Record(logging.ERROR, message, {"lost": count})) + b"\n"


def set_up(level: str) -> None:
    """Sends RL Router's log records from `level` up, and libraries' warnings and errors, to standard error as JSON."""
    # The collection of thread names, process names and source locations would take longer than the write of a log line,
    # and no log line contains these values.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    root = logging.getLogger()
    root.handlers = [_Stderr()]
    STDERR.describe_loss = _describe_loss
    root.setLevel(logging.WARNING)
    set_level(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def set_level(level: str) -> None:
    """Sets the minimum level of RL Router's own log lines."""
    LOG.setLevel(level.upper())


def log(level: int, message: str, **fields: object) -> None:
    """Writes one log line with a message and the given fields, unless `level` is below the minimum level."""
    if LOG.isEnabledFor(level):
        LOG.callHandlers(_Record(level, message, fields))
