"""Keeps the application's log in memory."""

from __future__ import annotations

import logging

from rl_router_api.accounting.log import JsonLines

from fakes.testbed.responses import exact
from fakes.upstreams.exchange import Body


class LogLines(logging.Handler):
    """A handler that formats log records as the application does and keeps the parsed lines."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.setFormatter(JsonLines())
        self.lines: list[Body] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(exact(self.format(record)))
