"""Logs the ledger of each ended request and of each health probe of the router model."""

from __future__ import annotations

import logging
from typing import Any

from .ledger import Ledger
from .log import log
from .recorders import EndedRequest


class RequestLog:
    """A recorder that writes one log line with the level `info` for each ended request."""

    def record(self, request: EndedRequest) -> None:
        """Writes the log line of a request.

        The log line contains prompts and answers only if `request.messages` is not None.
        """
        texts = request.messages is not None
        fields: dict[str, Any] = {"status": request.status, **request.ledger.metadata("full" if texts else "none")}
        if texts:
            fields["messages"] = request.messages
        if request.key is not None:
            fields["key"] = request.key
        log(logging.INFO, "request", **fields)


def log_probe(ledger: Ledger) -> None:
    """Writes the log line of a health probe, if the probe called the router model."""
    if ledger.router_calls:
        log(logging.INFO, "probe", **ledger.metadata("none"))
