"""Builds error responses, and the headers that all responses of the endpoints that call models have in common."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from ..accounting.ledger import Ledger
from ..config import CallHistory
from ..dialects.client_dialect import ClientDialect
from ..errors import ApiError

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
_NOT_IN_HEADERS = re.compile(r"[^\x20-\x7e]")
"""Matches a character that is not printable ASCII. The header `x-router-model` must not contain such a character, but a
model name from an upstream may contain it."""


class Reply(Struct, frozen=True):
    """A response that is not streamed: its status, headers and body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def error_reply(error: ApiError, ledger: Ledger, history: CallHistory, dialect: ClientDialect) -> Reply:
    """Returns an error response, with the field `router_metadata` if a model was called."""
    headers = common_headers(ledger, JSON)
    headers += [(name.encode(), value.encode()) for name, value in error.headers.items()]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after + 0.49))).encode()))
    if error.retryable is False:
        headers.append((b"x-should-retry", b"false"))
    return Reply(error.status, headers, dialect.write_error(error, metadata_if_paid(ledger, history)))


def metadata_if_paid(ledger: Ledger, history: CallHistory) -> dict[str, Any] | None:
    """Returns the field `router_metadata` for an error response, or None if no model was called."""
    return ledger.metadata(history) if ledger.target_calls or ledger.router_calls else None


def common_headers(ledger: Ledger, content_type: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the headers that all responses of an endpoint that calls models have in common.

    The headers are the content type, the request id and, if known, the model that answered.
    """
    headers = [(b"content-type", content_type), (b"x-request-id", ledger.request_id.encode())]
    if ledger.model_used:
        headers.append((b"x-router-model", _NOT_IN_HEADERS.sub("?", ledger.model_used).encode()))
    return headers
