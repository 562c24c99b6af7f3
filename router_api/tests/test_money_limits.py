"""What of a request is sent under a money limit, so that no call costs more than its worst case."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.config import Target
from rl_router_api.conversation.additions import NO_ADVICE, Advice, MoneyGuard
from rl_router_api.conversation.request import Request
from rl_router_api.dialects.chat.fields import OUTPUT_LIMITS
from rl_router_api.dialects.chat.free_fields import FREE_FIELDS
from rl_router_api.dialects.chat.read_request import read_request
from rl_router_api.dialects.chat.sizes import max_input_tokens, unsized_part
from rl_router_api.dialects.chat.write_request import bounds_output, write_request
from rl_router_api.dialects.upstream_dialect import Payload
from rl_router_api.errors import ApiError

QUESTION = [{"role": "user", "content": "2 + 2?"}]
FUNCTION = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def asked(**fields: Any) -> Request:
    return read_request(json.dumps({"model": "router", "messages": QUESTION, **fields}).encode())


def target(**fields: Any) -> Target:
    return Target.model_validate({"name": "alpha", "base_url": "http://a/v1", **fields})


def made(to: Target | None = None, limit: int | None = 300, advice: Advice = NO_ADVICE, **fields: Any) -> Payload:
    return write_request(asked(**fields), to or target(), advice, MoneyGuard(limit))


def sent(to: Target | None = None, limit: int | None = 300, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(made(to, limit, **fields).body)
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
"""Fields that an engine or an aggregator reads, that may cost, and that no price covers."""


@pytest.mark.parametrize("field", COSTLY)
def test_a_field_that_may_cost_is_left_out_and_named(field: str) -> None:
    fields = {field: COSTLY[field]}
    assert sent(**fields) == {"max_tokens": 300}
    assert made(**fields).dropped == (field,)


@pytest.mark.parametrize("field", COSTLY)
def test_a_target_may_allow_a_further_field_which_is_then_counted(field: str) -> None:
    allowing, fields = target(params={"allow": [field]}), {field: COSTLY[field]}
    assert sent(allowing, **fields) == {"max_tokens": 300, field: COSTLY[field]}
    assert made(allowing, **fields).dropped == ()
    more = max_input_tokens(asked(**fields), allowing) - max_input_tokens(asked(**fields), target())
    assert more >= len(json.dumps(COSTLY[field], separators=(",", ":")))


def test_what_costs_nothing_is_sent_as_the_client_wrote_it() -> None:
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
    assert made(**fields).dropped == ()


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=15), st.integers() | st.text(max_size=5), max_size=6))
def test_no_field_reaches_a_target_that_is_not_known_to_be_free(fields: dict[str, Any]) -> None:
    unknown = {name: value for name, value in fields.items() if name not in FREE_FIELDS | {"model", "router"}}
    payload = made(**unknown)
    assert set(json.loads(payload.body)) <= FREE_FIELDS | {"model"}
    assert set(payload.dropped) == {name[:64] for name in unknown}


def test_the_names_of_what_is_left_out_are_not_endless() -> None:
    dropped = made(**{f"{at:03}" + "x" * 100: 1 for at in range(200)}).dropped
    assert len(dropped) == 33
    assert dropped[-1] == "and 168 more"
    assert max(map(len, dropped)) == 64


@pytest.mark.parametrize("type_", ["web_search", "web_search_preview", "code_interpreter", "mcp", "file_search",
                                   "image_generation", "openrouter:web_search", "browser_search", ""])  # fmt: skip
def test_tools_that_the_provider_runs_are_left_out(type_: str) -> None:
    hosted = {"type": type_, "name": "hosted"}
    assert sent(tools=[FUNCTION, hosted])["tools"] == [FUNCTION]
    assert made(tools=[FUNCTION, hosted]).dropped == (f"tools.1 ({type_})",)
    assert "tools" not in sent(tools=[hosted])
    assert sent(target(params={"allow": ["tools"]}), tools=[hosted])["tools"] == [hosted]


@pytest.mark.parametrize("tool", [{"type": 7}, "web_search", None, [FUNCTION], {}, {"type": "function"},
                                  {"googleSearch": {}}, {"type": "function", "googleSearch": {}},
                                  {**FUNCTION, "code_execution": {}}])  # fmt: skip
def test_a_tool_that_is_not_only_a_function_is_left_out(tool: Any) -> None:
    assert made(tools=[tool]).dropped == ("tools.0 (unknown)",)


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
def test_what_only_switches_off_what_may_cost_is_sent(name: str, off: Any, on: Any) -> None:
    assert sent(**{name: off})[name] == off
    assert name not in sent(**{name: on})


def test_arguments_of_a_template_that_are_none_are_nothing_to_tell_of() -> None:
    assert made(chat_template_kwargs=None).dropped == ()


@pytest.mark.parametrize(
    "argument",
    [{"chat_template": "{{ 'x ' * 100000 }}"}, {"documents": [{"text": "x"}]}, {"prefix": "x " * 50}, {"tools": {}},
     {"escaped": "\u007b\u007b"}],
)  # fmt: skip
def test_an_argument_that_a_template_could_be_is_left_out(argument: dict[str, Any]) -> None:
    payload = made(chat_template_kwargs={"enable_thinking": False, **argument})
    assert json.loads(payload.body)["chat_template_kwargs"] == {"enable_thinking": False}
    assert payload.dropped == tuple(f"chat_template_kwargs.{name}" for name in argument)


def test_marks_that_have_a_provider_write_its_cache_are_left_out() -> None:
    marked = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    part, function = {"type": "text", "text": "a"}, {"name": "look"}
    messages = [{"role": "user", "content": [{**part, **marked}, part], **marked}, {"role": "user", "content": "b"}]
    tools = [{"type": "function", "function": {**function, **marked}, **marked}]
    payload = made(messages=messages, tools=tools)
    body = json.loads(payload.body)
    assert body["messages"] == [{"role": "user", "content": [part, part]}, {"role": "user", "content": "b"}]
    assert body["tools"] == [{"type": "function", "function": function}]
    assert payload.dropped == ("cache_control",)
    allowed = write_request(
        asked(messages=messages), target(params={"allow": ["cache_control"]}), NO_ADVICE, MoneyGuard(300)
    )
    assert json.loads(allowed.body)["messages"] == messages


def test_messages_without_such_marks_are_sent_byte_by_byte() -> None:
    body = b'{"model":"m","messages":[ {"role":"user","content":[{"type":"text", "text":"a"}]} ],"seed":1e0}'
    payload = write_request(read_request(body), target(), NO_ADVICE, MoneyGuard(300))
    assert b'"messages":[ {"role":"user","content":[{"type":"text", "text":"a"}]} ]' in payload.body
    assert b'"seed":1e0' in payload.body


def test_advice_and_marks_of_calls_are_applied_as_without_a_limit() -> None:
    advice = Advice(system_prompt="Think.")
    messages = [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}]
    body = json.loads(made(advice=advice, messages=messages).body)
    assert body["messages"][0]["content"].endswith("Think.")
    assert body["messages"][1]["content"] == [{"type": "text", "text": "a"}]


# The output limit.


OPENAIS, OTHERS = OUTPUT_LIMITS[:2], OUTPUT_LIMITS[2:]


@pytest.mark.parametrize("name", OPENAIS)
@pytest.mark.parametrize("value", [100_000, None, 0, -1])
def test_openais_spellings_of_the_output_limit_are_set(name: str, value: Any) -> None:
    assert sent(**{name: value}) == {name: 300}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("value", [100_000, "100000", None, 0, -1, 0.5])
def test_other_spellings_of_the_output_limit_are_set_beside_openais(name: str, value: Any) -> None:
    assert sent(**{name: value}) == {name: 300, "max_tokens": 300}


def test_two_limits_at_once_are_both_set() -> None:
    assert sent(max_tokens=100_000, max_completion_tokens=20, n_predict=9) == dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "n_predict"), 300
    )


@pytest.mark.parametrize("name", OTHERS)
def test_a_limit_in_another_spelling_is_the_clients_limit_too(name: str) -> None:
    assert asked(**{name: 20}).max_output == 20
    assert asked(**dict.fromkeys(OTHERS, 500) | {name: 20}).max_output == 20
    assert asked(**{name: 20, "max_tokens": 500}).max_output == 500
    assert asked(**{name: "20"}).max_output is None


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
def test_what_a_targets_params_do_leaves_the_limit_in_force(params: dict[str, Any]) -> None:
    for fields in ({}, {"max_tokens": 9_999}, {"max_completion_tokens": 9_999, "max_tokens": 5_000}):
        body = sent(target(params=params), **fields)
        assert bool(body) == bounds_output(asked(**fields), target(params=params).params)
        assert set(body.values()) <= {300}


def test_a_lower_limit_that_a_target_sets_itself_stays() -> None:
    assert sent(target(params={"set": {"max_tokens": 200}}), max_tokens=9_999) == {"max_tokens": 200}


def test_a_target_whose_params_take_the_limit_away_is_known() -> None:
    params = target(params={"drop": ["max_tokens"]}).params
    assert not bounds_output(asked(), params)
    assert bounds_output(asked(max_completion_tokens=5), params)
    for taking in ({"drop": ["max_completion_tokens"]}, {"rename": {"max_completion_tokens": "x"}, "drop": ["x"]},
                   {"set": {"n": 8}}, {"rename": {"user": "n"}}):  # fmt: skip
        assert not bounds_output(asked(max_completion_tokens=5), target(params=taking).params)
    assert bounds_output(asked(), target(params={"drop": ["max_tokens"], "set": {"n_predict": 5}}).params)


def test_where_output_costs_nothing_the_clients_limits_stay() -> None:
    assert sent(limit=None, max_tokens=5, n_predict=-1) == {"max_tokens": 5, "n_predict": -1}


# The input.


def picture(url: str = "https://x/8k.png", **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


SOUND = {"type": "input_audio", "input_audio": {"data": "QUJD" * 100, "format": "wav"}}


def with_part(part: Any) -> Request:
    return asked(messages=[{"role": "user", "content": [part, {"type": "text", "text": "hi"}]}])


@pytest.mark.parametrize("text", ["0" * 3_000, "é" * 1_500, "\n" * 3_000, "\x00" * 500])
def test_a_token_is_a_byte(text: str) -> None:
    request = asked(messages=[{"role": "user", "content": text}])
    assert len(text.encode()) <= max_input_tokens(request, target()) <= 6 * len(text.encode()) + 100


def test_tools_and_schemas_are_counted_as_text() -> None:
    words = "x" * 3_000
    for fields in ({"tools": [{"type": "function", "function": {"name": words}}]}, {"guided_regex": words},
                   {"response_format": {"type": "json_schema", "json_schema": {"name": words}}}):  # fmt: skip
        assert max_input_tokens(asked(**fields), target()) >= 3_000


@pytest.mark.parametrize("part", [picture(), picture(detail="high"), picture("data:image/png;base64," + "A" * 90_000)])
def test_a_picture_counts_as_much_as_the_target_says(part: Any) -> None:
    assert 5_000 <= max_input_tokens(with_part(part), target()) <= 5_200
    assert 700 <= max_input_tokens(with_part(part), target(max_image_tokens=700)) <= 900


def test_sound_counts_by_its_bytes() -> None:
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
def test_a_part_whose_size_nothing_bounds_is_named(part: Any) -> None:
    assert unsized_part(with_part(part)) == f"`{part['type']}` part"


@pytest.mark.parametrize("field", [{"audio": {"id": "audio_1"}}, {"images": ["https://x/a.png"]},
                                   {"videos": ["https://x/a.mp4"]}, {"file_ids": ["file-1"]}])  # fmt: skip
def test_a_message_that_refers_to_something_of_unknown_size_is_named(field: dict[str, Any]) -> None:
    (name,) = field
    messages = [{"role": "assistant", "content": "a", **field}, *QUESTION]
    assert unsized_part(asked(messages=messages)) == f"message's `{name}`"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "a", "image_url": None, "file": None, "input_audio": None},
        {"type": "refusal", "refusal": "no"},
        {"type": "image_url", "image_url": "https://x/a.png"},
        picture(),
        SOUND,
    ],
)
def test_a_part_of_known_size_is_none(part: Any) -> None:
    assert unsized_part(with_part(part)) is None
    assert unsized_part(asked(messages=[{"role": "assistant", "content": "a", "audio": None}, *QUESTION])) is None


def test_tools_that_a_template_could_write_out_without_bounds_are_named() -> None:
    deep: Any = {}
    for _ in range(40):
        deep = {"a": deep}
    tool = {"type": "function", "function": {"name": "f", "parameters": deep}}
    assert unsized_part(asked(tools=[tool])) == "deeply nested `tools` field"
    usual = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}}}}
    assert unsized_part(asked(tools=[{"type": "function", "function": {"name": "f", "parameters": usual}}])) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
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
def test_whatever_the_fields_are_a_request_that_is_read_can_be_bounded(messages: Any, fields: dict[str, Any]) -> None:
    try:
        request = asked(messages=messages, **fields)
    except ApiError as error:
        assert error.status == 400
        return
    assert max_input_tokens(request, target()) > 0
    assert unsized_part(request) is None or "`" in str(unsized_part(request))
    body = json.loads(write_request(request, target(), NO_ADVICE, MoneyGuard(300)).body)
    assert "cache_control" not in body
    assert body["max_tokens"] == 300
