"""openai-python works with the router as its users call it."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

QUESTION: list[Any] = [{"role": "user", "content": "Hello there"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def client(base_url):
    with OpenAI(base_url=base_url, api_key="unused", max_retries=0) as connected:
        yield connected


def test_an_answer_has_the_targets_text_and_names_the_target(client, targets):
    answer = client.chat.completions.create(model="router", messages=QUESTION)
    assert answer.choices[0].message.content == "You said: Hello there"
    assert answer.model == "router"
    assert answer.router_metadata["model_used"] == targets.names[-1]
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_has_the_same_text_and_ends_with_the_requested_usage(client):
    chunks = list(
        client.chat.completions.create(
            model="router", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "You said: Hello there"
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_a_stream_has_no_usage_if_it_was_not_requested(client):
    chunks = list(client.chat.completions.create(model="router", messages=QUESTION, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_the_stream_helper_collects_a_complete_answer(client):
    with client.chat.completions.stream(model="router", messages=QUESTION) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        completion = stream.get_final_completion()
    assert text == completion.choices[0].message.content == "You said: Hello there"


@pytest.mark.parametrize("stream", [False, True], ids=["buffered", "streamed"])
def test_a_tool_loop_with_parallel_calls_stays_with_its_target(client, assert_one_target, stream):
    messages = [{"role": "user", "content": 'weather {"city": "Rome"} and weather {"city": "Oslo"}'}]
    if stream:
        with client.chat.completions.stream(model="router", messages=messages, tools=[WEATHER]) as events:
            message = events.get_final_completion().choices[0].message
    else:
        completion = client.chat.completions.create(model="router", messages=messages, tools=[WEATHER])
        message = completion.choices[0].message
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == [{"city": "Rome"}, {"city": "Oslo"}]
    messages.append(message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": f"sun {number}"}
        for number, call in enumerate(message.tool_calls)
    ]
    answer = client.chat.completions.create(model="router", messages=messages, tools=[WEATHER])
    assert answer.choices[0].message.content == "The tool said: sun 0 and sun 1"
    assert_one_target()


def test_a_tool_loop_that_began_at_another_server_keeps_its_ids(client, targets):
    call = {"id": "foreign", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "foreign", "content": "rain"},
    ]
    answer = client.chat.completions.create(model="router", messages=messages, tools=[WEATHER])
    assert answer.choices[0].message.content == "The tool said: rain"
    assert targets.last["messages"] == messages


def test_a_parsed_answer_has_the_users_type(client, targets):
    answer = client.chat.completions.parse(
        model="router", messages=[{"role": "user", "content": '{"name": "Ada", "age": 36}'}], response_format=Person
    )
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36)
    assert targets.last["response_format"]["json_schema"]["strict"] is True
    assert "modest" not in targets.names


def test_an_answer_has_the_requested_choices_and_log_probabilities(client, targets):
    answer = client.chat.completions.create(model="router", messages=QUESTION, n=3, logprobs=True, top_logprobs=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [len(token.top_logprobs) for token in answer.choices[2].logprobs.content] == [2] * 4
    assert "modest" not in targets.names


def test_pictures_reach_the_target_unchanged(client, targets, picture):
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": picture}}]
    answer = client.chat.completions.create(model="router", messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "You said: What is it? [image_url]"
    assert targets.last["messages"][0]["content"] == content
    assert "modest" not in targets.names


def test_earlier_turns_reach_the_target_in_order(client, targets):
    turns = [
        {"role": "system", "content": "Be brief."},
        *QUESTION,
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "And again"},
    ]
    client.chat.completions.create(model="router", messages=turns)
    assert targets.last["messages"] == turns


def test_every_field_reaches_the_target(client, targets):
    fields = {
        "frequency_penalty": -2,
        "logit_bias": {"50256": -100},
        "logprobs": True,
        "max_completion_tokens": 64,
        "metadata": {"foo": "string"},
        "modalities": ["text"],
        "n": 1,
        "parallel_tool_calls": True,
        "prediction": {"type": "content", "content": "string"},
        "presence_penalty": -2,
        "prompt_cache_key": "prompt-cache-key-1234",
        "reasoning_effort": "low",
        "response_format": {"type": "text"},
        "safety_identifier": "safety-identifier-1234",
        "seed": -9007199254740991,
        "service_tier": "auto",
        "stop": "\n",
        "store": False,
        "temperature": 1,
        "tool_choice": "none",
        "tools": [WEATHER],
        "top_logprobs": 0,
        "top_p": 1,
        "user": "user-1234",
        "verbosity": "low",
        "web_search_options": {"search_context_size": "low"},
        "extra_body": {"a_field_of_next_year": [1, None]},
    }
    client.chat.completions.create(model="router", messages=QUESTION, **fields)
    sent = {**fields, **fields["extra_body"], "messages": QUESTION}
    sent.pop("extra_body")
    assert {name: value for name, value in targets.last.items() if name != "model"} == sent


def test_an_unknown_model_is_a_not_found_error(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="no-such-model", messages=QUESTION)
    assert raised.value.code == "model_not_found"


def test_an_invalid_request_is_a_bad_request_error_that_names_the_field(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="router", messages=[])
    assert raised.value.param == "messages"


@pytest.mark.parametrize("stream", [False, True], ids=["buffered", "streamed"])
def test_an_error_of_a_target_reaches_the_client(client, stream):
    with pytest.raises(openai.UnprocessableEntityError, match="too silly"):
        client.chat.completions.create(
            model="router", messages=[{"role": "user", "content": "status 422: too silly"}], stream=stream
        )


def test_the_list_of_models_has_the_router_and_its_targets(client):
    names = [model.id for model in client.models.list()]
    assert {"router", "router-tool-rl", "alpha", "beta", "modest"} <= set(names)
    assert [client.models.retrieve(name).id for name in names] == names
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_a_model_name_of_a_target_pins_the_target(client, targets):
    for name in ("alpha", "beta", "modest"):
        answer = client.chat.completions.create(model=name, messages=QUESTION)
        assert (answer.model, answer.router_metadata["routing_strategy"]) == (name, "pinned")
    assert targets.names == ["alpha", "beta", "modest"]


async def test_the_asynchronous_client_works(base_url):
    async with AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0) as client:
        answer = await client.chat.completions.create(model="router", messages=QUESTION)
        stream = await client.chat.completions.create(model="router", messages=QUESTION, stream=True)
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert answer.choices[0].message.content == "".join(texts) == "You said: Hello there"
