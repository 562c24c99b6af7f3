"""Joins the usages that an upstream reports for one call: in several fields of an answer, or in several chunks."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Raw

from ...conversation.lenient import parse
from ...conversation.raw import is_given
from .read_usage import token_count

_TOTALS = (
    ("total_tokens", ("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")),
    ("totalTokens", ("promptTokens", "inputTokens"), ("completionTokens", "outputTokens")),
    ("TotalTokens", ("PromptTokens",), ("CompletionTokens",)),
    ("totalTokenCount", ("promptTokenCount",), ("candidatesTokenCount",)),
)
"""The name of each total, with the names of the input tokens and the names of the output tokens in the same format."""


def join_usage(earlier: Raw, later: Raw) -> Raw:
    """Returns the usage that two reports of the same call contain together.

    If both reports contain a value above 0 for the same token count, the result contains the later report's value. A
    missing, invalid or zero value in the later report does not replace a token count of the earlier report.
    """
    if not is_given(later):
        return earlier
    if not is_given(earlier):
        return later
    try:
        old, new = parse(earlier), parse(later)
        joined = _joined(old, new)
        if joined == new:
            return later
        if joined == old:
            return earlier
        return Raw(json.dumps(_without_stale_total(joined)).encode())
    except (ValueError, RecursionError):
        return later


def _joined(earlier: Any, later: Any) -> Any:
    if isinstance(earlier, dict) and isinstance(later, dict):
        return {**earlier, **{name: _joined(earlier.get(name), value) for name, value in later.items()}}
    if isinstance(earlier, dict) and earlier:
        return earlier
    return later if token_count(later) or not token_count(earlier) else earlier


def _without_stale_total(joined: dict[str, Any]) -> dict[str, Any]:
    """Returns a joined usage without outdated totals, which are below the sum of input and output tokens."""
    for name, inputs, outputs in _TOTALS:
        total = token_count(joined.get(name))
        if total and total < _largest(joined, inputs) + _largest(joined, outputs):
            del joined[name]
    return joined


def _largest(joined: dict[str, Any], names: tuple[str, ...]) -> int:
    return max([token_count(joined.get(name)) or 0 for name in names])
