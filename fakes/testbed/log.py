"""The application's log, in memory."""

from __future__ import annotations

import logging

from rl_router_api.accounting.log import JsonLines

from fakes.testbed.responses import exact
from fakes.upstreams.exchange import Body


class LogLines(logging.Handler):
    """Keeps log lines in the application's format, parsed."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.setFormatter(JsonLines())
        self.lines: list[Body] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(exact(self.format(record)))
