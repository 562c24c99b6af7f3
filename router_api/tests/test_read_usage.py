"""Reading the usage in the shapes of many providers, each count by itself."""

from __future__ import annotations

import json
from functools import reduce
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from rl_router_api.accounting.money import cost_of
from rl_router_api.accounting.usage import Usage
from rl_router_api.config import Price
from rl_router_api.conversation.raw import encoded
from rl_router_api.dialects.chat.join_usage import join_usage
from rl_router_api.dialects.chat.read_usage import read_usage

from fakes.testbed.json_values import json_values
from fakes.testbed.router import Testbed
from fakes.upstreams.answers import stream, text, whole
from fakes.upstreams.bodies import chunk, completion


def read(**fields: Any) -> Usage | None:
    return read_usage(json.dumps(fields).encode())


def counts(usage: Usage | None) -> tuple[int, int, int, int, int, bool]:
    assert usage is not None
    return usage.input, usage.output, usage.cached, usage.written, usage.written_long, usage.suspect


OPENAI = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
ANTHROPIC = {"input_tokens": 100, "output_tokens": 50}
BEDROCK = {"inputTokens": 100, "outputTokens": 50, "totalTokens": 150, "cacheReadInputTokens": 700,
           "cacheWriteInputTokens": 200}  # fmt: skip
MISTRAL_AUDIO = {"prompt_audio_seconds": 12, "prompt_tokens": 3, "completion_tokens": 41, "total_tokens": 419,
                 "prompt_tokens_details": {"audio_tokens": 375}}  # fmt: skip
