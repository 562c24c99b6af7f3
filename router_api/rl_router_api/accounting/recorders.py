"""Who learns of an ended request: every recorder gets the same value, through one interface."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from .ledger import Ledger
from .log import LOG


class EndedRequest(Struct, frozen=True):
    """A request that ended, with its closed ledger.

    `status` is the HTTP status, `key` the name of the client's key (None on an open server), `messages` the
    conversation if it is to be logged with the answers (None if no text is).
    """

    ledger: Ledger
    status: int
    key: str | None = None
    messages: object = None


class Recorder(Protocol):
    """Keeps something of ended requests: a log line, a count, a sum, a trace."""

    def record(self, request: EndedRequest) -> None:
        """Records a request. It must not wait, because the client's connection waits for it."""


def record_all(recorders: Iterable[Recorder], request: EndedRequest) -> None:
    """Hands a request to the recorders in their order. If one fails, that is logged, and the others still get it."""
    for recorder in recorders:
        try:
            recorder.record(request)
        except Exception:
            fields = {"recorder": type(recorder).__name__, "request_id": request.ledger.request_id}
            LOG.exception("a recorder failed", extra={"fields": fields})
