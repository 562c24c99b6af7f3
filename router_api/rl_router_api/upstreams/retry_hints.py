"""Determines from the headers of an upstream's refusal when the upstream may be called again."""

from __future__ import annotations

import datetime
import email.utils
import math
import re
import time
from collections.abc import Mapping

_MAX_WAIT = 86_400.0
"""The maximum waiting time in seconds. The maximum replaces a longer waiting time that an upstream names."""
_RESETS = (
    ("ratelimit-reset", "ratelimit-remaining"),
    ("x-ratelimit-reset", "x-ratelimit-remaining"),
    ("x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"),
    ("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
    ("anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining"),
    ("anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"),
    ("anthropic-ratelimit-input-tokens-reset", "anthropic-ratelimit-input-tokens-remaining"),
    ("anthropic-ratelimit-output-tokens-reset", "anthropic-ratelimit-output-tokens-remaining"),
)
"""Pairs of headers about a rate limit. The first header of a pair says when the rate limit is reset. The second header
of the pair says how many requests or tokens the rate limit still allows."""
_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?"
)
"""The pattern of a duration in OpenAI's format, such as `6m0s` or `250ms`."""
_UNITS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_EPOCH = 1e9
"""Except in `retry-after-ms`, a number in a header is a time if the number is greater than `_EPOCH`, and otherwise a
duration in seconds. A time above `_EPOCH * 1000` is in milliseconds since 1970, and a smaller time is in seconds since
1970."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds until the upstream may be called again, or None if the headers do not say when."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    named = headers.get("retry-after")
    if named is not None and (seconds := _wait(named)) is not None:
        return _bounded(seconds)
    waits = [_wait(headers[reset]) for reset, left in _RESETS if reset in headers and _is_used_up(headers.get(left))]
    known = [wait for wait in waits if wait is not None]
    return _bounded(max(known)) if known else None


def _is_used_up(left: str | None) -> bool:
    """Returns whether a rate limit is used up, so that the upstream refuses calls until the rate limit is reset.

    If the header with the remaining number of requests or tokens is missing or not a number, the rate limit is treated
    as used up.
    """
    number = _number(left)
    return number is None or number <= 0


def _wait(text: str) -> float | None:
    """Returns the waiting time in seconds that a text names, or None if the text is invalid.

    The text may be a number of seconds, a duration with units, a Unix time, an HTTP date, or an ISO time with a time
    zone.
    """
    number = _number(text)
    if number is not None:
        if number > _EPOCH:
            return (number / 1000 if number > _EPOCH * 1000 else number) - time.time()
        return number
    if (match := _DURATION.fullmatch(text.strip())) and any(match.groups()):
        return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except ValueError:
        return _until_iso(text)


def _until_iso(text: str) -> float | None:
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.timestamp() - time.time() if moment.tzinfo else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _MAX_WAIT)