GEMINI = {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 300, "totalTokenCount": 420,
          "cachedContentTokenCount": 90}  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "fields", "expected"),
    [
        ("OpenAI", OPENAI, (1000, 100, 0, 0, 0)),
        ("OpenAI, thinking inside", {**OPENAI, "completion_tokens_details": {"reasoning_tokens": 90}},
         (1000, 100, 0, 0, 0)),
        ("OpenAI, cache read", {**OPENAI, "prompt_tokens_details": {"cached_tokens": 900}}, (1000, 100, 900, 0, 0)),
        ("OpenAI, cache write", {**OPENAI, "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 900}},
         (1000, 100, 0, 900, 0)),
        ("OpenAI, lifetimes of cache writes",
         {**OPENAI, "prompt_tokens_details": {
             "cached_tokens": 50, "cache_write_tokens": 900,
             "cache_write_tokens_details": {"ttl_30m_tokens": 500, "ttl_12h_tokens": 400}}}, (1000, 100, 50, 500, 400)),
        ("OpenAI's Responses, lifetimes of cache writes",
         {**ANTHROPIC, "total_tokens": 150, "input_tokens_details": {
             "cached_tokens": 10, "cache_write_tokens": 80,
             "cache_write_tokens_details": {"ttl_30m_tokens": 0, "ttl_12h_tokens": 80}}}, (100, 50, 10, 0, 80)),
        ("OpenAI, lifetimes alone",
         {**OPENAI, "prompt_tokens_details": {"cache_write_tokens_details": {"ttl_12h_tokens": 400}}},
         (1000, 100, 0, 0, 400)),
        ("OpenAI, odd lifetimes",
         {**OPENAI, "prompt_tokens_details": {
             "cache_write_tokens": 900,
             "cache_write_tokens_details": {"ttl_30m_tokens": "500", "ttl_12h_tokens": 4e2}}},
         (1000, 100, 0, 500, 400)),
        ("DeepSeek", {**OPENAI, "prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100},
         (1000, 100, 900, 0, 0)),
        ("Moonshot", {**OPENAI, "cached_tokens": 900}, (1000, 100, 900, 0, 0)),
        ("Anthropic's names, input whole",
         {**OPENAI, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 300}, (1000, 100, 600, 300, 0)),
        ("Anthropic's names, input without the cache",
         {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 1100, "cache_read_input_tokens": 900},
         (1000, 100, 900, 0, 0)),
        ("Anthropic", {**ANTHROPIC, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 300},
         (1000, 50, 600, 300, 0)),
        ("Anthropic, lifetimes",
         {**ANTHROPIC, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 900,
          "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 400}},
         (1000, 50, 0, 500, 400)),
        ("Responses", {**ANTHROPIC, "input_tokens_details": {"cached_tokens": 90}, "total_tokens": 150},
         (100, 50, 90, 0, 0)),
        ("xAI", {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 420,
                 "completion_tokens_details": {"reasoning_tokens": 300}}, (100, 320, 0, 0, 0)),
        ("xAI without a total", {"prompt_tokens": 100, "completion_tokens": 20,
                                 "completion_tokens_details": {"reasoning_tokens": 300}}, (100, 320, 0, 0, 0)),
        ("Gemini", {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 420}, (100, 320, 0, 0, 0)),
        ("Gemini, thinking alone", {"prompt_tokens": 100, "total_tokens": 420}, (100, 320, 0, 0, 0)),
        ("Perplexity", {**OPENAI, "reasoning_tokens": 5, "num_search_queries": 3}, (1000, 100, 0, 0, 0)),
        ("Mistral", {**OPENAI, "num_cached_tokens": 900}, (1000, 100, 900, 0, 0)),
        ("Mistral, audio", MISTRAL_AUDIO, (378, 41, 0, 0, 0)),
        ("Mistral, audio without its tokens", {**MISTRAL_AUDIO, "prompt_tokens_details": None}, (378, 41, 0, 0, 0)),
        ("Mistral, audio without a total", {**MISTRAL_AUDIO, "total_tokens": None}, (378, 41, 0, 0, 0)),
        ("images and audio beside the input",
         {"prompt_tokens": 500, "completion_tokens": 41, "total_tokens": 941,
          "prompt_tokens_details": {"audio_tokens": 300, "image_tokens": 100}}, (900, 41, 0, 0, 0)),
        ("audio inside the input and thinking beside the output",
         {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1550,
          "prompt_tokens_details": {"audio_tokens": 900}}, (1000, 550, 0, 0, 0)),
        ("audio and thinking beside the counts",
         {"prompt_tokens": 3, "completion_tokens": 41, "total_tokens": 519,
          "prompt_tokens_details": {"audio_tokens": 375}}, (378, 141, 0, 0, 0)),
        ("audio inside the input", {**OPENAI, "prompt_tokens_details": {"audio_tokens": 900}}, (1000, 100, 0, 0, 0)),
        ("Gemini, tool use",
         {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 135, "toolUsePromptTokenCount": 100},
         (110, 25, 0, 0, 0)),
        ("Gemini, tool use beside an odd count",
         {"prompt_tokens": "10", "completion_tokens": 5, "total_tokens": 135, "toolUsePromptTokenCount": 100.0},
         (110, 25, 0, 0, 0)),
        ("DeepSeek without prompt_tokens",
         {"completion_tokens": 5, "prompt_cache_hit_tokens": 80, "prompt_cache_miss_tokens": 20}, (100, 5, 80, 0, 0)),
        ("Bedrock's metrics",
         {"inputTokenCount": 100, "outputTokenCount": 50, "cacheReadInputTokenCount": 700, "invocationLatency": 9},
         (800, 50, 700, 0, 0)),
        ("Ollama", {"prompt_eval_count": 100, "eval_count": 50}, (100, 50, 0, 0, 0)),
        ("Hunyuan", {"PromptTokens": 100, "CompletionTokens": 50, "TotalTokens": 150}, (100, 50, 0, 0, 0)),
        ("one count in two native formats",
         {"promptTokens": 100, "promptTokenCount": 100, "completionTokens": 50, "eval_count": 50}, (100, 50, 0, 0, 0)),
        ("Mistral, singular details", {**OPENAI, "prompt_token_details": {"cached_tokens": 900}},
         (1000, 100, 900, 0, 0)),
        ("Bedrock", {"inputTokens": 100, "outputTokens": 50, "totalTokens": 150}, (100, 50, 0, 0, 0)),
        ("Bedrock, cache", BEDROCK, (1000, 50, 700, 200, 0)),
        ("Bedrock, total with the cache", {**BEDROCK, "totalTokens": 1050}, (1000, 50, 700, 200, 0)),
        ("Bedrock beside zeros", {**BEDROCK, "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
         (1000, 50, 700, 200, 0)),
        ("Gemini's own names", GEMINI, (100, 320, 90, 0, 0)),
        ("Gemini's own names without a total", {**GEMINI, "totalTokenCount": None}, (100, 320, 90, 0, 0)),
        ("Vercel's names", {"promptTokens": 100, "completionTokens": 50}, (100, 50, 0, 0, 0)),
        ("Cohere", {"billed_units": {"input_tokens": 9, "output_tokens": 5.0},
                    "tokens": {"input_tokens": 70, "output_tokens": 8}}, (9, 5, 0, 0, 0)),
        ("Cohere, tokens alone", {"billed_units": {}, "tokens": {"input_tokens": 70, "output_tokens": 8}},
         (70, 8, 0, 0, 0)),
        ("floats", {"prompt_tokens": 1000.0, "completion_tokens": 99.5, "total_tokens": 1100.0},
         (1000, 100, 0, 0, 0)),
        ("text", {"prompt_tokens": "1000", "completion_tokens": "100"}, (1000, 100, 0, 0, 0)),
        ("details as a list", {**OPENAI, "prompt_tokens_details": []}, (1000, 100, 0, 0, 0)),
        ("details as text", {**OPENAI, "completion_tokens_details": "none", "cache_creation": 5},
         (1000, 100, 0, 0, 0)),
        ("an odd count beside a good one", {**OPENAI, "prompt_tokens_details": {"cached_tokens": 900.0}},
         (1000, 100, 900, 0, 0)),
        ("Alibaba",
         {**OPENAI, "prompt_tokens_details": {"cached_tokens": 10, "cache_creation_input_tokens": 500, "cache_creation":
             {"ephemeral_5m_input_tokens": 500}}}, (1000, 100, 10, 500, 0)),
        ("Alibaba without lifetimes",
         {**OPENAI, "prompt_tokens_details": {"cache_creation_input_tokens": 500}}, (1000, 100, 0, 500, 0)),
        ("LiteLLM",
         {**OPENAI, "prompt_tokens_details": {"cache_creation_tokens": 500, "cache_creation_token_details":
             {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 400}}}, (1000, 100, 0, 100, 400)),
        ("Anthropic, lifetimes alone",
         {**ANTHROPIC, "cache_creation_input_tokens": 0, "cache_creation": {"ephemeral_1h_input_tokens": 400}},
         (500, 50, 0, 0, 400)),
        ("two spellings of details, one empty",
         {**OPENAI, "prompt_tokens_details": {}, "input_tokens_details": {"cached_tokens": 900}},
         (1000, 100, 900, 0, 0)),
        ("two spellings of details, one with zeros",
         {**OPENAI, "prompt_tokens_details": {"cached_tokens": 0}, "input_tokens_details": {"cached_tokens": 900}},
         (1000, 100, 900, 0, 0)),
        ("two spellings of thinking, one empty",
         {"prompt_tokens": 100, "completion_tokens": 20, "completion_tokens_details": {},
          "output_tokens_details": {"reasoning_tokens": 300}}, (100, 320, 0, 0, 0)),
        ("two spellings, one with zeros",
         {"prompt_tokens": 0, "completion_tokens": 0, **ANTHROPIC, "total_tokens": 150}, (100, 50, 0, 0, 0)),
        ("two spellings, one with a zero and no total", {**OPENAI, "completion_tokens": 0, "output_tokens": 100},
         (1000, 100, 0, 0, 0)),
        ("Anthropic, zeros in OpenAI's spelling",
         {"prompt_tokens": 0, "completion_tokens": 0, **ANTHROPIC, "cache_read_input_tokens": 90},
         (190, 50, 90, 0, 0)),
        ("null", {**OPENAI, "prompt_tokens_details": None, "cached_tokens": None}, (1000, 100, 0, 0, 0)),
        ("zeros", {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, (0, 0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_the_counts_of_every_provider_mean_the_same(provider: str, fields: Any, expected: tuple[int, ...]) -> None:
    assert counts(read(**fields)) == (*expected, False), provider


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({**OPENAI, "prompt_tokens_details": {"cached_tokens": 5000}}, (1000, 100, 1000, 0, 0)),
        ({**OPENAI, "total_tokens": 900}, (1000, 100, 0, 0, 0)),
        ({"prompt_tokens": 33, "completion_tokens": 7163, "total_tokens": 7196, "reasoning_tokens": 73997},
         (33, 81160, 0, 0, 0)),
        ({**OPENAI, "completion_tokens_details": {"reasoning_tokens": 400}}, (1000, 500, 0, 0, 0)),
        ({**OPENAI, "output_tokens_details": {"reasoning_tokens": 400}}, (1000, 500, 0, 0, 0)),
        ({**OPENAI, "total_tokens": 1150, "reasoning_tokens": 400}, (1000, 500, 0, 0, 0)),
        ({"prompt_tokens": 1000, "completion_tokens": -5}, (1000, 0, 0, 0, 0)),
        ({"prompt_tokens": 10**60, "completion_tokens": 5}, (0, 5, 0, 0, 0)),
        ({"prompt_tokens": True, "completion_tokens": 5}, (0, 5, 0, 0, 0)),
        ({"prompt_tokens": "many", "completion_tokens": 5}, (0, 5, 0, 0, 0)),
    ],
)  # fmt: skip
def test_implausible_counts_are_marked(fields: Any, expected: tuple[int, ...]) -> None:
    assert counts(read(**fields)) == (*expected, True)


@pytest.mark.parametrize("names", [("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")])
@pytest.mark.parametrize("total", [300, 1100, None])
def test_a_total_without_the_cache_is_no_contradiction(names: tuple[str, str], total: int | None) -> None:
    usage = read(**{names[0]: 200, names[1]: 100}, total_tokens=total, cache_read_input_tokens=800)
    assert counts(usage) == (1000, 100, 800, 0, 0, False)
    assert usage is not None
    assert usage.total == 1100


@pytest.mark.parametrize("fields", [{}, {"total_tokens": 1100}, {"cost": 0.5}, {"prompt_tokens": None}])
def test_a_usage_without_input_and_output_is_missing(fields: Any) -> None:
    assert read(**fields) is None


NAMES = st.sampled_from(
    ["prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "prompt_tokens_details",
     "completion_tokens_details", "cached_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
     "cache_creation", "reasoning_tokens"]
)  # fmt: skip
COUNTS = st.sampled_from(["cached_tokens", "reasoning_tokens", "cache_write_tokens"])
LIFETIMES = st.dictionaries(st.sampled_from(["ttl_30m_tokens", "ttl_12h_tokens"]), st.integers())
DETAILS = st.dictionaries(COUNTS, st.integers()) | st.fixed_dictionaries({"cache_write_tokens_details": LIFETIMES})


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, st.integers() | st.floats() | DETAILS | json_values()))
def test_any_usage_has_counts_that_fit_together(fields: dict[str, Any]) -> None:
    usage = read_usage(json.dumps(fields).encode())
    if usage is not None:
        assert min(usage.input, usage.output, usage.cached, usage.written, usage.written_long) >= 0
        assert usage.cached + usage.written + usage.written_long <= usage.input


REPORTED = [
    OPENAI,
    ANTHROPIC,
    {**OPENAI, "prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 30}},
    {**OPENAI, "prompt_tokens_details": {"cached_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 30}}},
    {**ANTHROPIC, "total_tokens": 150, "input_tokens_details": {"cached_tokens": 90}},
    {**ANTHROPIC, "cache_read_input_tokens": 90, "cache_creation": {"ephemeral_5m_input_tokens": 30}},
    {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 420},
    {"prompt_tokens": 100, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 300}},
    {**OPENAI, "num_cached_tokens": 90},
    {**OPENAI, "prompt_token_details": {"cached_tokens": 90}},
    BEDROCK,
    GEMINI,
    {"billed_units": {"input_tokens": 9, "output_tokens": 5}, "tokens": {"input_tokens": 70, "output_tokens": 8}},
]
EMPTY = st.sampled_from([None, {}, "", 0, []])
DECOYS = st.dictionaries(NAMES | st.sampled_from(["input_tokens_details", "output_tokens_details"]), EMPTY)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(REPORTED), DECOYS)
def test_empty_values_and_zeros_do_not_hide_other_counts(fields: dict[str, Any], decoys: dict[str, Any]) -> None:
    assert counts(read(**{**decoys, **fields})) == counts(read(**fields))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(REPORTED), st.lists(DECOYS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_parts_of_a_split_usage_have_the_counts_of_the_whole(
    fields: dict[str, Any], decoys: list[dict[str, Any]], random: Random
) -> None:
    joined = reduce(join_usage, split(fields, decoys, random), Raw())
    assert counts(read_usage(joined)) == counts(read(**fields))


def split(fields: dict[str, Any], decoys: list[dict[str, Any]], random: Random) -> list[Raw]:
    """Returns one part of a usage for each object in `decoys`. Each field is in a random part, and can be repeated."""
    parts = [dict(decoy) for decoy in decoys]
    for name, value in fields.items():
        for part in random.sample(parts, random.randint(1, len(parts))):
            part[name] = value
    return [encoded(random.choice([part, *([None, {}] if not part else [])])) for part in parts]


@pytest.mark.parametrize(
    ("earlier", "later", "joined"),
    [
        ({"prompt_tokens": 9}, {"completion_tokens": 5, "cost": 0.5},
         {"prompt_tokens": 9, "completion_tokens": 5, "cost": 0.5}),
        ({"prompt_tokens": 9, "completion_tokens": 1}, {"completion_tokens": "5"},
         {"prompt_tokens": 9, "completion_tokens": "5"}),
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}, {"completion_tokens": 5},
         {"prompt_tokens": 9, "completion_tokens": 5}),
        ({"inputTokens": 9, "totalTokens": 9}, {"outputTokens": 5}, {"inputTokens": 9, "outputTokens": 5}),
        ({"promptTokenCount": 9, "totalTokenCount": 9}, {"candidatesTokenCount": 5},
         {"promptTokenCount": 9, "candidatesTokenCount": 5}),
        ({"completion_tokens": 5}, {"completion_tokens": -1}, {"completion_tokens": 5}),
        ({"completion_tokens": 5}, {"completion_tokens": {"x": 1}}, {"completion_tokens": 5}),
        ({"completion_tokens": {}}, {"completion_tokens": 5}, {"completion_tokens": 5}),
        ({"prompt_tokens_details": {"cached_tokens": 5}}, {"prompt_tokens_details": {"cached_tokens": 0, "x": 1}},
         {"prompt_tokens_details": {"cached_tokens": 5, "x": 1}}),
        ({"prompt_tokens_details": {"cached_tokens": 5}}, {"prompt_tokens_details": 7},
         {"prompt_tokens_details": {"cached_tokens": 5}}),
        (OPENAI, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, OPENAI),
        (OPENAI, "none", OPENAI),
        (OPENAI, [1], OPENAI),
        ([], OPENAI, OPENAI),
        (None, None, None),
    ],
)  # fmt: skip
def test_a_later_usage_replaces_only_the_counts_that_it_contains(earlier: Any, later: Any, joined: Any) -> None:
    assert json.loads(bytes(join_usage(encoded(earlier), encoded(later)))) == joined


def test_a_usage_that_another_usage_contains_keeps_the_bytes_of_the_other_usage() -> None:
    whole, part = Raw(b'{"prompt_tokens" : 9, "x": 1.50}'), Raw(b'{"prompt_tokens":9}')
    assert bytes(join_usage(part, whole)) == bytes(join_usage(whole, part)) == bytes(whole)
    assert bytes(join_usage(whole, Raw(b"{broken"))) == b"{broken"
    assert bytes(join_usage(whole, Raw())) == bytes(join_usage(Raw(), whole)) == bytes(whole)


@pytest.mark.parametrize("seed", range(8))
async def test_a_split_usage_costs_the_same_in_every_form_of_answer(testbed: Testbed, seed: int) -> None:
    random = Random(seed)
    price = {"input": 1, "cached_input": 0.1, "cache_write": 1.25, "cache_write_long": 2, "output": 10}
    fields = random.choice(REPORTED)
    decoys: list[dict[str, Any]] = [{}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, {}]
    choice, groq, top = split(fields, random.sample(decoys, 3), random)
    answer = completion("x" * 100)
    body = {**answer, "choices": [{**answer["choices"][0], "usage": choice}], "x_groq": {"usage": groq}, "usage": top}
    end = {**chunk({}, "stop"), "x_groq": {"id": "r", "usage": groq}, "usage": None}
    pieces = [{**chunk({"content": "x" * 50}), "usage": choice}, {**chunk({"content": "x" * 50}), "usage": None}, end,
              {**chunk({}), "choices": [], "usage": top}]  # fmt: skip
    changes = {name: {"price": price} for name in ("alpha", "beta")}
    setup = await testbed.start(
        None, whole(bytes(encoded(body))), stream([bytes(encoded(piece)) for piece in pieces]), changes=changes
    )
    for name in ("alpha", "beta"):
        for streamed in (False, True):
            assert (await setup.send(model=name, stream=streamed)).status_code == 200
    usage = read(**fields)
    assert usage is not None
    expected = cost_of(usage, Price.model_validate(price))
    entries = [ledger["call_history"][0] for ledger in setup.router.ledgers]
    assert [(entry["cost"], entry.get("estimated"), entry.get("suspect")) for entry in entries] == [
        (expected, None, None)
    ] * 4


LIFETIMES_REPORTED = {"cache_write_tokens": 1000, "cache_write_tokens_details": {"ttl_30m_tokens": 1000}}


@pytest.mark.parametrize(
    ("options", "details", "dollars"),
    [
        ({}, {"cache_write_tokens": 1000}, "0.00125"),
        ({"prompt_cache_options": {"ttl": "30m"}}, {"cache_write_tokens": 1000}, "0.00125"),
        ({"prompt_cache_options": {"ttl": "12h"}}, {"cache_write_tokens": 1000}, "0.002"),
        ({"prompt_cache_options": {"ttl": "12h"}}, LIFETIMES_REPORTED, "0.00125"),
        ({"prompt_cache_options": {"ttl": "12h"}}, {"cached_tokens": 1000}, "0.001"),
        ({"prompt_cache_options": {"ttl": "12h"}, "router": {"max_cost": 1}}, {"cache_write_tokens": 1000}, "0.00125"),
        ({"prompt_cache_options": "odd"}, {"cache_write_tokens": 1000}, "0.00125"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_cache_writes_are_priced_by_the_lifetime_that_the_request_asks_for(
    testbed: Testbed, options: Any, details: Any, dollars: str, stream: bool
) -> None:
    used = {"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000, "prompt_tokens_details": details}
    price = {"input": 1, "cache_write": 1.25, "cache_write_long": 2}
    setup = await testbed.start(None, text("", used=used), changes={"alpha": {"price": price}})
    await setup.send(model="alpha", stream=stream, **options)
    (ledger,) = setup.router.ledgers
    assert str(ledger["total_cost"]) == dollars


SHORT, LONG = ({"prompt_cache_options": {"ttl": lifetime}} for lifetime in ("30m", "12h"))
MANY_DROPPED = {f"x{at}": 1 for at in range(40)}


@pytest.mark.parametrize(
    ("options", "params", "dollars"),
    [
        ({}, {"set": LONG}, "0.002"),
        (SHORT, {"set": LONG}, "0.002"),
        (LONG, {"set": SHORT}, "0.00125"),
        (LONG, {"drop": ["prompt_cache_options"]}, "0.00125"),
        (LONG, {"rename": {"prompt_cache_options": "cache"}}, "0.00125"),
        ({"cache": LONG["prompt_cache_options"]}, {"rename": {"cache": "prompt_cache_options"}}, "0.002"),
        ({**MANY_DROPPED, **LONG, "router": {"max_cost": 1}}, {}, "0.00125"),
        ({**LONG, "router": {"max_cost": 1}}, {"allow": ["prompt_cache_options"]}, "0.002"),
        ({"router": {"max_cost": 1}}, {"set": LONG}, "0.002"),
    ],
)
async def test_cache_writes_are_priced_by_the_lifetime_in_the_body_that_the_target_gets(
    testbed: Testbed, options: dict[str, Any], params: dict[str, Any], dollars: str
) -> None:
    details = {"cache_write_tokens": 1000}
    used = {"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000, "prompt_tokens_details": details}
    price = {"input": 1, "cache_write": 1.25, "cache_write_long": 2}
    setup = await testbed.start(None, text("", used=used), changes={"alpha": {"price": price, "params": params}})
    await setup.send(model="alpha", **options)
    (ledger,) = setup.router.ledgers
    assert str(ledger["total_cost"]) == dollars


@pytest.mark.parametrize("name", ["cache_read_input_tokens", "cache_creation_input_tokens"])
def test_an_impossible_count_is_ignored_and_the_others_are_read(name: str) -> None:
    usage = read_usage(json.dumps({"input_tokens": 100, "output_tokens": 2, name: 10**16}).encode())
    assert usage is not None
    assert (usage.input, usage.output) == (100, 2)
