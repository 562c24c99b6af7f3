"""Reads the token usage that upstreams report."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

_MAX_TOKENS = 10**15
"""The maximum number of tokens. Larger usages are ignored, because their sums would not be exact."""


class _PromptDetails(Struct):
    cached_tokens: int | None = None


class Usage(Struct):
    """The billed fields of OpenAI's `usage` object, in tokens."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None

    @property
    def input(self) -> int:
        return max(self.prompt_tokens or 0, 0)

    @property
    def output(self) -> int:
        return max(self.completion_tokens or 0, 0)

    @property
    def cached(self) -> int:
        details = self.prompt_tokens_details
        return min(max((details.cached_tokens if details else 0) or 0, 0), self.input)

    @property
    def total(self) -> int:
        return self.total_tokens if self.total_tokens and self.total_tokens > 0 else self.input + self.output


_USAGE = msgspec.json.Decoder(Usage)


def read_usage(raw: Raw | bytes) -> Usage | None:
    """Returns the usage that an upstream reported, or None if it is missing or implausible."""
    if not raw or bytes(raw) == b"null":
        return None
    try:
        usage = _USAGE.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is None and completion is None:
        return None
    is_plausible = 0 <= (prompt or 0) <= _MAX_TOKENS and 0 <= (completion or 0) <= _MAX_TOKENS
    return usage if is_plausible and usage.total <= _MAX_TOKENS else None
