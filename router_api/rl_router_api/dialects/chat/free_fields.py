"""Which fields of a request are sent under a money limit, so that a call costs no more than its worst case.

Engines and aggregators read far more fields than OpenAI defines. Some of them cost money that no price of ours covers:
a second spelling of the output limit, several answers of which one is returned, a web search, a dearer service tier. So
a money limit lets through the fields that are known not to cost, and leaves out the rest.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ...conversation.raw import LIST, OBJECT, begins, encoded, is_given
from .fields import OUTPUT_LIMITS

_CONVERSATION = """
    messages tools tool_choice parallel_tool_calls functions function_call response_format stream stream_options n stop
    user metadata store safety_identifier prompt_cache_key
"""
_SAMPLING = """
    temperature top_p top_k top_a min_p typical_p typical tfs_z top_n_sigma epsilon_cutoff eta_cutoff seed random_seed
    frequency_penalty presence_penalty repetition_penalty repeat_penalty repeat_last_n penalize_nl no_repeat_ngram_size
    penalty_alpha mirostat mirostat_mode mirostat_tau mirostat_eta dynatemp_range dynatemp_exponent xtc_probability
    xtc_threshold dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers samplers do_sample
    logit_bias bad_words allowed_token_ids stop_token_ids include_stop_str_in_output ignore_eos min_tokens
    min_new_tokens
"""
_REASONING = "reasoning_effort verbosity include_reasoning separate_reasoning stream_reasoning"
_REPORTING = """
    logprobs top_logprobs n_probs prompt_logprobs return_token_ids return_tokens_as_token_ids return_progress
    timings_per_token
"""
_TEMPLATES = """
    chat_template_kwargs add_generation_prompt continue_final_message add_special_tokens skip_special_tokens
    spaces_between_special_tokens
"""
_GUIDED_DECODING = """
    guided_json guided_regex guided_choice guided_grammar guided_decoding_backend guided_whitespace_pattern
    structured_outputs structural_tag json_schema grammar regex ebnf
