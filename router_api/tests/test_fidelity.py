"""Requests reach the target, and answers reach the client, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fakes.testbed.responses import events
from fakes.testbed.router import Setup, Testbed
from fakes.upstreams.answers import in_turn, stream, whole
from fakes.upstreams.bodies import chunk, completion, decision, select
from fakes.upstreams.exchange import Body

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}
MESSAGES: list[Body] = [
    {"role": "developer", "content": "Be brief.", "name": "boss"},
    {"role": "system", "content": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "name": "ada", "content": [
        {"type": "text", "text": "été \U0001f600 \"quoted\" \\ \n"}, IMAGE,
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "file", "file": {"file_data": "JVBERi0=", "filename": "a.pdf"}},
        {"type": "something_new", "payload": {"deep": [1.0, None]}},
    ]},
    {"role": "assistant", "content": None, "refusal": None, "audio": {"id": "audio_1"}, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{\"zone\": \"CET\" }"}},
        {"id": "call_2", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
        {"id": "call_3", "type": "custom", "custom": {"name": "sql", "input": "select 1"}},
    ]},
    {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "one"}]},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    {"role": "function", "name": "old", "content": "result"},
    {"role": "user", "content": "And now?", "x_unknown": {"kept": True}},
]  # fmt: skip
SCHEMA = {"type": "object", "properties": {"n": {"type": "number", "minimum": 1.0}}, "required": ["n"]}
FIELDS: Body = {
    "audio": {"voice": "alloy", "format": "mp3"},
    "frequency_penalty": 0.5,
    "function_call": "auto",
    "functions": [{"name": "old", "parameters": SCHEMA}],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 100,
    "max_tokens": 100,
    "metadata": {"team": "seven"},
    "modalities": ["text", "audio"],
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "def f(): ..."},
    "presence_penalty": -0.5,
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}},
    "safety_identifier": "u1",
    "seed": 7,
    "service_tier": "auto",
    "stop": ["\n\n", "END"],
    "store": False,
    "temperature": 0.7,
    "tool_choice": {"type": "function", "function": {"name": "clock"}},
    "tools": [{"type": "function", "function": {"name": "clock", "strict": True, "parameters": SCHEMA}},
              {"type": "custom", "custom": {"name": "sql"}}],
    "top_logprobs": 3,
    "top_p": 0.9,
    "user": "u1",
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
    "x_unknown": {"nested": [None, True, {"": ""}]},
    "chat_template_kwargs": {"enable_thinking": False},
}  # fmt: skip
NUMBERS = [
    "1.0",
    "1e2",
    "1E+2",
    "-0.0",
    "123456789012345678901234567890",
    "0.1000",
    "1e-7",
    "3.141592653589793238462643",
]


def raw_fields(body: bytes) -> dict[str, str]:
    """Returns the body's top-level fields as JSON in which numbers are written as in the body."""
    return {name: json.dumps(value) for name, value in as_written(body).items()}


def as_written(body: bytes) -> dict[str, Any]:
    """Returns parsed JSON in which every number is its text behind a `#`."""
    return dict(json.loads(body, parse_float=lambda text: f"#{text}", parse_int=lambda text: f"#{text}"))


