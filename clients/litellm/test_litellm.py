"""LiteLLM's client works with the router as an OpenAI-compatible provider."""

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
def complete(base_url):
    def completion(messages, model="openai/router", **fields):
        return litellm.completion(model=model, messages=messages, api_base=base_url, api_key="unused", **fields)

    return completion


def test_an_answer_has_the_targets_text_and_usage(complete):
    answer = complete(QUESTION)
    assert answer.choices[0].message.content == "You said: Hello there"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_has_the_same_text_and_ends_with_its_usage(complete):
    chunks = list(complete(QUESTION, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "You said: Hello there"
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize("stream", [False, True], ids=["buffered", "streamed"])
def test_a_tool_loop_with_parallel_calls_stays_with_its_target(complete, assert_one_target, stream):
    messages = [{"role": "user", "content": 'weather {"city": "Rome"} and weather {"city": "Oslo"}'}]
    response = complete(messages, tools=[WEATHER], stream=stream)
    message = (litellm.stream_chunk_builder(list(response)) if stream else response).choices[0].message
    cities = [json.loads(call.function.arguments)["city"] for call in message.tool_calls]
    assert cities == ["Rome", "Oslo"]
    messages.append(message.model_dump())
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": f"sun in {city}"}
        for call, city in zip(message.tool_calls, cities, strict=True)
    ]
    assert (
        complete(messages, tools=[WEATHER]).choices[0].message.content == "The tool said: sun in Rome and sun in Oslo"
    )
    assert_one_target()


def test_an_answer_is_valid_under_the_schema(complete, targets):
    answer = complete([{"role": "user", "content": '{"name": "Ada", "age": 36}'}], response_format=Person)
    assert Person.model_validate_json(answer.choices[0].message.content) == Person(name="Ada", age=36)
    assert targets.last["response_format"]["type"] == "json_schema"


def test_an_answer_has_the_requested_number_of_choices(complete):
    assert [choice.index for choice in complete(QUESTION, n=2).choices] == [0, 1]


def test_earlier_turns_reach_the_target_in_order(complete, targets):
    turns = [*QUESTION, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "And again"}]
    complete(turns)
    assert targets.last["messages"] == turns


async def test_the_asynchronous_call_works(base_url):
    answer = await litellm.acompletion("openai/router", QUESTION, api_base=base_url, api_key="unused")
    assert answer.choices[0].message.content == "You said: Hello there"


def test_an_unknown_model_is_a_not_found_error(complete):
    with pytest.raises(litellm.NotFoundError):
        complete(QUESTION, model="openai/no-such-model")


def test_a_bad_request_is_a_bad_request_error(complete):
    with pytest.raises(litellm.BadRequestError, match="too silly"):
        complete([{"role": "user", "content": "status 400: too silly"}])


def test_the_valid_models_include_the_router(base_url):
    models = litellm.get_valid_models(
        check_provider_endpoint=True, custom_llm_provider="openai", api_base=base_url, api_key="unused"
    )
    assert "openai/router" in models or "router" in models
