"""Reads the waiting time that an upstream's error names in a field or in the words of its message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from .error_words import own_words

_FIELDS = ("retry_after", "retry_after_seconds", "retryAfter", "resets_in_seconds")
"""The names of the fields that contain a waiting time, in seconds or as a duration such as `847.1ms`."""
_MAX_FIELD = 1e9
"""A number above `_MAX_FIELD` in a field is a timestamp, and not a waiting time in seconds."""
_DURATION = r"\d+(?:\.\d+)? ?(?:ms|milliseconds?|d(?:ays?)?|h(?:ours?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)(?![a-z])"
_DURATIONS = rf"{_DURATION}(?:(?:,? and |, | )?{_DURATION})*"
_WHOLE = re.compile(_DURATIONS, re.I)
_CHINESE = r"(?:\d{1,9}(?:\.\d{1,9})? ?(?:毫秒|秒|分钟|小时|天) ?)+之?后"
_CLOCK = r"(?:\d+\.)?\d{1,2}:\d\d:\d\d(?![\d:])"
_WAIT_WORDS = re.compile(
    r"(?:(?:again|retry(?: your request)?|wait)(?: later)?(?: in|[-_ ]after| for| at least){0,2}|"
    r"(?:resets?|replenished|available) (?:in|after))"
    rf"[ :~]{{1,3}}{_DURATIONS}|(?:again|retry|resets?|replenished) in {_CLOCK}|"
    rf"retry[-_]after['\"]?[:=] ?\d+(?:\.\d+)?(?![\w:-]|\.\d)|{_CHINESE}",
    re.I,
)
"""The pattern of the waiting time in messages, as in `try again in 1m20s`, `resets in ~12s`, `retry-after: 20` and
`try again in 02:13:45`."""
_CLOCK_PARTS = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d\d):(\d\d)")
_PARTS = re.compile(r"(\d+(?:\.\d+)?) ?(ms|milli|[dhms]|毫秒|秒|分钟|小时|天)", re.I)
_UNITS = {
    "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "milli": 0.001,
    "天": 86_400.0, "小时": 3_600.0, "分钟": 60.0, "秒": 1.0, "毫秒": 0.001,
}  # fmt: skip


def named_wait(objects: Sequence[dict[str, Any]], message: str, request: bytes) -> float | None:
    """Returns the waiting time, in seconds, that an error names, or None.

    The parameter `objects` contains the JSON objects that describe the error. A field of these objects has precedence
    over the words of the message. Words that the request body contains are ignored.
    """
    fields = (wait for value in _fields_of(objects) if (wait := _duration(value)) is not None)
    wait = next(fields, None)
    if wait is None and (words := own_words(_WAIT_WORDS, message, request)):
        return _seconds(words)
    return wait


def _fields_of(objects: Sequence[dict[str, Any]]) -> Iterator[Any]:
    """Yields the values of the fields that contain a waiting time, also in the details of Google's errors."""
    for error in objects:
        details = error.get("details")
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict):
                metadata = detail.get("metadata")
                yield detail.get("retryDelay")
                yield metadata.get("quotaResetDelay") if isinstance(metadata, dict) else None
    for error in objects:
        yield from map(error.get, _FIELDS)


def _duration(value: Any) -> float | None:
    """Returns the seconds that a field contains, or None if the value is not a waiting time."""
    if isinstance(value, dict):
        value = value.get("seconds")
    if isinstance(value, str):
        if _WHOLE.fullmatch(value.strip()):
            return _seconds(value)
        try:
            value = float(value)
        except ValueError:
            return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= _MAX_FIELD else None


def _seconds(words: str) -> float:
    """Returns the seconds in words that contain durations with units, a time such as `02:13:45`, or only a number."""
    if clock := _CLOCK_PARTS.search(words):
        days, hours, minutes, seconds = [float(part or 0) for part in clock.groups()]
        return days * 86_400 + hours * 3_600 + minutes * 60 + seconds
    if parts := _PARTS.findall(words.lower()):
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    return float(re.findall(r"\d+(?:\.\d+)?", words)[0])
