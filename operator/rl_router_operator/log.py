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
    """Formats a record as one line of JSON; `extra={"fields": {...}}` become fields of their own."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": clean(record.getMessage()),
            **{name: _shown(value) for name, value in getattr(record, "fields", {}).items()},
        }
        if record.exc_info:
            said["exception"] = [clean(line) for line in self.formatException(record.exc_info).splitlines()]
        return json.dumps(said)


def _shown(value: object) -> object:
    return value if isinstance(value, int | float | None) else clean(str(value))


def set_up(level: str) -> None:
    """Sends all log records, also the warnings of libraries, to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(level.upper())


def log(level: int, message: str, **fields: object) -> None:
    """Logs one line."""
    if LOG.isEnabledFor(level):
        LOG.log(level, message, extra={"fields": fields})
