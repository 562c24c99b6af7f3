"""The body that a target receives: the client's fields, the router model's advice, and no affinity."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from rl_router_api.config import Target
from rl_router_api.conversation.additions import MAX_ADVICE, NO_ADVICE, Advice
from rl_router_api.conversation.affinity import affinity_in, affinity_of
from rl_router_api.dialects.chat.affinity import put_on
from rl_router_api.dialects.chat.read_request import read_request
from rl_router_api.dialects.chat.write_request import write_request
from rl_router_api.dialects.upstream_dialect import Payload

from fakes.testbed.json_values import json_values

QUESTION = [{"role": "user", "content": "2 + 2?"}]
JSON = json_values()
READ = {"model", "router", "messages", "n", "tools", "functions", "stream", "stream_options", "max_tokens", "logprobs",
        "max_completion_tokens", "response_format", "modalities", "temperature"}  # fmt: skip
EVERYTHING: dict[str, Any] = {
    "messages": [
        {"role": "developer", "content": [{"type": "text", "text": "Be terse."}], "name": "dev"},
        {"role": "user", "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": "{\"x\": 1}"}},
            {"id": "call_b", "type": "function", "function": {"name": "look", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "call_a", "content": "a cat"},
        {"role": "tool", "tool_call_id": "call_b", "content": [{"type": "text", "text": "a dog"}]},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "strict": True, "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "function", "function": {"name": "look"}}, "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": {}}},
    "n": 2, "logprobs": True, "top_logprobs": 3, "logit_bias": {"50256": -100}, "stop": ["\n", "END"], "seed": 7,
    "temperature": 0.10, "top_p": 0.9, "presence_penalty": 1, "frequency_penalty": -1, "max_tokens": 5,
    "max_completion_tokens": 6, "reasoning_effort": "low", "verbosity": "low", "service_tier": "flex", "store": True,
    "prediction": {"type": "content", "content": "four"}, "metadata": {"team": "a"}, "user": "ada",
    "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}, "web_search_options": {},
    "stream_options": {"include_obfuscation": False}, "made_up_by_somebody": {"deep": [1, {"er": None}]},
}  # fmt: skip


def target(**fields: Any) -> Target:
    return Target.model_validate({"name": "alpha", "base_url": "http://a/v1", **fields})


def payload_for(to: Target | None = None, advice: Advice = NO_ADVICE, **fields: Any) -> Payload:
    body = {"model": "router", "messages": QUESTION, **fields}
    return write_request(read_request(json.dumps(body).encode()), to or target(), advice)


def sent(to: Target | None = None, advice: Advice = NO_ADVICE, **fields: Any) -> Any:
    return json.loads(payload_for(to, advice, **fields).body)


def test_everything_that_openai_defines_reaches_the_target_unchanged() -> None:
    assert sent(**EVERYTHING) == {"model": "alpha", **EVERYTHING}


def test_the_targets_model_name_is_sent_and_the_router_object_is_not() -> None:
    body = sent(target(model="alpha-2024"), router={"max_cost": 1})
    assert body == {"model": "alpha-2024", "messages": QUESTION}


def test_numbers_keep_the_digits_of_the_client() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":0.10,"seed":12345678901234567890123}'
    changed = write_request(read_request(body), target(), NO_ADVICE).body
    assert b'"temperature":0.10' in changed
    assert b'"seed":12345678901234567890123' in changed


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=15).filter(lambda name: name not in READ), JSON, max_size=6), st.booleans())
def test_unknown_fields_reach_the_target_unchanged(fields: dict[str, Any], advised: bool) -> None:
    advice = Advice(system_prompt="Think.") if advised else NO_ADVICE
    body = sent(advice=advice, **fields)
    assert {name: body[name] for name in fields} == fields
    assert set(body) == {"model", "messages", *fields}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "tool", "made_up"])},
            optional={"content": st.text(max_size=30), "name": JSON, "annotations": JSON},
        ),
        min_size=1,
        max_size=5,
    )
)
def test_messages_reach_the_target_unchanged_and_in_order_with_any_advice(messages: list[Any]) -> None:
    assert sent(messages=messages)["messages"] == messages
    advised = sent(advice=Advice(system_prompt="Think."), messages=messages)["messages"]
    changed = [place for place, message in enumerate(messages) if advised[place] != message]
    assert len(advised) == len(messages)
    assert len(changed) <= 1
    assert all(messages[place]["role"] == "user" for place in changed)


def test_an_advised_temperature_is_used_only_if_the_client_sent_none() -> None:
    advice = Advice(temperature=0.3)
    assert sent(advice=advice)["temperature"] == 0.3
    assert sent(advice=advice, temperature=1.5)["temperature"] == 1.5
    assert "temperature" not in sent()


@pytest.mark.parametrize("later", [[], [{"role": "assistant", "content": "So far"}]])
def test_advice_is_appended_to_the_newest_user_message(later: list[Any]) -> None:
    before = [{"role": "system", "content": "Speak French."}, *QUESTION, {"role": "assistant", "content": "4"}]
    messages = sent(
        advice=Advice(system_prompt="Think."), messages=[*before, {"role": "user", "content": "Sure?", "x": 1}, *later]
    )["messages"]
    assert messages[:3] == before
    assert messages[4:] == later
    assert messages[3]["content"].startswith("Sure?\n\nAdvice")
    assert "the system prompt takes precedence" in messages[3]["content"]
    assert messages[3]["content"].endswith("Think.")
    assert messages[3]["x"] == 1


def test_advice_for_a_user_message_in_parts_is_a_further_part() -> None:
    parts = [{"type": "text", "text": "Hello.", "cache_control": {"type": "ephemeral"}}]
    content = sent(advice=Advice(system_prompt="Think."), messages=[{"role": "user", "content": parts}])
    assert content["messages"][0]["content"][0] == parts[0]
    assert content["messages"][0]["content"][1]["text"].endswith("Think.")


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}])
def test_advice_for_an_empty_user_message_is_its_content(content: dict[str, Any]) -> None:
    messages = sent(advice=Advice(system_prompt="Think."), messages=[{"role": "user", **content}])["messages"]
    assert len(messages) == 1
    assert messages[0]["content"].startswith("Advice")


@pytest.mark.parametrize("messages", [
    [{"role": "system", "content": "Go."}], [{"role": "assistant", "content": "4"}],
    [*QUESTION, {"role": "assistant", "tool_calls": []}, {"role": "tool", "tool_call_id": "a", "content": "4"}],
    [*QUESTION, {"role": "function", "name": "f", "content": "4"}],
])  # fmt: skip
def test_no_advice_is_given_without_a_user_message_or_after_tool_results(messages: list[Any]) -> None:
    payload = payload_for(advice=Advice(system_prompt="Think."), messages=messages)
    assert json.loads(payload.body)["messages"] == messages
    assert payload.added == ()


def test_an_advised_temperature_is_not_added_beside_top_p() -> None:
    assert "temperature" not in sent(advice=Advice(temperature=0.3), top_p=0.5)


ADVICE = Advice(system_prompt="Think.", temperature=0.3)
ADDED = ("optimized_system_prompt", "temperature", "stream_options")


def test_the_additions_are_named_and_each_can_be_left_out() -> None:
    assert payload_for(advice=ADVICE, stream=True).added == ADDED
    for name in ADDED:
        request = read_request(json.dumps({"model": "m", "messages": QUESTION, "stream": True}).encode())
        payload = write_request(request, target(), ADVICE, without=[name])
        assert payload.added == tuple(other for other in ADDED if other != name)
        fields = json.loads(payload.body)
        assert ("temperature" in fields) is (name != "temperature")
        assert ("stream_options" in fields) is (name != "stream_options")
        assert ("Advice" in fields["messages"][0]["content"]) is (name != "optimized_system_prompt")


def test_what_the_client_sent_itself_is_no_addition() -> None:
    fields = {"temperature": 1, "stream": True, "stream_options": {"include_usage": True}}
    assert payload_for(advice=Advice(temperature=0.3), **fields).added == ()
    request = read_request(json.dumps({"model": "m", "messages": QUESTION, **fields}).encode())
    body = json.loads(write_request(request, target(), NO_ADVICE, without=ADDED).body)
    assert {name: body[name] for name in fields} == fields


def test_advice_is_cut_to_two_thousand_characters() -> None:
    content = sent(advice=Advice(system_prompt="é" * 5_000))["messages"][0]["content"]
    assert content.count("é") == MAX_ADVICE == 2_000


def test_advice_is_reported_as_arguments() -> None:
    assert NO_ADVICE.as_arguments() == {}
    assert Advice("Think.", 0.0).as_arguments() == {"optimized_system_prompt": "Think.", "temperature": 0.0}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("limit", [0, -1, None])
def test_an_output_limit_below_one_token_is_passed_on(name: str, limit: int | None) -> None:
    assert sent(**{name: limit})[name] == limit


@pytest.mark.parametrize("fields", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False}}])
def test_a_streamed_call_always_requests_the_usage(fields: dict[str, Any]) -> None:
    assert sent(stream=True, **fields)["stream_options"] == {"include_usage": True}


def test_other_stream_options_are_kept() -> None:
    options = {"include_obfuscation": False}
    assert sent(stream=True, stream_options=options)["stream_options"] == {**options, "include_usage": True}


def test_a_call_that_is_not_streamed_does_not_request_the_usage() -> None:
    assert "stream_options" not in sent(stream=False)


def test_params_of_a_target_rename_drop_and_set_fields() -> None:
    params = {"rename": {"max_tokens": "max_completion_tokens"}, "drop": ["temperature", "seed"], "set": {"think": {}}}
    payload = payload_for(target(params=params), max_tokens=5, temperature=1)
    assert json.loads(payload.body) == {
        "model": "alpha", "messages": QUESTION, "max_completion_tokens": 5, "think": {},
    }  # fmt: skip
    assert payload.dropped == ("temperature",)


def test_dropping_an_advised_temperature_is_not_reported() -> None:
    payload = payload_for(target(params={"drop": ["temperature"]}), Advice(temperature=0.3))
    assert "temperature" not in json.loads(payload.body)
    assert payload.dropped == ()


def test_a_renamed_field_does_not_overwrite_a_field_of_the_client() -> None:
    params = {"rename": {"max_tokens": "max_completion_tokens"}}
    assert sent(target(params=params), max_tokens=5, max_completion_tokens=6)["max_completion_tokens"] == 6
    assert payload_for(target(params=params), max_tokens=5, max_completion_tokens=6).dropped == ("max_tokens",)
    assert sent(target(params=params), max_tokens=5, max_completion_tokens=None)["max_completion_tokens"] == 5
    assert sent(target(params=params)) == {"model": "alpha", "messages": QUESTION}


def calls(*ids: object) -> list[dict[str, Any]]:
    return [{"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for call_id in ids]


def test_the_affinity_is_removed_before_a_request_reaches_a_target() -> None:
    suffix = f"_rr{affinity_of('alpha')}"
    messages = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": calls(f"call_1{suffix}", "call_2")},
        {"role": "tool", "tool_call_id": f"call_1{suffix}", "content": f"not in texts: x{suffix}"},
        {"role": "tool", "tool_call_id": "call_2", "content": "4"},
    ]
    received = sent(messages=messages)["messages"]
    assert [call["id"] for call in received[1]["tool_calls"]] == ["call_1", "call_2"]
    assert [message["tool_call_id"] for message in received[2:]] == ["call_1", "call_2"]
    assert received[2]["content"] == f"not in texts: x{suffix}"


@pytest.mark.parametrize("tool_calls", [None, [], calls(None), calls(7), [{"function": {"name": "_rr"}}]])
def test_invalid_tool_calls_are_passed_on_unchanged(tool_calls: object) -> None:
    messages = [*QUESTION, {"role": "assistant", "content": "x_rr", "tool_calls": tool_calls}]
    assert sent(messages=messages)["messages"] == messages


def with_affinity(choices: Any, name: str = "alpha") -> Any:
    return json.loads(bytes(put_on(Raw(msgspec.json.encode(choices)), name)))


def test_the_affinity_is_six_hex_digits_derived_from_the_targets_name() -> None:
    assert affinity_in(f"call_1_rr{affinity_of('alpha')}") == affinity_of("alpha")
    assert len(affinity_of("alpha")) == 6
    assert int(affinity_of("alpha"), 16) >= 0
    assert affinity_of("alpha") != affinity_of("beta")


@pytest.mark.parametrize("call_id", [None, "", "call_1", "call_rr123", "call_rrzzzzzz", "x_rr123456_more"])
def test_an_id_that_the_router_did_not_write_has_no_affinity(call_id: str | None) -> None:
    assert affinity_in(call_id) is None


@pytest.mark.parametrize("part", ["message", "delta"])
def test_every_tool_call_of_every_choice_gets_the_affinity_and_nothing_else_changes(part: str) -> None:
    choices = [
        {"index": 0, part: {"content": None, "tool_calls": calls("a", "b")}, "logprobs": {"x": 0.5}},
        {"index": 1, part: {"content": "hi", "tool_calls": None}},
        {"index": 2, part: None},
        {"index": 3, part: {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}, *calls(None, "")]}},
    ]
    suffix = f"_rr{affinity_of('alpha')}"
    expected = json.loads(json.dumps(choices))
    expected[0][part]["tool_calls"] = calls("a" + suffix, "b" + suffix)
    assert with_affinity(choices) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=4), st.text(min_size=1, max_size=30))
def test_the_target_receives_any_id_back_unchanged(ids: list[str], name: str) -> None:
    tool_calls = with_affinity([{"message": {"tool_calls": calls(*ids)}}], name)[0]["message"]["tool_calls"]
    answers = [{"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in tool_calls]
    messages = [{"role": "assistant", "tool_calls": tool_calls}, *answers]
    received = sent(messages=messages)["messages"]
    assert [call["id"] for call in received[0]["tool_calls"]] == ids
    assert [message["tool_call_id"] for message in received[1:]] == ids