"""
_SERVING = "priority request_id session_id cache_salt cache_prompt id_slot keep_alive truncate_prompt_tokens"

FREE_FIELDS = frozenset(
    " ".join(
        [_CONVERSATION, _SAMPLING, _REASONING, _REPORTING, _TEMPLATES, _GUIDED_DECODING, _SERVING, *OUTPUT_LIMITS]
    ).split()
)
"""Fields that cost nothing beyond the tokens that are counted, in the words of OpenAI, vLLM, SGLang, llama.cpp and
others. They are counted as input, byte by byte, since an engine may put them into the prompt."""
_FREE_VALUES: dict[str, tuple[Any, ...]] = {
    "modalities": (["text"],),
    "service_tier": ("default", "flex"),
    "thinking": ({"type": "disabled"},),
    "enable_thinking": (False,),
    "reasoning": ({"enabled": False}, {"effort": "none"}),
    "web_search": (False,),
}
"""Values of further fields that only switch off what may cost, or choose what costs less."""
_FREE_TOOLS = ("function", "custom")
"""Tools that the client runs; a provider charges for those that it runs itself."""
_FIELDS_OF_TOOLS = frozenset(
    ("type", "function", "custom", "name", "description", "parameters", "input_schema", "strict", "cache_control")
)
_PLAIN = re.compile(rb'true|false|null|-?[0-9][0-9.eE+-]{0,31}|"[A-Za-z0-9_-]{0,32}"')
_MARKED_WITHIN = 4
"""Levels of lists and objects in which `cache_control` is looked for: a content part's and a function's are the
deepest."""
_MAX_NAMED = 32
_MAX_NAME = 64


class _Tool(Struct):
    type: str = "function"  # some engines take a tool without a type for one
    function: Raw = Raw()
    custom: Raw = Raw()
    name: Raw = Raw()


def leave_out_costs(fields: dict[str, Any], allowed: Collection[str]) -> tuple[str, ...]:
    """Removes from a body what may cost more than its tokens; returns the names of what it removed, at most 32.

    `fields` are still as the client wrote them, but for `model`.
    """
    free = FREE_FIELDS.union(allowed, ["model"])
    dropped = [name for name, raw in fields.items() if name not in free and not _is_free_value(name, raw)]
    for name in dropped:
        del fields[name]
    for name, free_of in (("tools", _own_tools), ("chat_template_kwargs", _plain_arguments)):
        if name in fields and name not in allowed:
            left, left_out = free_of(fields.pop(name))
            fields |= {name: left} if left else {}
            dropped += left_out
    if "cache_control" not in allowed:
        dropped += _unmark_for_cache(fields)
    return _named(dropped)


def _is_free_value(name: str, raw: Raw) -> bool:
    return name in _FREE_VALUES and len(raw) < _MAX_NAME and msgspec.json.decode(raw) in _FREE_VALUES[name]


def _own_tools(raw: Raw) -> tuple[Raw | None, list[str]]:
    """The tools that the client runs, and where the others stood."""
    if not is_given(raw):
        return raw, []
    tools = LIST.decode(raw)
    types = [_type_of(tool) for tool in tools]
    left_out = [f"tools.{at} ({type_})" for at, type_ in enumerate(types) if type_ not in _FREE_TOOLS]
    own = [tool for tool, type_ in zip(tools, types, strict=True) if type_ in _FREE_TOOLS]
    return (raw if not left_out else encoded(own) if own else None), left_out


def _type_of(raw: Raw) -> str:
    """A tool's type; `unknown` if it is not, or not only, a function or a custom tool of the client's own."""
    try:
        tool, fields = msgspec.json.decode(raw, type=_Tool), OBJECT.decode(raw)
    except msgspec.DecodeError:
        return "unknown"
    is_own = _FIELDS_OF_TOOLS.issuperset(fields) and any(map(is_given, (tool.function, tool.custom, tool.name)))
    return tool.type if is_own or tool.type not in _FREE_TOOLS else "unknown"


def _plain_arguments(raw: Raw) -> tuple[Raw | None, list[str]]:
    """A template's arguments that are a number, a boolean, null or a word, and the names of the others: some engines
    take a whole template from here, which can write any number of tokens."""
    if begins(raw) != b"{":
        return (None, ["chat_template_kwargs"]) if is_given(raw) else (raw, [])
    arguments = OBJECT.decode(raw)
    plain = {name: value for name, value in arguments.items() if _PLAIN.fullmatch(bytes(value))}
    return encoded(plain), [f"chat_template_kwargs.{name}" for name in arguments if name not in plain]


def _unmark_for_cache(fields: dict[str, Any]) -> list[str]:
    """Removes the marks that have a provider write its cache, which costs more than reading; their name, if any."""
    found = []
    for name in ("messages", "tools"):
        if name in fields and (unmarked := _unmarked(fields[name], _MARKED_WITHIN)) is not fields[name]:
            fields[name], found = encoded(unmarked), ["cache_control"]
    return found


def _unmarked(raw: Raw, depth: int) -> Any:
    """A list or an object without the `cache_control` of its objects, so many levels deep; as it was if it has none."""
    if depth == 0 or begins(raw) not in (b"[", b"{"):
        return raw
    if begins(raw) == b"[":
        entries = LIST.decode(raw)
        unmarked = [_unmarked(entry, depth - 1) for entry in entries]
        return raw if all(map(operator.is_, unmarked, entries)) else unmarked
    fields = OBJECT.decode(raw)
    kept = {name: _unmarked(value, depth - 1) for name, value in fields.items() if name != "cache_control"}
    return raw if len(kept) == len(fields) and all(kept[name] is fields[name] for name in kept) else kept


def _named(dropped: list[str]) -> tuple[str, ...]:
    """The names as the metadata tells them, which a client cannot make endless."""
    names = [name[:_MAX_NAME] for name in dropped[:_MAX_NAMED]]
    return (*names, f"and {len(dropped) - _MAX_NAMED} more") if len(dropped) > _MAX_NAMED else tuple(names)
