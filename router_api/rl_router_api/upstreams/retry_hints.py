"""Determines from the headers of an upstream's refusal when the upstream may be called again."""

from __future__ import annotations

import datetime
import email.utils
import math
import re
import time
from collections.abc import Mapping

_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms", "x-retry-after-ms")
"""The names of the headers that contain a waiting time in milliseconds."""
_WAITS = ("retry-after", "x-retry-after", "retry-after-seconds", "x-ratelimit-retry-after", "msh-cooldown-seconds")
"""The names of the headers that contain a waiting time in seconds, or a time."""
_MAX_WAIT = 86_400.0
"""The maximum waiting time in seconds. The maximum replaces a longer waiting time that an upstream names."""
_MAX_UNZONED = 3_600.0
"""The maximum waiting time in seconds until a time without a time zone. Such a time counts as UTC. A longer waiting
time is ignored, because it may mean that the time has another time zone."""
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
"""For the function `_wait`, a number is a time if the number is greater than `_EPOCH`, and otherwise a duration in
seconds. A time above `_EPOCH * 1000` is in milliseconds since 1970, and a smaller time is in seconds since
1970."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds until the upstream may be called again, or None if the headers do not say when."""
    for name in _MILLISECONDS:
        if (milliseconds := _number(headers.get(name))) is not None:
            return bounded(milliseconds / 1000)
    for name in _WAITS:
        if name in headers and (seconds := _wait(headers[name])) is not None:
            return bounded(seconds)
    wait = _reset(headers)
    return None if wait is None else bounded(wait)


def _reset(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds until every used-up rate limit is reset, or None if the headers do not say when.

    Providers name their limits differently, so all headers with `ratelimit` and `reset` in the name are read, such as
    `x-ratelimit-reset-tokens-day`. The header with `remaining` in place of `reset` says how many requests or tokens the
    limit still allows. The header with `status` in place of `reset` says whether the limit rejected the request. If
    no limit is known to be used up, the result is the shortest positive wait for a limit that may be used up.
    """
    used_up = [float(seconds) for left, seconds in _POLICY.findall(headers.get("ratelimit", "")) if float(left) == 0]
    unknown = []
    for name, value in headers.items():
        if "reset" in name and "ratelimit" in name.replace("-", "") and (wait := _wait(value)) is not None:
            left = _number(headers.get(name.replace("reset", "remaining")))
            status = headers.get(name.replace("reset", "status"), "").strip().lower()
            if status == "rejected" or (left is not None and left <= 0):
                used_up.append(wait)
            elif left is None and not status.startswith("allowed"):
                unknown.append(wait)
    if used_up:
        return max(used_up)
    return min([wait for wait in unknown if wait > 0] or unknown, default=None)


def _wait(text: str) -> float | None:
    """Returns the waiting time in seconds that a text names, or None if the text is invalid.

    The text may be a number of seconds, a duration with units, a Unix time, an HTTP date, or an ISO time. A time
    without a time zone must be at most `_MAX_UNZONED` seconds away. Several numbers or durations with commas are the
    values of repeated headers. The first one counts.
    """
    number = _number(text)
    if number is not None:
        if number > _EPOCH:
            return (number / 1000 if number > _EPOCH * 1000 else number) - time.time()
        return number
    if (match := _DURATION.fullmatch(text.partition(",")[0].replace(" ", ""))) and any(match.groups()):
        return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)
    moment = _moment(text)
    if moment is None:
        return None
    if moment.tzinfo:
        return moment.timestamp() - time.time()
    wait = moment.replace(tzinfo=datetime.UTC).timestamp() - time.time()
    return wait if 0 <= wait <= _MAX_UNZONED else None


def _moment(text: str) -> datetime.datetime | None:
    """Returns the time that a text in the format of an HTTP date or of ISO 8601 names, or None if it names no time."""
    try:
        return email.utils.parsedate_to_datetime(text)
    except ValueError:
        pass
    try:
        return datetime.datetime.fromisoformat(re.sub(r" ?(UTC|GMT)$", "+00:00", text.strip()))
    except ValueError:
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float((text or "").partition(",")[0])
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def bounded(seconds: float) -> float:
    """Returns `seconds`, but at least 0 and at most the number of seconds of a day."""
    return min(max(seconds, 0.0), _MAX_WAIT)
