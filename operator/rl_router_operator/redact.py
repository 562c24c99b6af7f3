"""Redacts credentials in texts from pods, targets and the API server, and puts each text on one line."""

from __future__ import annotations

import re

LIMIT = 512
"""The maximum number of characters that the operator displays of a text from a pod, a target or the API server."""

_REDACTED = "***"
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)[\s:=]+(?!realm=)[^\s\"',;)}\]]+"), rf"\1 {_REDACTED}"),
    (
        re.compile(r"(?i)\b(authorization|x-api-key|api-key)[\"']?\s*[:=]\s*[\"']?(?!bearer|basic)[^\s\"',;}]+"),
        r"\1: ***",
    ),
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^\s/?#@]+@"), rf"\1{_REDACTED}@"),
    (
        re.compile(
            # The API server names entries of lists by their keys, such as `[topologyKey="zone"]`.
            r"(?i)((?:api[-_]?|access[-_]?)?(?:(?<!topology)key|token)|secret|passw(?:or)?d|sig(?:nature)?|credential)"
            r"(\"\s*:\s*\"|'\s*:\s*'|=[\"']?)[^\s\"'&;,}]+"
        ),
        rf"\1\2{_REDACTED}",
    ),
    (re.compile(r"hf_(?!(?:token|hub|home|xet|transfer)\b)[A-Za-z0-9]+"), _REDACTED),
    (re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]+"), _REDACTED),
)
"""The patterns of credentials in headers, URLs and assignments, and of API tokens, each with its replacement."""


def redact(text: str) -> str:
    """Returns the text as one printable line with redacted credentials."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    for pattern, replacement in _SECRETS:
        line = pattern.sub(replacement, line)
    return line


def clean(text: str) -> str:
    """Returns the text as one printable line of at most LIMIT (512) characters with redacted credentials."""
    line = redact(text)
    return line if len(line) <= LIMIT else line[: LIMIT - 1] + "…"
