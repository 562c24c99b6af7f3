"""Reads an upstream's error response, and decides whether a retry or another target may succeed."""

from __future__ import annotations

import email.utils
import math
import re
import time
from typing import Any

from ..errors import BrokenAnswerError, CallFailedError, TransportError
from .transport import Response, read_whole
from .upstream import Upstream

_RETRIABLE = (429, 502, 503)
"""The statuses after which a retry at the same upstream may succeed."""
_MAX_ERROR = 64 * 1024
"""Maximum bytes of an error response that are read."""
_MAX_RETRY_AFTER = 86_400.0
"""Maximum seconds of a `Retry-After`. Longer values are reduced to it."""
_OWN_LIMIT_CODES = re.compile(
    r"context_length|unsupported_(parameter|value)|content_(filter|policy)|string_above_max|too_large|max_tokens", re.I
)
_OWN_LIMIT_WORDS = re.compile(
    r"context (length|window)|maximum (context|length|model length)|too (long|large|many (input |prompt )?tokens)|"
    r"unsupported|not supported|does not support|is not compatible with|content (filter|management|policy)|"
    r"max_(completion_)?tokens",
    re.I,
)


async def refusal_of(upstream: Upstream, response: Response) -> CallFailedError:
    """Returns the failure for an error response, with the upstream's own error if it can be parsed."""
    try:
        text = (await read_whole(response, _MAX_ERROR)).decode(errors="replace")
    except (BrokenAnswerError, TransportError):
        text = ""
    error = upstream.dialect.read_error(text)
    if error.get("message"):
        error["message"] = upstream.redact(error["message"])
    return CallFailedError(
        "status",
        f"`{upstream.name}` answered {response.status}",
        status=response.status,
        retry_after=_retry_after(response.headers.get("retry-after")),
        error=error,
        retriable=response.status in _RETRIABLE,
        own_limit=_is_own_limit(response.status, error),
        log_text=upstream.redact(text),
    )


def _is_own_limit(status: int, error: dict[str, Any]) -> bool:
    """Returns whether the upstream rejected the request because of its own limits.

    These are its context length, unsupported parameters and content filters.
    """
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    named = bool(_OWN_LIMIT_CODES.search(code) or _OWN_LIMIT_WORDS.search(message))
    return status == 413 or (status in (400, 422) and named)


def _retry_after(text: str | None) -> float | None:
    """Returns the seconds of a `Retry-After` header (a number or an HTTP date); None if it is missing or invalid."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _MAX_RETRY_AFTER)
