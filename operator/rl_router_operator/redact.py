"""Redacts text from pods, targets and the API server before it is shown: one line, cut, without keys."""

from __future__ import annotations

import re

LIMIT = 512
"""Maximum number of characters."""

_STRUCK = "***"
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)[\s:=]+(?!realm=)[^\s\"',;)}\]]+"), rf"\1 {_STRUCK}"),
    (
        re.compile(r"(?i)\b(authorization|x-api-key|api-key)[\"']?\s*[:=]\s*[\"']?(?!bearer|basic)[^\s\"',;}]+"),
        r"\1: ***",
    ),
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^\s/?#@]+@"), rf"\1{_STRUCK}@"),
    (
        re.compile(
            r"(?i)((?:api[-_]?|access[-_]?)?(?:key|token)|secret|passw(?:or)?d|sig(?:nature)?|credential)"
            r"(\"\s*:\s*\"|'\s*:\s*'|=[\"']?)[^\s\"'&;,}]+"
        ),
        rf"\1\2{_STRUCK}",
    ),
    (re.compile(r"hf_(?!(?:token|hub|home|xet|transfer)\b)[A-Za-z0-9]+"), _STRUCK),
    (re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]+"), _STRUCK),
)
"""Credentials in errors and logs: headers, URLs, assignments, and tokens with a known prefix."""


def strike(text: str) -> str:
    """Returns the text as one printable line with keys redacted."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    for secret, instead in _SECRETS:
        line = secret.sub(instead, line)
    return line


def clean(text: str) -> str:
    """Returns the text as one printable line with keys redacted, cut to LIMIT characters."""
    line = strike(text)
    return line if len(line) <= LIMIT else line[: LIMIT - 1] + "…"
