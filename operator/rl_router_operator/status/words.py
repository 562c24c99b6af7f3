"""Quotes messages of the cluster, containers and targets, without the parts that change at every repetition."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..redact import clean, redact

_LOG_PREFIX = re.compile(r"^(?:\(\w+ pid=\d+\)\s*)?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\]\s*)?")
_CHANGING = (
    (re.compile(r"\s*\(Request ID: [^)]*\)"), ""),
    (re.compile(r"\b(read|write|dial) (tcp|udp) \S+->"), r"\1 \2 "),
    (re.compile(r"(?<!sha256:)(?<![0-9a-f])[0-9a-f]{32,}(?![0-9a-f])"), "…"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|\s?[+-]\d\d:?\d\d)?"), "…"),
    (re.compile(r"\bpid[= ]\d+"), "pid …"),
    (re.compile(r"0x[0-9a-fA-F]{6,}"), "…"),
)
"""The patterns of the changing parts of messages, with replacements.

The changing parts are request ids, source addresses, container ids, times, process ids and memory addresses.
"""
_NAMED_POD = re.compile(r'(?i)^.*?\bpods? "[^"]*" is forbidden: ')


def stabilize(text: str) -> str:
    """Returns a message without the parts that change each time a program repeats the message.

    Without the function, each repetition of a message with changing parts would change the status.
    """
    for pattern, replacement in _CHANGING:
        text = pattern.sub(replacement, text)
    return text


def quote(text: object) -> str:
    """Returns a message of another program for use in a status, or an empty text if `text` is not a string.

    The function redacts credentials first, because a later step could change a credential so that the redaction would
    not recognize the credential.
    """
    return clean(stabilize(redact(text))).rstrip(". ") if isinstance(text, str) else ""


def lines(text: str) -> list[str]:
    """Returns the non-empty lines of a log, without the prefix that vLLM writes before each line."""
    return [line for line in (_LOG_PREFIX.sub("", raw.strip()).strip() for raw in text.splitlines()) if line]


def listed(names: Iterable[str]) -> str:
    """Returns an enumeration of the names, such as "`a`, `b` and `c`".

    The enumeration contains at most five names, and the number of omitted names if there are more than five names.
    """
    quoted = [f"`{name}`" for name in names]
    shown, more = quoted[:5], len(quoted) - 5
    last = f"{more} more" if more > 0 else shown.pop()
    return f"{', '.join(shown)} and {last}" if shown else last


def quote_creation_failure(text: object) -> str:
    """Returns a controller's message about a pod that it cannot create, or an empty text if `text` is not a string.

    The function removes the name of a forbidden pod, because a ReplicaSet tries a new name at every attempt, and each
    new name would change the status.
    """
    return quote(_NAMED_POD.sub("pods are forbidden: ", text)) if isinstance(text, str) else ""
