"""LiteLLM's client, with the router as an OpenAI-compatible provider."""

from __future__ import annotations

import json
from typing import Any

import litellm
import pytest
from pydantic import BaseModel

QUESTION = [{"role": "user", "content": "Hello there"}]
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def ask(base_url):
    def asked(messages, model="openai/router", **fields):
        return litellm.completion(model=model, messages=messages, api_base=base_url, api_key="unused", **fields)

    return asked


def test_a_question_gets_the_targets_answer_and_its_usage(ask):
    answer = ask(QUESTION)
    assert answer.choices[0].message.content == "You said: Hello there"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_the_same_and_ends_with_its_usage(ask):
    chunks = list(ask(QUESTION, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "You said: Hello there"
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_tool_loop_with_parallel_calls_stays_with_its_target(ask, is_one_loop, stream):
    messages = [{"role": "user", "content": 'weather {"city": "Rome"} and weather {"city": "Oslo"}'}]
    asked = ask(messages, tools=[WEATHER], stream=stream)
    message = (litellm.stream_chunk_builder(list(asked)) if stream else asked).choices[0].message
    cities = [json.loads(call.function.arguments)["city"] for call in message.tool_calls]
    assert cities == ["Rome", "Oslo"]
    messages.append(message.model_dump())
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": f"sun in {city}"}
        for call, city in zip(message.tool_calls, cities, strict=True)
    ]
    assert ask(messages, tools=[WEATHER]).choices[0].message.content == "The tool said: sun in Rome and sun in Oslo"
    is_one_loop()


def test_a_schema_shapes_the_answer(ask, targets):
    answer = ask([{"role": "user", "content": '{"name": "Ada", "age": 36}'}], response_format=Person)
    assert Person.model_validate_json(answer.choices[0].message.content) == Person(name="Ada", age=36)
    assert targets.last["response_format"]["type"] == "json_schema"


def test_several_choices_come_back(ask):
    assert [choice.index for choice in ask(QUESTION, n=2).choices] == [0, 1]


def test_earlier_turns_reach_the_target_in_order(ask, targets):
    turns = [*QUESTION, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "And again"}]
    ask(turns)
    assert targets.last["messages"] == turns


async def test_the_asynchronous_call_does_the_same(base_url):
    answer = await litellm.acompletion("openai/router", QUESTION, api_base=base_url, api_key="unused")
    assert answer.choices[0].message.content == "You said: Hello there"


def test_an_unknown_model_is_a_not_found_error(ask):
    with pytest.raises(litellm.NotFoundError):
        ask(QUESTION, model="openai/no-such-model")


def test_a_bad_request_is_a_bad_request_error(ask):
    with pytest.raises(litellm.BadRequestError, match="too silly"):
        ask([{"role": "user", "content": "status 400: too silly"}])


def test_the_router_is_listed_by_its_valid_models(base_url):
    listed = litellm.get_valid_models(
        check_provider_endpoint=True, custom_llm_provider="openai", api_base=base_url, api_key="unused"
    )
    assert "openai/router" in listed or "router" in listed
