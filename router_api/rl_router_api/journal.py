"""The log: one JSON object a line, on standard error. A request's line is its ledger."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

from .encoding import encode

LOG = logging.getLogger("rl_router")


class JsonLines(logging.Formatter):
    """A record as one line of JSON; `extra={"fields": {...}}` are fields of their own."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return encode(said).decode()


def set_up(level: str) -> None:
    """Sends everything that is logged, uvicorn's lines too, to standard error as JSON."""
    # A record needs none of what is left out here, which costs more than to write it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
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
        LOG.log(level, message, extra={"fields": fields})
