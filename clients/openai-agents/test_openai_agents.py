"""openai-agents works over chat completions: tools, handoffs, types and streams."""

from __future__ import annotations

import openai
import pytest
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from pydantic import BaseModel

set_tracing_disabled(True)


class Person(BaseModel):
    name: str
    age: int


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sun in {city}"


@pytest.fixture
async def agent(base_url):
    async with openai.AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0) as client:

        def create(name="Helper", model="router", **fields):
            return Agent(name=name, model=OpenAIChatCompletionsModel(model, client), **fields)

        yield create


async def test_an_agent_answers_and_reports_its_usage(agent):
    result = await Runner.run(agent(), "Hello there")
    assert result.final_output == "You said: Hello there"
    assert result.context_wrapper.usage.total_tokens > 0


async def test_a_streamed_run_has_the_same_text_and_reports_its_usage(agent):
    result = Runner.run_streamed(agent(model_settings=ModelSettings(include_usage=True)), "Hello there")
    texts = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(texts) == result.final_output == "You said: Hello there"
    assert result.context_wrapper.usage.total_tokens > 0


async def test_a_tool_loop_with_parallel_calls_stays_with_its_target(agent, assert_one_target):
    question = 'weather {"city": "Rome"} and weather {"city": "Oslo"}'
    result = await Runner.run(agent(tools=[weather]), question)
    assert result.final_output == "The tool said: sun in Rome and sun in Oslo"
    assert_one_target()


async def test_a_streamed_tool_loop_stays_with_its_target(agent, assert_one_target):
    result = Runner.run_streamed(agent(tools=[weather]), 'weather {"city": "Rome"}')
    async for _ in result.stream_events():
        pass
    assert result.final_output == "The tool said: sun in Rome"
    assert_one_target()


async def test_an_agent_hands_over_to_another_agent(agent, assert_one_target):
    poet = agent("Poet", instructions="You are a poet.")
    result = await Runner.run(agent(handoffs=[poet]), "transfer_to_poet {}")
    assert result.last_agent.name == "Poet"
    assert result.final_output.startswith("The tool said: ")
    assert_one_target()


async def test_an_output_has_the_users_type(agent):
    result = await Runner.run(agent(output_type=Person), '{"name": "Ada", "age": 36}')
    assert result.final_output == Person(name="Ada", age=36)


async def test_a_continued_conversation_sends_its_earlier_turns(agent, targets):
    first = await Runner.run(agent(), "Hello there")
    await Runner.run(agent(), [*first.to_input_list(), {"role": "user", "content": "And again"}])
    assert [message["role"] for message in targets.last["messages"]] == ["user", "assistant", "user"]


async def test_an_unknown_model_is_a_not_found_error(agent):
    with pytest.raises(openai.NotFoundError):
        await Runner.run(agent(model="no-such-model"), "Hello")


async def test_a_bad_request_is_a_bad_request_error(agent):
    with pytest.raises(openai.BadRequestError, match="too silly"):
        await Runner.run(agent(), "status 400: too silly")
