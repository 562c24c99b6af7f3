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
_POLICY = re.compile(r"\b(?:r|remaining)=(\d+)\s*[;,]\s*(?:t|reset)=(\d+)")
"""The pattern of a rate limit in the header `RateLimit`, as in `"default";r=0;t=30` and `remaining=0, reset=30`. The
first number says how many requests or tokens the rate limit still allows, and the second number is the seconds until
the rate limit is reset."""
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
        return bounded(milliseconds / 1000)
    named = headers.get("retry-after")
    if named is not None and (seconds := _wait(named)) is not None:
        return bounded(seconds)
    waits = _resets(headers)
    return bounded(max(waits)) if waits else None


def _resets(headers: Mapping[str, str]) -> list[float]:
    """Returns the seconds until each used-up rate limit is reset.

    Providers name their limits differently, so all headers with `ratelimit` and `reset` in the name are read, such as
    `x-ratelimit-reset-tokens-day`. The header with `remaining` in place of `reset` says how many requests or tokens the
    limit still allows. Limits without a valid number in this header count as used up if no other limit is used up.
    """
    used_up = [float(seconds) for left, seconds in _POLICY.findall(headers.get("ratelimit", "")) if float(left) == 0]
    unknown = []
    for name, value in headers.items():
        if "reset" in name and "ratelimit" in name.replace("-", "") and (wait := _wait(value)) is not None:
            left = _number(headers.get(name.replace("reset", "remaining")))
            if left is None:
                unknown.append(wait)
            elif left <= 0:
                used_up.append(wait)
    return used_up or unknown


def _wait(text: str) -> float | None:
    """Returns the waiting time in seconds that a text names, or None if the text is invalid.

    The text may be a number of seconds, a duration with units, a Unix time, an HTTP date, or an ISO time with a time
    zone. Several numbers or durations with commas are the values of repeated headers. The first one counts.
    """
    number = _number(text)
    if number is not None:
        if number > _EPOCH:
            return (number / 1000 if number > _EPOCH * 1000 else number) - time.time()
        return number
    if (match := _DURATION.fullmatch(text.partition(",")[0].strip())) and any(match.groups()):
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
        number = float((text or "").partition(",")[0])
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def bounded(seconds: float) -> float:
    """Returns a waiting time that is neither negative nor longer than a day."""
    return min(max(seconds, 0.0), _MAX_WAIT)
