"""Reads an upstream's refusal of a call, and determines whether and when a retry of the call may succeed."""

from __future__ import annotations

from ..dialects.upstream_dialect import Refusal
from ..errors import BrokenAnswerError, CallFailedError, TransportError
from .retry_hints import bounded, retry_after
from .transport import Response, read_whole
from .upstream import Upstream

_RETRIABLE = (408, 409, 425, 429)
"""The HTTP statuses below 500 after which a retry at the same upstream may succeed."""
_MAX_ERROR = 64 * 1024
"""The maximum number of bytes in the body of an error response. The router ignores a larger body."""
_QUOTA_STATUSES = (400, 401, 403, 412, 429)
"""The HTTP statuses of responses whose error message may report an exhausted quota."""
_SIZE_STATUSES = (402, 429, None)
"""The HTTP statuses of errors that may be about the size of one request (None for an error without a status). An error
about the size counts as an error with the status 413."""


async def refusal_of(upstream: Upstream, response: Response, request: bytes) -> CallFailedError:
    """Returns the CallFailedError for a response with a status other than 2xx.

    The CallFailedError contains the upstream's own error if the error can be read.
    """
    try:
        text = (await read_whole(response, _MAX_ERROR)).decode(errors="replace")
    except (BrokenAnswerError, TransportError):
        text = ""
    refusal = upstream.dialect.read_error(text, request)
    return _failure(upstream, refusal, response.status, text, retry_after(response.headers))


def reported_failure(upstream: Upstream, text: str, request: bytes) -> CallFailedError:
    """Returns the CallFailedError for an error that an upstream reported in a response with a 2xx status."""
    refusal = upstream.dialect.read_error(text[:_MAX_ERROR], request)
    failure = _failure(upstream, refusal, refusal.status, text, None)
    failure.retriable = False
    return failure


def _failure(
    upstream: Upstream, refusal: Refusal, status: int | None, text: str, hint: float | None
) -> CallFailedError:
    error = dict(refusal.fields)
    if error.get("message"):
        error["message"] = upstream.redact(error["message"])
    message = f"`{upstream.name}` answered {status or 'with an error'}"
    is_too_large = refusal.is_too_large and status in _SIZE_STATUSES
    if is_too_large:
        # The code of a rate limit would make the client repeat the request.
        status, error = 413, {"message": error.get("message"), "code": "request_too_large"}
    wait = next((wait for wait in (hint, retry_after(refusal.headers), refusal.retry_after) if wait is not None), None)
    is_quota = not is_too_large and _is_quota(refusal, status, wait)
    if is_quota:
        message = f"{message}: a quota or spend limit of the account at this upstream is exhausted"
    return CallFailedError(
        "status",
        message,
        status=status,
        retry_after=None if wait is None else bounded(wait),
        error=error,
        retriable=not is_quota and status is not None and (status in _RETRIABLE or status >= 500),
        is_malformed=refusal.is_malformed,
        is_quota=is_quota,
        log_text=upstream.redact(text),
    )


def _is_quota(refusal: Refusal, status: int | None, wait: float | None) -> bool:
    """Returns whether a refusal reports an exhausted quota instead of a rate limit.

    An upstream accepts calls again soon after a rate limit, but not soon after an exhausted quota. A response with the
    status 429 that names a waiting time reports a rate limit, unless its code or type names a quota.
    """
    if status == 402 or refusal.names_quota:
        return True
    if wait is not None and status in (429, None):
        return False
    return refusal.mentions_quota and (status is None or status in _QUOTA_STATUSES)
