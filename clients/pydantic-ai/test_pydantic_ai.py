"""pydantic-ai's agents work with tools, types and streams."""

from __future__ import annotations

import base64

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelHTTPError, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def model(base_url):
    return OpenAIChatModel("router", provider=OpenAIProvider(base_url=base_url, api_key="unused"))


def with_weather(model):
    agent = Agent(model)

    @agent.tool_plain
    def weather(city: str) -> str:
        return f"sun in {city}"

    return agent


async def test_an_agent_answers_and_reports_its_usage(model):
    result = await Agent(model).run("Hello there")
    assert result.output == "You said: Hello there"
    assert result.usage.input_tokens > 0
    assert result.usage.output_tokens > 0


async def test_a_streamed_answer_has_the_same_text_and_reports_its_usage(model):
    async with Agent(model).run_stream("Hello there") as result:
        texts = [text async for text in result.stream_text(delta=True)]
        assert "".join(texts) == "You said: Hello there"
        assert result.usage.output_tokens > 0


async def test_a_tool_loop_with_parallel_calls_stays_with_its_target(model, assert_one_target):
    result = await with_weather(model).run('weather {"city": "Rome"} and weather {"city": "Oslo"}')
    assert result.output == "The tool said: sun in Rome and sun in Oslo"
    assert_one_target()


async def test_a_streamed_tool_loop_stays_with_its_target(model, assert_one_target):
    async with with_weather(model).run_stream('weather {"city": "Rome"}') as result:
        assert await result.get_output() == "The tool said: sun in Rome"
    assert_one_target()


@pytest.mark.parametrize("output", [ToolOutput, NativeOutput])
async def test_an_output_is_the_users_type(model, output):
    result = await Agent(model, output_type=output(Person)).run('{"name": "Ada", "age": 36}')
    assert result.output == Person(name="Ada", age=36)


async def test_a_continued_conversation_sends_its_earlier_turns(model, targets):
    agent = Agent(model, instructions="Be brief.")
    first = await agent.run("Hello there")
    await agent.run("And again", message_history=first.all_messages())
    assert [message["role"] for message in targets.last["messages"]] == ["system", "user", "assistant", "user"]
    assert targets.last["messages"][2]["content"] == "You said: Hello there"


async def test_a_picture_reaches_the_target_unchanged(model, targets, picture):
    content = BinaryContent(base64.b64decode(picture.partition(",")[2]), media_type="image/png")
    await Agent(model).run(["What is it?", content])
    assert targets.last["messages"][0]["content"][1]["image_url"]["url"] == picture


async def test_an_unknown_model_is_a_404(base_url):
    model = OpenAIChatModel("no-such-model", provider=OpenAIProvider(base_url=base_url, api_key="unused"))
    with pytest.raises(ModelHTTPError) as raised:
        await Agent(model).run("Hello")
    assert (raised.value.status_code, raised.value.body["code"]) == (404, "model_not_found")


async def test_a_bad_request_is_a_400(model):
    with pytest.raises(ModelHTTPError, match="too silly") as raised:
        await Agent(model).run("status 400: too silly")
    assert raised.value.status_code == 400
