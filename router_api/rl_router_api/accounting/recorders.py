"""Defines the interface of recorders, and passes each ended request to every recorder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from .ledger import Ledger
from .log import LOG


class EndedRequest(Struct, frozen=True):
    """A request that has ended, with the closed ledger of the request.

    The attribute `status` is the HTTP status of the response or of the error that ended a stream, or 499 if the client
    disconnected. The attribute `key` is the name of the client's API key, or None if the server requires no API keys or
    the client sent no valid key. The attribute `messages` is the conversation of a valid request if
    `server.log_prompts` is set, and otherwise None.
    """

    ledger: Ledger
    status: int
    key: str | None = None
    messages: object = None


class Recorder(Protocol):
    """A part of the router API that records ended requests as log lines, counts, sums or traces."""

    def record(self, request: EndedRequest) -> None:
        """Records a request.

        The method `record` must not block, because the recorders run on the event loop, which serves all clients.
        """


def record_all(recorders: Iterable[Recorder], request: EndedRequest) -> None:
    """Passes an ended request to each recorder, in the order of `recorders`.

    If a recorder fails, the function logs the error and continues with the next recorder.
    """
    for recorder in recorders:
        try:
            recorder.record(request)
        except Exception:
            fields = {"recorder": type(recorder).__name__, "request_id": request.ledger.request_id}
            LOG.exception("a recorder failed", extra={"fields": fields})
