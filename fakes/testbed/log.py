"""Keeps the log of the router API in memory."""

from __future__ import annotations

import logging

from rl_router_api.accounting.log import JsonLines

from fakes.testbed.responses import exact
from fakes.upstreams.exchange import Body


class LogLines(logging.Handler):
    """A log handler that formats log records like the router API's own handler, and keeps the parsed log lines."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.setFormatter(JsonLines())
        self.lines: list[Body] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(exact(self.format(record)))
