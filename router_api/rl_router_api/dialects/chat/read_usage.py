"""Reads the usage that upstreams report, in the formats of OpenAI, Anthropic, DeepSeek, Gemini, xAI and others.

If one token count is invalid, the other token counts are still read. The field `prompt_tokens` usually includes the
tokens of cache reads and cache writes, but Anthropic's field `input_tokens` excludes these tokens. Most providers
include thinking tokens in the field `completion_tokens`, but xAI and Gemini include thinking tokens in the field
`total_tokens` and not in `completion_tokens`. If a usage has a token count in several fields, empty values and zeros in
one field do not hide the token count in another field.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ...accounting.usage import Usage
from ...conversation.lenient import parse

_MAX_TOKENS = 10**15
"""The maximum of a token count. A token count above 10**15 is ignored, because sums of such token counts may not be
exact as floating-point numbers."""


class _CacheWrites(Struct, gc=False):
    """The number of cache write tokens for each cache lifetime, in fields with Anthropic's and OpenAI's names."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None
    ttl_30m_tokens: int | None = None
    ttl_12h_tokens: int | None = None


class _Details(Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_tokens_details: _CacheWrites | None = None
    cache_creation_tokens: int | None = None
    cache_creation_token_details: _CacheWrites | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheWrites | None = None
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _Reported(Struct, gc=False):
    """The token counts that providers report, in fields with the names of the providers' APIs."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    prompt_token_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    cached_tokens: int | None = None
    num_cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    prompt_cache_miss_tokens: int | None = None
    prompt_audio_seconds: int | None = None
    tool_use_prompt_tokens: int | None = msgspec.field(default=None, name="toolUsePromptTokenCount")
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheWrites | None = None


_MAIN_COUNTS = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens")
_WRITES = ("cache_creation", "cache_creation_token_details", "cache_write_tokens_details")
"""The names of the fields that contain the cache write tokens for each cache lifetime."""
_OTHER_NAMES = {
    "input_tokens": (("inputTokens",), ("inputTokenCount",)),
    "output_tokens": (("outputTokens",), ("outputTokenCount",)),
    "cache_read_input_tokens": (("cacheReadInputTokens",), ("cacheReadInputTokenCount",)),
    "cache_creation_input_tokens": (("cacheWriteInputTokens",), ("cacheWriteInputTokenCount",)),
    "prompt_tokens": (
        ("promptTokens",), ("PromptTokens",), ("prompt_eval_count",), ("promptTokenCount", "toolUsePromptTokenCount"),
    ),
    "completion_tokens": (
        ("completionTokens",), ("CompletionTokens",), ("eval_count",), ("candidatesTokenCount", "thoughtsTokenCount"),
    ),
    "cached_tokens": (("cachedContentTokenCount",),),
    "total_tokens": (("totalTokens",), ("TotalTokens",), ("totalTokenCount",)),
}  # fmt: skip
"""A mapping from the usual names of token counts to the names in the native formats of Bedrock, Gemini, Hunyuan and
Ollama. The token counts with the names in one inner tuple are parts of one sum."""
_DECODER = msgspec.json.Decoder(_Reported)


def read_usage(raw: Raw | bytes) -> Usage | None:
    """Returns the usage that an upstream reported, or None if neither input tokens nor output tokens were reported."""
    try:
        reported = _DECODER.decode(raw)
        if (plain := _plain(reported)) is not None:
            return plain
        is_odd = any(_is_odd(getattr(reported, name)) for name in _MAIN_COUNTS)
    except (msgspec.DecodeError, RecursionError):
        is_odd = True
    usage = None if is_odd else _usage(reported, suspect=False)
    return usage if _is_filled(usage) else _read_oddly(raw)


def _is_filled(usage: Usage | None) -> bool:
    """Returns whether a usage has input or output tokens, and at most `2 * _MAX_TOKENS` of them."""
    return usage is not None and 0 < usage.input + usage.output <= 2 * _MAX_TOKENS


def _plain(reported: _Reported) -> Usage | None:
    """Returns the usage if the report has only OpenAI's usual token counts with consistent values, else None.

    The function `_plain` takes less than a tenth of the time of the function `_usage`.
    """
    prompt, completion, total = reported.prompt_tokens, reported.completion_tokens, reported.total_tokens
    if prompt is None or completion is None or total != prompt + completion or not 0 < prompt <= total <= _MAX_TOKENS:
        return None
    details, thinking = reported.prompt_tokens_details, reported.completion_tokens_details
    # One comparison of two structs takes less time than a check that every other field is missing.
    usual = _Reported(
        prompt, completion, total, prompt_tokens_details=details, completion_tokens_details=thinking
    )  # fmt: skip
    if reported != usual or (thinking is not None and (thinking.reasoning_tokens or 0) > completion):
        return None
    if details is None:
        return Usage(prompt, completion, reported_total=total)
    cached = details.cached_tokens or 0
    if details.cache_write_tokens or details.cache_creation_tokens or details.cache_creation_input_tokens:
        return None
    if details.cache_write_tokens_details or details.cache_creation_token_details or details.cache_creation:
        return None
    return Usage(prompt, completion, cached, reported_total=total) if 0 <= cached <= prompt else None


def _read_oddly(raw: Raw | bytes) -> Usage | None:
    """Returns the usage that raw JSON contains, or None if the JSON does not contain a usage.

    If the usual fields contain no tokens, the fields of the native formats of Bedrock, Gemini, Hunyuan, Ollama and
    Cohere are read. In Cohere's format, the units that Cohere bills replace the tokens.
    """
    try:
        value = parse(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    usages = [
        _usage_in(fields)
        for fields in (value, _renamed(value), value.get("billed_units"), value.get("tokens"))
        if isinstance(fields, dict)
    ]
    return next(filter(_is_filled, usages), usages[0])


def _renamed(value: dict[str, Any]) -> dict[str, int]:
    """Returns the token counts that a JSON object contains in the formats of the dictionary `_OTHER_NAMES`."""
    counts = {name: max([_sum(value, parts) for parts in others]) for name, others in _OTHER_NAMES.items()}
    return {name: count for name, count in counts.items() if count}


def _sum(value: dict[str, Any], names: tuple[str, ...]) -> int:
    return sum([token_count(value.get(name)) or 0 for name in names])


def _usage_in(value: dict[str, Any]) -> Usage | None:
    """Returns the usage that a JSON object contains, or None if the object has no input or output token count.

    The function `_usage_in` reads each token count separately, and ignores values that are not token counts.
    """
    reported = _Reported(**_fields(_Reported, value))
    ignored = [name for name in _MAIN_COUNTS if value.get(name) and getattr(reported, name) is None]
    return _usage(reported, suspect=bool(ignored))


def _fields(kind: type[Struct], value: dict[str, Any]) -> dict[str, Any]:
    """Returns the values for the struct `kind` from a JSON object. Missing and invalid values become None."""
    read: dict[str, Any] = {}
    for name, encoded_name in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        entry = value.get(encoded_name)
        if name in _WRITES or name.endswith("_details"):
            inner: type[Struct] = _CacheWrites if name in _WRITES else _Details
            read[name] = inner(**_fields(inner, entry)) if isinstance(entry, dict) else None
        else:
            read[name] = token_count(entry)
    return read


def token_count(value: Any) -> int | None:
    """Returns the token count that a value contains as a number or as text.

    Fractions are rounded up. Returns None if the value does not contain a number from 0 to `_MAX_TOKENS`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return math.ceil(number) if 0 <= number <= _MAX_TOKENS else None


def _is_odd(count: int | None) -> bool:
    return count is not None and not 0 <= count <= _MAX_TOKENS


def _usage(reported: _Reported, *, suspect: bool) -> Usage | None:
    if all(getattr(reported, name) is None for name in _MAIN_COUNTS[:4]):
        return None
    base = reported.prompt_tokens or reported.input_tokens or _hits_and_misses(reported)
    output = reported.completion_tokens or reported.output_tokens or 0
    read, written, written_long, has_lifetimes = _cache(reported)
    cache = read + written + written_long
    beside = cache if _beside_input(reported, base, output, cache) else 0
    total_input = base + beside
    total = reported.total_tokens or None
    if total == base + output:
        # A total of Anthropic's input tokens and output tokens excludes the cache too.
        total += beside
    total_input += _media_beside(reported, total, total_input, output)
    output += _thinking_beside(reported, total, total_input, output)
    suspect = suspect or cache > total_input or (total or total_input + output) < total_input + output
    cached = min(read, total_input)
    written = min(written, total_input - cached)
    written_long = min(written_long, total_input - cached - written)
    return Usage(total_input, output, cached, written, written_long, has_lifetimes, total, suspect)


def _cache(reported: _Reported) -> tuple[int, int, int, bool]:
    """Returns the numbers of tokens that were read from and written to the provider's cache.

    The result contains three numbers: the number of tokens that were read, the number of tokens that were written for
    the shorter or an unknown lifetime, and the number of tokens that were written for the longer lifetime. After the
    numbers, a boolean says whether the upstream reported the lifetimes.
    """
    read = [
        reported.cached_tokens, reported.num_cached_tokens, reported.prompt_cache_hit_tokens,
        reported.cache_read_input_tokens,
    ]  # fmt: skip
    written = [reported.cache_creation_input_tokens]
    writes = [reported.cache_creation]
    for details in (reported.prompt_tokens_details, reported.prompt_token_details, reported.input_tokens_details):
        if details is not None:
            read.append(details.cached_tokens)
            written += (
                details.cache_write_tokens, details.cache_creation_tokens, details.cache_creation_input_tokens,
            )  # fmt: skip
            writes += (
                details.cache_write_tokens_details, details.cache_creation_token_details, details.cache_creation,
            )  # fmt: skip
    short, long = _lifetimes(writes)
    return _largest(read), max(_largest(written), short + long) - long, long, short + long > 0


def _lifetimes(writes: list[_CacheWrites | None]) -> tuple[int, int]:
    """Returns the numbers of tokens that were written to the cache for the shorter and for the longer lifetime."""
    short: list[int | None] = []
    long: list[int | None] = []
    for write in writes:
        if write is not None:
            short += (write.ephemeral_5m_input_tokens, write.ttl_30m_tokens)
            long += (write.ephemeral_1h_input_tokens, write.ttl_12h_tokens)
    return _largest(short), _largest(long)


def _largest(counts: Sequence[int | None]) -> int:
    return max([count for count in counts if count and count > 0], default=0)


def _beside_input(reported: _Reported, base: int, output: int, cache: int) -> bool:
    """Returns whether the reported input tokens exclude the cache reads and cache writes, as in Anthropic's format."""
    if not cache:
        return False
    names = (reported.cache_read_input_tokens, reported.cache_creation_input_tokens)
    if not _largest(names) and not any(_lifetimes([reported.cache_creation])):
        return False
    if not reported.prompt_tokens:
        return True
    return cache > base or reported.total_tokens == base + output + cache


def _hits_and_misses(reported: _Reported) -> int:
    """Returns the number of input tokens that the cache contained or lacked, as DeepSeek reports them."""
    return (reported.prompt_cache_hit_tokens or 0) + (reported.prompt_cache_miss_tokens or 0)


def _media_beside(reported: _Reported, total: int | None, total_input: int, output: int) -> int:
    """Returns the number of input tokens of audio, images and tool use that the reported input tokens do not include.

    The reported input tokens do not include the tokens of audio and images if these tokens exceed the reported input
    tokens, if their number is exactly the difference between the total and the sum of input and output tokens, or if
    the usage has the duration of the audio, as in Mistral's usage. If the total is known, the result is at most this
    difference.
    """
    missing = max((total or 0) - total_input - output, 0)
    parts = (reported.prompt_tokens_details, reported.prompt_token_details, reported.input_tokens_details)
    media = _largest([part.audio_tokens for part in parts if part is not None])
    media += _largest([part.image_tokens for part in parts if part is not None])
    if reported.prompt_audio_seconds:
        media = media or missing
    elif media <= total_input and media != missing:
        media = 0
    beside = media + (reported.tool_use_prompt_tokens or 0)
    return beside if total is None else min(beside, missing)


def _thinking_beside(reported: _Reported, total: int | None, total_input: int, output: int) -> int:
    """Returns the number of thinking tokens that the reported output tokens do not include.

    This is the difference between the total and the sum of input and output tokens, or 0 if no larger total is
    reported. If the reported thinking tokens exceed the sum of this difference and the output tokens, the result is the
    number of reported thinking tokens.
    """
    beside = max((total or 0) - total_input - output, 0)
    parts = (reported, reported.completion_tokens_details, reported.output_tokens_details)
    thinking = _largest([part.reasoning_tokens for part in parts if part is not None])
    return thinking if thinking > output + beside else beside