async def send(setup: Setup, body: bytes) -> bytes:
    response = await setup.client.post(
        "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 200, response.text
    return response.content


def request(**fields: Any) -> bytes:
    return json.dumps({"model": "router", "messages": MESSAGES, **fields}).encode()


@pytest.mark.parametrize("name", FIELDS)
async def test_each_field_reaches_the_target_unchanged(testbed: Testbed, name: str) -> None:
    setup = await testbed.start(in_turn(decision("call_alpha"), select("alpha")), None, None)
    body = request(**{name: FIELDS[name]})
    await send(setup, body)
    (received,) = setup.alpha.requests
    assert raw_fields(received.raw) == raw_fields(body) | {"model": '"alpha"'}


async def test_all_fields_at_once_reach_the_target_unchanged(testbed: Testbed) -> None:
    setup = await testbed.start(in_turn(decision("call_alpha"), select("alpha")), None, None)
    body = request(**FIELDS)
    await send(setup, body)
    assert raw_fields(setup.alpha.requests[0].raw) == raw_fields(body) | {"model": '"alpha"'}


async def test_in_a_stream_only_the_usage_is_requested_in_addition(testbed: Testbed) -> None:
    setup = await testbed.start(None, stream([chunk({"content": "a"}, index=0), chunk({}, "stop")]), None)
    fields = FIELDS | {"n": 1, "stream": True, "stream_options": {"include_obfuscation": False, "x": 1.0}}
    body = request(**fields)
    await send(setup, body)
    expected = as_written(body) | {"model": "alpha"}
    expected["stream_options"] = {**expected["stream_options"], "include_usage": True}
    assert as_written(setup.alpha.requests[0].raw) == expected


async def test_the_target_receives_the_bytes_of_the_clients_messages(testbed: Testbed) -> None:
    messages = '[ {"role" : "user",\t"content":"\\u00e9 \\/ é", "weight": 1.0 } ]'
    setup = await testbed.start(None, None, None)
    await send(setup, f'{{"model":"router", "messages": {messages}}}'.encode())
    assert messages.encode() in setup.alpha.requests[0].raw


@pytest.mark.parametrize("number", NUMBERS)
async def test_numbers_are_not_rewritten(testbed: Testbed, number: str) -> None:
    answer = json.dumps(completion())[:-1] + f', "x_number": {number}, "x_deep": [{{"n": {number}}}]}}'
    setup = await testbed.start(None, whole(answer.encode()), None)
    sent = json.dumps({"model": "router", "messages": MESSAGES[-1:]})[:-1] + f', "x": {number}, "y": [{number}]}}'
    data = await send(setup, sent.encode())
    received = as_written(setup.alpha.requests[0].raw)
    assert (received["x"], received["y"]) == (f"#{number}", [f"#{number}"])
    returned = as_written(data)
    assert (returned["x_number"], returned["x_deep"]) == (f"#{number}", [{"n": f"#{number}"}])


@pytest.mark.parametrize("number", NUMBERS)
async def test_numbers_in_a_stream_are_not_rewritten(testbed: Testbed, number: str) -> None:
    first = json.dumps(chunk({"content": "a"}))[:-1] + f', "x_number": {number}}}'
    setup = await testbed.start(None, stream([first.encode(), chunk({}, "stop")]), None)
    data = await send(setup, request(stream=True))
    assert f'"x_number": {number}}}'.encode() in data


async def test_numbers_in_messages_with_an_affinity_are_not_rewritten(testbed: Testbed) -> None:
    tool_call = '{"id":"call_1_rr123456","type":"function","function":{"name":"f","arguments":"{}"},"w":1.0}'
    messages = f'[{{"role":"user","content":"x"}},{{"role":"assistant","tool_calls":[{tool_call}],"big":1e2}}]'
    setup = await testbed.start(None, None, None)
    await send(setup, f'{{"model":"router","messages":{messages}}}'.encode())
    received = as_written(setup.alpha.requests[0].raw)["messages"][1]
    assert received["tool_calls"][0] == as_written(tool_call.encode()) | {"id": "call_1"}
    assert received["big"] == "#1e2"


ANSWER: Body = {
    "id": "chatcmpl-9", "object": "chat.completion", "created": 1700000000, "model": "upstream-model",
    "choices": [
        {"index": 0, "finish_reason": "stop", "content_filter_results": {"hate": {"filtered": False}},
         "message": {"role": "assistant", "content": "<think>kept</think> été", "refusal": None,
                     "annotations": [{"type": "url_citation"}], "reasoning_content": "kept", "audio": {"id": "a"}},
         "logprobs": {"content": [{"token": "x", "logprob": -0.0, "bytes": [120], "top_logprobs": []}]}},
        {"index": 1, "finish_reason": "length", "message": {"role": "assistant", "content": "second"}},
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": 0.5,
              "completion_tokens_details": {"reasoning_tokens": 2}},
    "service_tier": "default", "system_fingerprint": "fp_1", "x_unknown": [1.0, {"a": None}],
}  # fmt: skip


@pytest.mark.parametrize("model", ["router", "alpha"])
async def test_an_answer_is_returned_as_the_target_sent_it(testbed: Testbed, model: str) -> None:
    setup = await testbed.start(None, whole(ANSWER), None)
    data = await send(setup, request(model=model, n=2))
    returned = as_written(data)
    returned.pop("router_metadata")
    assert returned == as_written(json.dumps(ANSWER).encode()) | {"model": model}


async def test_only_the_ids_of_tool_calls_in_an_answer_are_changed(testbed: Testbed) -> None:
    calls = [{"id": f"call_{number}", "type": "function", "index": number, "x": 1.0,
              "function": {"name": "clock", "arguments": "{\"zone\": 1.0 }"}} for number in range(3)]  # fmt: skip
    answer = completion(None, message={"tool_calls": calls})
    setup = await testbed.start(None, whole(answer), None)
    returned = json.loads(await send(setup, request(tools=FIELDS["tools"])))["choices"][0]["message"]["tool_calls"]
    assert [{**each, "id": each["id"][:-9]} for each in returned] == calls
    assert {each["id"][-9:-6] for each in returned} == {"_rr"}


async def test_the_chunks_of_a_stream_keep_their_unknown_fields(testbed: Testbed) -> None:
    pieces = [
        {**chunk({"role": "assistant", "reasoning_content": "hm", "x": [1.0]}), "service_tier": "default"},
        {**chunk({"content": "a"}), "obfuscation": "xyz"},
        {**chunk({}, "stop"), "system_fingerprint": "fp_1"},
    ]
    setup = await testbed.start(None, stream(pieces), None)
    received = events(await send(setup, request(model="router", stream=True)))
    assert received.pop() == "[DONE]"
    received[-1].pop("router_metadata")
    assert received == json.loads(json.dumps([{**piece, "model": "router"} for piece in pieces]))


@pytest.mark.parametrize("body", [b'{"model":"router","messages":[{"role":"user","content":"x"}],"seed":1,"seed":2}'])
async def test_a_duplicate_field_reaches_the_target_once(testbed: Testbed, body: bytes) -> None:
    setup = await testbed.start(None, None, None)
    await send(setup, body)
    assert setup.alpha.requests[0].raw.count(b'"seed"') == 1
