"""The log: one JSON object per line, on standard error, with keys redacted."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from .redact import clean

LOG = logging.getLogger("rl_router_operator")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON. Each entry of `extra={"fields": {...}}` becomes a field of the line."""

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


def set_up(level: str) -> None:
    """Writes the operator's log records from `level` on, and warnings of libraries, to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(level.upper())


def log(level: int, message: str, **fields: object) -> None:
    """Logs one line with these fields."""
    if LOG.isEnabledFor(level):
        LOG.log(level, message, extra={"fields": fields})
