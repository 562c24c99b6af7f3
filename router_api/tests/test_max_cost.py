"""The body that a target receives if the request has a maximum cost, so that no call exceeds its worst case."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.config import Target
from rl_router_api.conversation.additions import NO_ADVICE, Advice, MoneyGuard
from rl_router_api.conversation.request import Request
from rl_router_api.dialects.chat.fields import OUTPUT_LIMITS
from rl_router_api.dialects.chat.free_fields import FREE_FIELDS, costly_setting
from rl_router_api.dialects.chat.read_request import read_request
from rl_router_api.dialects.chat.sizes import max_input_tokens, unsized_part
from rl_router_api.dialects.chat.write_request import bounds_output, write_request
from rl_router_api.dialects.upstream_dialect import Payload
from rl_router_api.errors import ApiError

from fakes.testbed.json_values import json_values
from fakes.testbed.requests import QUESTION, chat_request
from fakes.testbed.router import Testbed
from fakes.upstreams.answers import text

FUNCTION = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def target(**fields: Any) -> Target:
    return Target.model_validate({"name": "alpha", "base_url": "http://a/v1", **fields})


def payload_for(
    to: Target | None = None, limit: int | None = 300, advice: Advice = NO_ADVICE, **fields: Any
) -> Payload:
    return write_request(chat_request(**fields), to or target(), advice, MoneyGuard(limit))


def sent(to: Target | None = None, limit: int | None = 300, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(payload_for(to, limit, **fields).body)
    assert body.pop("model") == "alpha"
    assert body.pop("messages")
    return body


COSTLY: dict[str, Any] = {
    "best_of": 20, "use_beam_search": True, "N": 50, "MAX_TOKENS": 100_000, "Max_Completion_Tokens": 100_000,
    "prediction": {"type": "content", "content": "x " * 500}, "documents": [{"text": "x " * 500}],
    "service_tier": "priority", "modalities": ["text", "audio"], "audio": {"voice": "alloy"},
    "web_search_options": {}, "search_parameters": {"mode": "on"}, "plugins": [{"id": "web"}], "web_search": True,
    "models": ["dear/model"], "route": "fallback", "provider": {"order": ["dear"]}, "transforms": ["middle-out"],
    "chat_template": "{{ 'x ' * 100000 }}", "safe_prompt": True, "prompt_mode": "reasoning",
    "thinking": {"type": "enabled", "budget_tokens": 50_000}, "thinking_budget": 50_000,
    "prompt_cache_retention": "24h", "cache_control": {"type": "ephemeral"}, "options": {"num_predict": 9_999},
    "extra_body": {"n": 5}, "generation_config": {"max_new_tokens": 9_999}, "made_up_by_somebody": 1,
}  # fmt: skip
"""Fields of engines and aggregators that may cost money and that no configured price covers."""


@pytest.mark.parametrize("field", COSTLY)
def test_a_field_that_may_cost_money_is_dropped_and_reported(field: str) -> None:
    fields = {field: COSTLY[field]}
    assert sent(**fields) == {"max_tokens": 300}
    assert payload_for(**fields).dropped == (field,)


@pytest.mark.parametrize("field", COSTLY)
def test_a_field_that_the_target_allows_is_sent_and_counted_as_input(field: str) -> None:
    allowing, fields = target(params={"allow": [field]}), {field: COSTLY[field]}
    assert sent(allowing, **fields) == {"max_tokens": 300, field: COSTLY[field]}
    assert payload_for(allowing, **fields).dropped == ()
    more = max_input_tokens(chat_request(**fields), allowing) - max_input_tokens(chat_request(**fields), target())
    assert more >= len(json.dumps(COSTLY[field], separators=(",", ":")))


REPEATED: dict[str, tuple[bytes, bytes]] = {
    "a tool's type": (
        b'"tools":[{"type":"web_search","type":"function","name":"f"}]', b'"tools":[{"type":"function","name":"f"}]',
    ),
    "a function's name": (
        b'"tools":[{"function":{"name":"a","name":"b"}}]', b'"tools":[{"function":{"name":"b"}}]',
    ),
    "thinking": (b'"thinking":{"type":"enabled","type":"disabled"}', b'"thinking":{"type":"disabled"}'),
    "effort": (b'"reasoning":{"effort":"high","\\u0065ffort":"none"}', b'"reasoning":{"effort":"none"}'),
    "a template's argument": (b'"chat_template_kwargs":{"a":"{{x}}","a":1}', b'"chat_template_kwargs":{"a":1}'),
    "a message's content": (
        b'"messages":[{"role":"user","content":[{"type":"file"}],"content":"a"}]',
        b'"messages":[{"role":"user","content":"a"}]',
    ),
    "a part's type": (
        b'"messages":[{"role":"user","content":[{"type":"file","file":{},"type":"text","file":null,"text":"a"}]}]',
        b'"messages":[{"role":"user","content":[{"type":"text","file":null,"text":"a"}]}]',
    ),
}  # fmt: skip
"""Fields that contain a repeated field, and the same fields as a target receives them."""


@pytest.mark.parametrize(("repeated", "single"), REPEATED.values(), ids=REPEATED)
@pytest.mark.parametrize("allow", [[], ["cache_control"]], ids=["", "cache_control is allowed"])
def test_of_a_repeated_field_only_the_value_that_the_router_reads_is_sent(
    repeated: bytes, single: bytes, allow: list[str]
) -> None:
    question = b"" if b"messages" in repeated else b',"messages":[{"role":"user","content":"a"}]'
    request = read_request(b'{"model":"alpha",%b%b}' % (repeated, question))
    body = write_request(request, target(params={"allow": allow}), NO_ADVICE, MoneyGuard(300)).body
    assert single in body
    assert repeated not in body


def test_fields_that_cost_nothing_are_sent_unchanged() -> None:
    fields = {
        "temperature": 0.10, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "seed": 7, "stop": ["\n"], "n": 2,
        "logit_bias": {"50256": -100}, "repetition_penalty": 1.1, "min_tokens": 5, "ignore_eos": True,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        "guided_json": {"type": "object"}, "structured_outputs": {"regex": "a+"}, "grammar": "root ::= \"a\"",
        "tools": [FUNCTION, {"type": "custom", "custom": {"name": "c"}}, {"function": {"name": "f"}},
                  {"type": "function", "name": "flat", "parameters": {}}],
        "tool_choice": "auto", "parallel_tool_calls": False, "reasoning_effort": "low", "verbosity": "low",
        "logprobs": True, "top_logprobs": 3, "user": "ada", "metadata": {"team": "a"}, "store": True,
        "chat_template_kwargs": {"enable_thinking": False, "level": "high", "depth": 3, "nothing": None},
        "add_generation_prompt": True, "skip_special_tokens": False, "priority": 1, "max_tokens": 300,
    }  # fmt: skip
    assert sent(**fields) == fields
    assert payload_for(**fields).dropped == ()


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=15), st.integers() | st.text(max_size=5), max_size=6))
def test_unknown_fields_are_dropped(fields: dict[str, Any]) -> None:
    unknown = {name: value for name, value in fields.items() if name not in FREE_FIELDS | {"model", "router"}}
    payload = payload_for(**unknown)
    assert set(json.loads(payload.body)) <= FREE_FIELDS | {"model"}
    assert set(payload.dropped) == {name[:64] for name in unknown}


def test_the_report_of_dropped_fields_is_limited() -> None:
    dropped = payload_for(**{f"{at:03}" + "x" * 100: 1 for at in range(200)}).dropped
    assert len(dropped) == 33
    assert dropped[-1] == "and 168 more"
    assert max(map(len, dropped)) == 64


@pytest.mark.parametrize("type_", ["web_search", "web_search_preview", "code_interpreter", "mcp", "file_search",
                                   "image_generation", "openrouter:web_search", "browser_search", ""])  # fmt: skip
def test_tools_that_the_provider_runs_are_dropped(type_: str) -> None:
    hosted = {"type": type_, "name": "hosted"}
    assert sent(tools=[FUNCTION, hosted])["tools"] == [FUNCTION]
    assert payload_for(tools=[FUNCTION, hosted]).dropped == (f"tools.1 ({type_})",)
    assert "tools" not in sent(tools=[hosted])
    assert sent(target(params={"allow": ["tools"]}), tools=[hosted])["tools"] == [hosted]


@pytest.mark.parametrize("tool", [{"type": 7}, "web_search", None, [FUNCTION], {}, {"type": "function"},
                                  {"googleSearch": {}}, {"type": "function", "googleSearch": {}},
                                  {**FUNCTION, "code_execution": {}}])  # fmt: skip
def test_a_tool_that_is_not_only_a_function_is_dropped(tool: Any) -> None:
    assert payload_for(tools=[tool]).dropped == ("tools.0 (unknown)",)


@pytest.mark.parametrize(
    ("name", "off", "on"),
    [
        ("thinking", {"type": "disabled"}, {"type": "enabled", "budget_tokens": 9_000}),
        ("enable_thinking", False, True),
        ("reasoning", {"enabled": False}, {"max_tokens": 90_000}),
        ("service_tier", "flex", "priority"),
        ("modalities", ["text"], ["text", "audio"]),
    ],
)
def test_a_value_that_switches_off_something_costly_is_sent(name: str, off: Any, on: Any) -> None:
    assert sent(**{name: off})[name] == off
    assert name not in sent(**{name: on})


def test_template_arguments_of_null_are_not_reported() -> None:
    assert payload_for(chat_template_kwargs=None).dropped == ()


@pytest.mark.parametrize(
    "argument",
    [{"chat_template": "{{ 'x ' * 100000 }}"}, {"documents": [{"text": "x"}]}, {"prefix": "x " * 50}, {"tools": {}},
     {"escaped": "\u007b\u007b"}],
)  # fmt: skip
def test_template_arguments_with_long_or_nested_values_are_dropped(argument: dict[str, Any]) -> None:
    payload = payload_for(chat_template_kwargs={"enable_thinking": False, **argument})
    assert json.loads(payload.body)["chat_template_kwargs"] == {"enable_thinking": False}
    assert payload.dropped == tuple(f"chat_template_kwargs.{name}" for name in argument)


def test_cache_control_in_messages_and_tools_is_dropped() -> None:
    control = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    part, function = {"type": "text", "text": "a"}, {"name": "look"}
    messages = [{"role": "user", "content": [{**part, **control}, part], **control}, {"role": "user", "content": "b"}]
    tools = [{"type": "function", "function": {**function, **control}, **control}]
    payload = payload_for(messages=messages, tools=tools)
    body = json.loads(payload.body)
    assert body["messages"] == [{"role": "user", "content": [part, part]}, {"role": "user", "content": "b"}]
    assert body["tools"] == [{"type": "function", "function": function}]
    assert payload.dropped == ("cache_control",)
    allowed = write_request(
        chat_request(messages=messages), target(params={"allow": ["cache_control"]}), NO_ADVICE, MoneyGuard(300)
    )
    assert json.loads(allowed.body)["messages"] == messages


def test_messages_without_cache_control_are_sent_byte_for_byte() -> None:
    body = b'{"model":"m","messages":[ {"role":"user","content":[{"type":"text", "text":"a"}]} ],"seed":1e0}'
    payload = write_request(read_request(body), target(), NO_ADVICE, MoneyGuard(300))
    assert b'"messages":[ {"role":"user","content":[{"type":"text", "text":"a"}]} ]' in payload.body
    assert b'"seed":1e0' in payload.body


def test_advice_is_added_as_without_a_maximum_cost() -> None:
    advice = Advice(system_prompt="Think.")
    messages = [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}]
    body = json.loads(payload_for(advice=advice, messages=messages).body)
    part, advised = body["messages"][0]["content"]
    assert part == {"type": "text", "text": "a"}
    assert advised["text"].endswith("Think.")


# The output limit.


OPENAI_NAMES, OTHER_NAMES = OUTPUT_LIMITS[:2], OUTPUT_LIMITS[2:]


@pytest.mark.parametrize("name", OPENAI_NAMES)
@pytest.mark.parametrize("value", [100_000, None, 0, -1])
def test_the_output_limit_is_set_in_openais_fields(name: str, value: Any) -> None:
    assert sent(**{name: value}) == {name: 300}


@pytest.mark.parametrize("name", OTHER_NAMES)
@pytest.mark.parametrize("value", [100_000, "100000", None, 0, -1, 0.5])
def test_the_output_limit_is_set_in_other_fields_and_in_openais(name: str, value: Any) -> None:
    assert sent(**{name: value}) == {name: 300, "max_tokens": 300}


def test_the_output_limit_is_set_in_every_field_of_the_request() -> None:
    assert sent(max_tokens=100_000, max_completion_tokens=20, n_predict=9) == dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "n_predict"), 300
    )


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_the_clients_output_limit_may_be_in_another_field(name: str) -> None:
    assert chat_request(**{name: 20}).max_output == 20
    assert chat_request(**dict.fromkeys(OTHER_NAMES, 500) | {name: 20}).max_output == 20
    assert chat_request(**{name: 20, "max_tokens": 500}).max_output == 500
    assert chat_request(**{name: "20"}).max_output is None


@pytest.mark.parametrize(
    "params",
    [
        {"rename": {"max_tokens": "max_completion_tokens"}},
        {"rename": {"max_tokens": "length"}},
        {"rename": {"max_completion_tokens": "first", "first": "second"}},
        {"set": {"max_tokens": 4_096}},
        {"set": {"n_predict": -1}},
        {"drop": ["max_completion_tokens"]},
    ],
)
def test_params_of_a_target_cannot_raise_the_output_limit(params: dict[str, Any]) -> None:
    for fields in ({}, {"max_tokens": 9_999}, {"max_completion_tokens": 9_999, "max_tokens": 5_000}):
        body = sent(target(params=params), **fields)
        assert bool(body) == bounds_output(chat_request(**fields), target(params=params).params)
        assert set(body.values()) <= {300}


def test_a_lower_output_limit_in_the_params_of_a_target_is_kept() -> None:
    assert sent(target(params={"set": {"max_tokens": 200}}), max_tokens=9_999) == {"max_tokens": 200}


def test_params_that_remove_the_output_limit_are_recognized() -> None:
    params = target(params={"drop": ["max_tokens"]}).params
    assert not bounds_output(chat_request(), params)
    assert bounds_output(chat_request(max_completion_tokens=5), params)
    for removing in ({"drop": ["max_completion_tokens"]}, {"rename": {"max_completion_tokens": "x"}, "drop": ["x"]},
                   {"set": {"n": 8}}, {"rename": {"user": "n"}}):  # fmt: skip
        assert not bounds_output(chat_request(max_completion_tokens=5), target(params=removing).params)
    assert bounds_output(chat_request(), target(params={"drop": ["max_tokens"], "set": {"n_predict": 5}}).params)


@pytest.mark.parametrize(
    ("params", "costly"),
    [
        ({"set": {"service_tier": "priority"}}, "service_tier"),
        ({"set": {"temperature": 0, "web_search_options": {}}}, "web_search_options"),
        ({"set": {"best_of": 5}}, "best_of"),
        ({"set": {"tools": [{"type": "web_search"}]}}, "tools"),
        ({"set": {"tools": [{"type": "function", "function": {"name": "f"}}]}}, None),
        ({"set": {"tools": [{"type": "web_search"}]}, "allow": ["tools"]}, None),
        ({"set": {"chat_template_kwargs": {"chat_template": "{{ 10**9 * 'x ' }}"}}}, "chat_template_kwargs"),
        ({"set": {"chat_template_kwargs": {"enable_thinking": False}}}, None),
        ({"set": {"service_tier": "flex", "top_k": 5}}, None),
        ({"set": {"service_tier": "priority"}, "allow": ["service_tier"]}, None),
        ({}, None),
    ],
)
def test_a_field_in_the_params_of_a_target_that_may_cost_extra_is_named(params: Any, costly: str | None) -> None:
    assert costly_setting(target(params=params).params) == costly


async def test_a_target_whose_params_may_cost_extra_is_no_candidate_for_a_request_with_max_cost(
    testbed: Testbed,
) -> None:
    changes = {"alpha": {"params": {"set": {"service_tier": "priority"}}}}
    setup = await testbed.start(None, text("a"), None, changes=changes)
    response = await setup.send(model="alpha", router={"max_cost": 1})
    assert response.status_code == 400
    assert "params.set.service_tier" in response.text
    assert not setup.alpha.requests


def test_the_text_that_params_of_a_target_set_counts_as_input() -> None:
    request, long = chat_request(), {"set": {"response_format": {"description": "x" * 5_000}}}
    assert max_input_tokens(request, target(params=long)) >= max_input_tokens(request, target()) + 5_000


def test_if_output_costs_nothing_the_clients_limits_are_kept() -> None:
    assert sent(limit=None, max_tokens=5, n_predict=-1) == {"max_tokens": 5, "n_predict": -1}


# The input.


def picture(url: str = "https://x/8k.png", **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


SOUND = {"type": "input_audio", "input_audio": {"data": "QUJD" * 100, "format": "wav"}}


def with_part(part: Any) -> Request:
    return chat_request(messages=[{"role": "user", "content": [part, {"type": "text", "text": "hi"}]}])


@pytest.mark.parametrize("text", ["0" * 3_000, "é" * 1_500, "\n" * 3_000, "\x00" * 500])
def test_text_counts_at_least_one_token_a_byte(text: str) -> None:
    request = chat_request(messages=[{"role": "user", "content": text}])
    assert len(text.encode()) <= max_input_tokens(request, target()) <= 6 * len(text.encode()) + 100


def test_tools_and_schemas_are_counted_as_text() -> None:
    long = "x" * 3_000
    for fields in ({"tools": [{"type": "function", "function": {"name": long}}]}, {"guided_regex": long},
                   {"response_format": {"type": "json_schema", "json_schema": {"name": long}}}):  # fmt: skip
        assert max_input_tokens(chat_request(**fields), target()) >= 3_000


IMAGE = "data:image/png;base64," + "A" * 90_000


@pytest.mark.parametrize("part", [picture(), picture(detail="high"), picture(IMAGE), {**picture(), "image_url": IMAGE}])
def test_a_picture_counts_as_max_image_tokens_of_the_target(part: Any) -> None:
    assert 5_000 <= max_input_tokens(with_part(part), target()) <= 5_200
    assert 700 <= max_input_tokens(with_part(part), target(max_image_tokens=700)) <= 900


LONG = "x" * 10_000
DATA = IMAGE[:10_000]


@pytest.mark.parametrize(
    "part",
    [
        picture(DATA, text=LONG),
        picture(DATA, detail=LONG),
        picture(DATA, format=LONG),
        picture(DATA + "," + LONG),
        picture(DATA + "\u017f"),
        picture("https://x/" + LONG),
        picture(LONG),
        picture("data:image/svg+xml;utf8," + LONG),
        picture("data:image/svg+xml;base64," + LONG),
        picture("data:image/png;name=" + LONG + ";base64,AA"),
        picture("data:image/png," + LONG),
        {"type": "image_url", "image_url": LONG},
        {"type": "text", "text": "a", "image_url": LONG},
        {"type": "text", "text": "a", "image_url": DATA},
        {"type": "text", "text": "a", "detail": LONG, "image_url": {"url": "https://x/a.png"}},
        {"type": "refusal", "refusal": "a", "image_url": {"url": "x", "detail": LONG}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": LONG}, "image_url": {"url": DATA}},
    ],
    ids=lambda part: json.dumps(part)[:80],
)
def test_text_in_place_of_a_picture_counts_as_text_or_is_of_unknown_size(part: Any) -> None:
    request = with_part(part)
    assert unsized_part(request) == f"`{part['type']}` part" or max_input_tokens(request, target()) >= 10_000


@pytest.mark.parametrize("field", [b'"url":"%b"' % LONG.encode(), b'"detail":"high"', b'"format":null'])
def test_a_picture_with_a_repeated_field_is_of_unknown_size(field: bytes) -> None:
    once = b'{"format":null,"detail":"high","url":"%b"}' % DATA.encode()
    for raw, expected in ((once, None), (once.replace(b"{", b"{%b," % field), "`image_url` part")):
        message = b'{"role":"user","content":[{"type":"image_url","image_url":%b}]}' % raw
        assert unsized_part(read_request(b'{"model":"m","messages":[%b]}' % message)) == expected


def test_audio_counts_by_its_bytes() -> None:
    assert max_input_tokens(with_part(SOUND), target()) >= 400


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": "https://x/two-hours.mp4"}},
        {"type": "file", "file": {"file_id": "file-1000-pages"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0x"}},
        {"type": "input_file", "file_url": "https://x/1000-pages.pdf"},
        {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
        {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
        {"type": "video", "video": ["https://x/a.jpg"]},
        {"type": "text", "text": "a", "file": {"file_id": "file-1"}},
        {"type": "text", "text": "a", "uuid": "u", "video_url": {"url": "https://x/two-hours.mp4"}},
        {"type": "text", "text": "a", "document": "https://x/a.pdf"},
        {"type": "made_up"},
        picture("data:application/pdf;base64,JVBERi0x"),
        picture("DATA:video/mp4;base64,AAAA"),
        {"type": "image_url", "image_url": {"id": "img-1"}},
        {"type": "input_audio", "input_audio": {"data": "https://x/two-hours.wav"}},
        {"type": "input_audio", "input_audio": {"id": "audio-1"}},
        {"type": "input_audio", "input_audio": {"data": " " * 20 + "https://x/a.wav"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "url": "https://x/a.wav"}},
        {"type": "input_audio", "input_audio": {"data": ""}},
        {"type": "input_audio", "input_audio": {"data": "file:/tmp/a.wav"}},
    ],
    ids=lambda part: json.dumps(part)[:60],
)
def test_a_part_of_unknown_size_is_reported(part: Any) -> None:
    assert unsized_part(with_part(part)) == f"`{part['type']}` part"


def test_a_part_without_a_type_has_an_unknown_size() -> None:
    assert unsized_part(with_part({"inlineData": {"data": "A"}})) == "content part without a type"


@pytest.mark.parametrize("field", [{"audio": {"id": "audio_1"}}, {"images": ["https://x/a.png"]},
                                   {"videos": ["https://x/a.mp4"]}, {"file_ids": ["file-1"]}])  # fmt: skip
def test_a_message_with_a_reference_of_unknown_size_is_reported(field: dict[str, Any]) -> None:
    (name,) = field
    messages = [{"role": "assistant", "content": "a", **field}, *QUESTION]
    assert unsized_part(chat_request(messages=messages)) == f"message's `{name}`"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "a", "image_url": None, "file": None, "input_audio": None},
        {"type": "refusal", "refusal": "no"},
        {"type": "image_url", "image_url": "https://x/a.png"},
        {"type": "image_url", "image_url": DATA},
        picture(),
        picture("https://x/a.png?signature=" + "0" * 3_000, detail="auto"),
        picture("data:image/svg+xml;utf8,<svg/>"),
        picture(DATA, detail="original", format="image/png"),
        picture(DATA.replace("image/png", "image/JPEG;name=a.jpg")),
        picture(DATA + "\n AA\r\n=="),
        SOUND,
    ],
)
def test_a_part_of_known_size_is_not_reported(part: Any) -> None:
    assert unsized_part(with_part(part)) is None
    assert (
        unsized_part(chat_request(messages=[{"role": "assistant", "content": "a", "audio": None}, *QUESTION])) is None
    )


def test_deeply_nested_tools_are_reported() -> None:
    deep: Any = {}
    for _ in range(40):
        deep = {"a": deep}
    tool = {"type": "function", "function": {"name": "f", "parameters": deep}}
    assert unsized_part(chat_request(tools=[tool])) == "deeply nested `tools` field"
    usual = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}}}}
    assert (
        unsized_part(chat_request(tools=[{"type": "function", "function": {"name": "f", "parameters": usual}}])) is None
    )


@pytest.mark.parametrize("levels", [64, 65, 400])
def test_long_and_deeply_nested_tools_are_not_formatted(levels: int) -> None:
    deep: Any = [0] * 50_000
    for _ in range(levels - 2):
        deep = [deep]
    request = chat_request(tools=[deep])
    tracemalloc.start()
    try:
        reported = unsized_part(request)
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert reported == "deeply nested `tools` field"


JSON = json_values()
PART = st.dictionaries(st.sampled_from(["text", "image_url", "input_audio", "file", "cache_control"]), JSON).map(
    lambda fields: {"type": "text", **fields}
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.just("user"), "content": st.text(max_size=9) | st.lists(PART, max_size=3)},
    optional=dict.fromkeys(("audio", "images", "name", "cache_control"), JSON),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(MESSAGE, min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["tools", "chat_template_kwargs", "n_predict", "cache_control"]), JSON),
)
def test_the_cost_of_every_valid_request_can_be_limited(messages: Any, fields: dict[str, Any]) -> None:
    try:
        request = chat_request(messages=messages, **fields)
    except ApiError as error:
        assert error.status == 400
        return
    assert max_input_tokens(request, target()) > 0
    assert unsized_part(request) is None or "`" in str(unsized_part(request))
    body = json.loads(write_request(request, target(), NO_ADVICE, MoneyGuard(300)).body)
    assert "cache_control" not in body
    assert body["max_tokens"] == 300
