"""Quotes the cluster, containers and targets, without the parts that differ in every repetition."""

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
"""Request ids, ephemeral ports, container ids, times, process ids and addresses."""
_ATTEMPT = re.compile(r'(?i)^.*?\bpods? "[^"]*" is forbidden: ')


def steady(text: str) -> str:
    """The text without what would make each repetition of it look new."""
    for changing, instead in _CHANGING:
        text = changing.sub(instead, text)
    return text


def quote(text: object) -> str:
    """Somebody else's words, fit for a status: a key is known by its beginning, so it is struck out first."""
    return clean(steady(redact(text))).rstrip(". ") if isinstance(text, str) else ""


def lines(text: str) -> list[str]:
    """A log's lines that say something, without an engine's prefix."""
    return [line for line in (_LOG_PREFIX.sub("", each.strip()).strip() for each in text.splitlines()) if line]


def listed(names: Iterable[str]) -> str:
    """`a`, `b` and `c`, at most five of them by name."""
    quoted = [f"`{name}`" for name in names]
    shown, more = quoted[:5], len(quoted) - 5
    last = f"{more} more" if more > 0 else shown.pop()
    return f"{', '.join(shown)} and {last}" if shown else last


def said_of_making(text: object) -> str:
    """A controller's words about pods that it cannot make, without their ever new names."""
    return quote(_ATTEMPT.sub("pods are forbidden: ", text)) if isinstance(text, str) else ""
