"""LangChain: its standard tests of a chat model, and what they do not ask."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import httpx
import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestStandard(ChatModelIntegrationTests):
    """LangChain's own tests, unchanged."""

    chat_model_class = ChatOpenAI
    supports_image_inputs = True
    supports_image_urls = True
    supports_image_tool_message = True
    supports_pdf_inputs = True
    supports_audio_inputs = True
    supports_json_mode = True
    supports_model_override = True
    model_override_value = "beta"
    # Left out, as they are of other providers: PDFs in tool messages, Anthropic's content blocks, recorded answers.
    supports_pdf_tool_message = False
    supports_anthropic_inputs = False
    enable_vcr_tests = False

    @property
    def chat_model_params(self):
        # Left to itself ChatOpenAI asks for a stream's usage at OpenAI alone.
        return {"model": "router", "api_key": "unused", "stream_usage": True}

    @pytest.fixture(autouse=True)
    def _no_downloads(self, monkeypatch, picture):
        """Their tests load pictures, sounds and papers from the web before they ask; one of ours stands in."""
        content = base64.b64decode(picture.partition(",")[2])
        downloaded = SimpleNamespace(content=content, raise_for_status=lambda: None)
        monkeypatch.setattr(httpx, "get", lambda *_, **__: downloaded)


@pytest.fixture
def model(base_url):
    return ChatOpenAI(model="router", base_url=base_url, api_key="unused", max_retries=0)


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sun in {city}"


def test_a_tool_loop_with_parallel_calls_stays_with_its_target(model, is_one_loop):
    bound = model.bind_tools([weather])
    messages = [HumanMessage('weather {"city": "Rome"} and weather {"city": "Oslo"}')]
    messages.append(bound.invoke(messages))
    messages += [weather.invoke(call) for call in messages[-1].tool_calls]
    assert bound.invoke(messages).content == "The tool said: sun in Rome and sun in Oslo"
    is_one_loop()


def test_a_loop_of_streams_stays_with_its_target(model, is_one_loop):
    bound = model.bind_tools([weather])
    messages = [HumanMessage('weather {"city": "Rome"}')]
    first, *more = bound.stream(messages)
    for chunk in more:
        first += chunk
    (call,) = first.tool_calls
    messages += [first, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert "".join(chunk.content for chunk in bound.stream(messages)) == "The tool said: sun in Rome"
    is_one_loop()


def test_pictures_and_schemas_reach_targets_that_can_read_them(model, targets, picture):
    shown = HumanMessage(
        [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": picture}}]
    )
    for _ in range(4):
        model.invoke([shown])
    assert set(targets.names) == {"alpha", "beta"}


def test_usage_is_what_the_target_reported(model):
    used = model.invoke("Hello there").usage_metadata
    assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"]
    assert used["output_token_details"]["reasoning"] == 0


def test_an_unknown_model_is_a_not_found_error(base_url):
    with pytest.raises(openai.NotFoundError):
        ChatOpenAI(model="no-such-model", base_url=base_url, api_key="unused").invoke("Hello")


def test_a_bad_request_is_a_bad_request_error(model):
    with pytest.raises(openai.BadRequestError):
        model.invoke("status 400: no")
