"""openai-agents over chat completions: tools, handoffs, types and streams."""

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

        def made(name="Helper", model="router", **fields):
            return Agent(name=name, model=OpenAIChatCompletionsModel(model, client), **fields)

        yield made


async def test_an_agent_answers_and_counts_what_it_used(agent):
    result = await Runner.run(agent(), "Hello there")
    assert result.final_output == "You said: Hello there"
    assert result.context_wrapper.usage.total_tokens > 0


async def test_a_streamed_run_says_the_same_and_knows_its_usage(agent):
    result = Runner.run_streamed(agent(model_settings=ModelSettings(include_usage=True)), "Hello there")
    said = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(said) == result.final_output == "You said: Hello there"
    assert result.context_wrapper.usage.total_tokens > 0


async def test_a_tool_loop_with_parallel_calls_stays_with_its_target(agent, is_one_loop):
    question = 'weather {"city": "Rome"} and weather {"city": "Oslo"}'
    result = await Runner.run(agent(tools=[weather]), question)
    assert result.final_output == "The tool said: sun in Rome and sun in Oslo"
    is_one_loop()


async def test_a_streamed_tool_loop_stays_with_its_target(agent, is_one_loop):
    result = Runner.run_streamed(agent(tools=[weather]), 'weather {"city": "Rome"}')
    async for _ in result.stream_events():
        pass
    assert result.final_output == "The tool said: sun in Rome"
    is_one_loop()


async def test_an_agent_hands_over_to_another(agent, is_one_loop):
    poet = agent("Poet", instructions="You are a poet.")
    result = await Runner.run(agent(handoffs=[poet]), "transfer_to_poet {}")
    assert result.last_agent.name == "Poet"
    assert result.final_output.startswith("The tool said: ")
    is_one_loop()


async def test_an_output_is_the_users_own_type(agent):
    result = await Runner.run(agent(output_type=Person), '{"name": "Ada", "age": 36}')
    assert result.final_output == Person(name="Ada", age=36)


async def test_a_conversation_goes_on(agent, targets):
    first = await Runner.run(agent(), "Hello there")
    await Runner.run(agent(), [*first.to_input_list(), {"role": "user", "content": "And again"}])
    assert [each["role"] for each in targets.last["messages"]] == ["user", "assistant", "user"]


async def test_an_unknown_model_is_a_not_found_error(agent):
    with pytest.raises(openai.NotFoundError):
        await Runner.run(agent(model="no-such-model"), "Hello")


async def test_a_bad_request_is_a_bad_request_error(agent):
    with pytest.raises(openai.BadRequestError, match="too silly"):
        await Runner.run(agent(), "status 400: too silly")
