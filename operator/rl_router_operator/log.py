"""Writes the operator's log to standard error, with one JSON object per line and with redacted credentials."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from rl_router_process.output import STDERR

from .redact import clean

LOG = logging.getLogger("rl_router_operator")


class JsonLines(logging.Formatter):
    """Formats a log record as one line that contains a JSON object.

    Each entry of the log record's attribute `fields` becomes a field of the JSON object in the line.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": clean(record.getMessage()),
            **{name: _field(value) for name, value in getattr(record, "fields", {}).items()},
        }
        if record.exc_info:
            line["exception"] = [clean(text) for text in self.formatException(record.exc_info).splitlines()]
        return json.dumps(line)


def _field(value: object) -> object:
    return value if isinstance(value, int | float | None) else clean(str(value))


class _Stderr(logging.Handler):
    """Writes log records to standard error. Logging never waits, so lines are lost if the reader is too slow."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        STDERR.say(self.format(record))


def _describe_loss(count: int) -> bytes:
    message = f"{count} log lines were lost, because standard error did not accept them. Read the log faster."
    return f"{JsonLines().format(logging.makeLogRecord({'levelname': 'ERROR', 'msg': message}))}\n".encode()


def set_up(level: str) -> None:
    """Sets up the log, so that log records are written to standard error as lines of JSON.

    The log contains records of the operator with at least the level `level`, and of libraries with at least WARNING.
    """
    root = logging.getLogger()
    root.handlers = [_Stderr()]
    STDERR.describe_loss = _describe_loss
    root.setLevel(logging.WARNING)
    LOG.setLevel(level.upper())


def log(level: int, message: str, **fields: object) -> None:
    """Logs a message as one line of JSON. The JSON object also contains the fields `fields`."""
    if LOG.isEnabledFor(level):
        LOG.log(level, message, extra={"fields": fields})
