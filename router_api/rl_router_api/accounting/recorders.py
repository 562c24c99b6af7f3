"""Passes each ended request to every recorder, through one interface."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from .ledger import Ledger
from .log import LOG


class EndedRequest(Struct, frozen=True):
    """A request that ended, with its closed ledger.

    `status` is the HTTP status. `key` is the name of the client's key; None if the server requires no keys. `messages`
    is the conversation if `server.log_prompts` is set, else None.
    """

    ledger: Ledger
    status: int
    key: str | None = None
    messages: object = None


class Recorder(Protocol):
    """Records ended requests as log lines, counts, sums or traces."""

    def record(self, request: EndedRequest) -> None:
        """Records a request. `record` must not block, because the client's connection waits for the recorders."""


def record_all(recorders: Iterable[Recorder], request: EndedRequest) -> None:
    """Passes a request to the recorders in order.

    If a recorder fails, the function logs the error and continues with the next recorder.
    """
    for recorder in recorders:
        try:
            recorder.record(request)
        except Exception:
            fields = {"recorder": type(recorder).__name__, "request_id": request.ledger.request_id}
            LOG.exception("a recorder failed", extra={"fields": fields})
