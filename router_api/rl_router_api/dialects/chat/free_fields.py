"""Removes the parts of a request that could cause extra costs, if the request has a money limit.

The computed worst-case cost of a call is reliable only if no field of the request causes extra costs. Inference engines
and aggregators read far more fields than OpenAI's API defines. Some request fields cost money that no configured price
covers. Examples are fields that request a web search, a more expensive service tier, or several answers of which only
one is returned. Under a money limit, the router sends only those fields of the client that are known to cause no
extra costs or that the target's `params.allow` lists.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ...config import Params
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
"""The names of the request fields that cause no costs above the computed worst-case cost, in the spellings of OpenAI,
vLLM, SGLang, llama.cpp and other inference engines. Except for fields `image_url` above 4,096 bytes, the router counts
every byte of a free field as one input token, because an engine may put the field into the prompt."""
_FREE_VALUES: dict[str, tuple[Any, ...]] = {
    "modalities": (["text"],),
    "service_tier": ("default", "flex"),
    "thinking": ({"type": "disabled"},),
    "enable_thinking": (False,),
    "reasoning": ({"enabled": False}, {"effort": "none"}),
    "web_search": (False,),
}
"""A mapping from the names of request fields to the values of these fields that cause no extra costs. Each value in the
mapping disables a feature that costs extra, or chooses the default service tier or a cheaper one."""
_FREE_TOOLS = ("function", "custom")
"""The types of tools that the client runs. Providers may charge for the tools that the providers run."""
_FIELDS_OF_TOOLS = frozenset(
    ("type", "function", "custom", "name", "description", "parameters", "input_schema", "strict", "cache_control")
)
_PLAIN = re.compile(rb'true|false|null|-?[0-9][0-9.eE+-]{0,31}|"[A-Za-z0-9_-]{0,32}"')
_DEPTH = 4
"""The number of levels of nested lists and objects from which repeated fields and `cache_control` are removed. The
content parts of messages are at the deepest of these levels."""
_MAX_NAMED = 32
_MAX_NAME = 64


class _Tool(Struct):
    type: str = "function"  # some engines treat a tool without a type as a function
    function: Raw = Raw()
    custom: Raw = Raw()
    name: Raw = Raw()


def drop_costly_fields(fields: dict[str, Any], allowed: Collection[str]) -> tuple[str, ...]:
    """Removes the parts that may cost extra from a request body, except the fields in `allowed`.

    Returns the names of the first 32 removed parts. If more parts were removed, the result ends with a text that says
    how many more. In the parameter `fields`, the values of all fields except `model` are raw JSON.
    """
    free = FREE_FIELDS.union(allowed, ["model"])
    dropped = [name for name, raw in fields.items() if name not in free and not _is_free_value(name, raw)]
    for name in dropped:
        del fields[name]
    for name in _FREE_VALUES:
        if name in fields and name not in allowed:
            # Repeated fields are removed, because a target may read the first value of a repeated field.
            fields[name] = encoded(msgspec.json.decode(fields[name]))
    for name, free_part in (("tools", _client_tools), ("chat_template_kwargs", _plain_arguments)):
        if name in fields and name not in allowed:
            kept, removed = free_part(fields.pop(name))
            fields |= {name: kept} if kept else {}
            dropped += removed
    dropped += _rewrite(fields, allowed)
    return _shortened(dropped)


def costly_setting(params: Params) -> str | None:
    """Returns the name of a field in `params.set` that may cost extra, or None if `params.set` has no such field.

    The fields in `params.allow` do not count, because the configuration says that they cause no extra cost. The field
    `prompt_cache_options` does not count, because the worst-case cost covers the highest price of cache writes.
    """
    fields = {name: encoded(value) for name, value in params.set.items()}
    dropped = drop_costly_fields(fields, [*params.allow, "prompt_cache_options"])
    return dropped[0].partition(".")[0] if dropped else None


def _is_free_value(name: str, raw: Raw) -> bool:
    return name in _FREE_VALUES and len(raw) < _MAX_NAME and msgspec.json.decode(raw) in _FREE_VALUES[name]


def _client_tools(raw: Raw) -> tuple[Raw | None, list[str]]:
    """Returns the tools that the client runs (None if all are removed), and the place and type of each removed tool."""
    if not is_given(raw):
        return raw, []
    tools = LIST.decode(raw)
    types = [_type_of(tool) for tool in tools]
    removed = [f"tools.{at} ({type_})" for at, type_ in enumerate(types) if type_ not in _FREE_TOOLS]
    own = [tool for tool, type_ in zip(tools, types, strict=True) if type_ in _FREE_TOOLS]
    return (raw if not removed else encoded(own) if own else None), removed


def _type_of(raw: Raw) -> str:
    """Returns the type of a tool, or `unknown` if the tool is invalid. A tool of the type `function` or `custom` is
    also `unknown` if the tool has unknown fields, or none of the fields `function`, `custom` and `name`."""
    try:
        tool, fields = msgspec.json.decode(raw, type=_Tool), OBJECT.decode(raw)
    except msgspec.DecodeError:
        return "unknown"
    is_own = _FIELDS_OF_TOOLS.issuperset(fields) and any(map(is_given, (tool.function, tool.custom, tool.name)))
    return tool.type if is_own or tool.type not in _FREE_TOOLS else "unknown"


def _plain_arguments(raw: Raw) -> tuple[Raw | None, list[str]]:
    """Returns the free arguments of a chat template, and the names of all other arguments.

    Returns None and the field's name if the value is neither an object nor null. A template argument is free if its
    value is a boolean, null, a short number or a single short word. Some engines accept a whole template as an
    argument, and a template can write any number of tokens to the prompt.
    """
    if begins(raw) != b"{":
        return (None, ["chat_template_kwargs"]) if is_given(raw) else (raw, [])
    arguments = OBJECT.decode(raw)
    plain = {name: value for name, value in arguments.items() if _PLAIN.fullmatch(bytes(value))}
    return encoded(plain), [f"chat_template_kwargs.{name}" for name in arguments if name not in plain]


def _rewrite(fields: dict[str, Any], allowed: Collection[str]) -> list[str]:
    """Removes repeated fields from the first `_DEPTH` levels of the messages and tools.

    If an object repeats a field, the router reads the last value, but a target may read the first value. The function
    also removes the field `cache_control` if the field is not in `allowed`, because this field makes a provider write
    to the prompt cache at extra cost. All other fields keep their values. Returns the name `cache_control` in
    a list if the field was removed, else an empty list.
    """
    unwanted = frozenset(("cache_control",)).difference(allowed)
    removed = set[str]()
    for name in ("messages", "tools"):
        if name in fields:
            anew = encoded(_written_anew(fields[name], _DEPTH, unwanted, removed))
            if len(anew) != len(fields[name]) and _compact(anew) != _compact(fields[name]):
                fields[name] = anew
    return list(removed)


def _compact(raw: Raw) -> bytes:
    return msgspec.json.format(bytes(raw), indent=-1)


def _written_anew(raw: Raw, depth: int, unwanted: Collection[str], removed: set[str]) -> Any:
    """Returns JSON whose first `depth` levels have neither repeated fields nor the fields in `unwanted`.

    The deeper levels stay unchanged. Adds the names of the removed fields to `removed`.
    """
    if depth == 0 or begins(raw) not in (b"[", b"{"):
        return raw
    if begins(raw) == b"[":
        return [_written_anew(entry, depth - 1, unwanted, removed) for entry in LIST.decode(raw)]
    fields = OBJECT.decode(raw)
    removed.update(name for name in unwanted if name in fields)
    return {
        name: _written_anew(value, depth - 1, unwanted, removed)
        for name, value in fields.items()
        if name not in unwanted
    }


def _shortened(dropped: list[str]) -> tuple[str, ...]:
    """Returns, for `router_metadata`, the names of the first removed parts, and how many more parts were removed.

    The number and the length of the returned names are limited, because the client chose the names.
    """
    names = [name[:_MAX_NAME] for name in dropped[:_MAX_NAMED]]
    return (*names, f"and {len(dropped) - _MAX_NAMED} more") if len(dropped) > _MAX_NAMED else tuple(names)
