"""LangChain works with the router: its standard tests of a chat model, and tests of features that they do not cover."""

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
    """LangChain's standard tests of a chat model, unchanged."""

    chat_model_class = ChatOpenAI
    supports_image_inputs = True
    supports_image_urls = True
    supports_image_tool_message = True
    supports_pdf_inputs = True
    supports_audio_inputs = True
    supports_json_mode = True
    supports_model_override = True
    model_override_value = "beta"
    # Other providers exclude these tests too: PDFs in tool messages, Anthropic's content blocks, recorded answers.
    supports_pdf_tool_message = False
    supports_anthropic_inputs = False
    enable_vcr_tests = False

    @property
    def chat_model_params(self):
        # By default ChatOpenAI requests the usage of a stream only from OpenAI itself.
        return {"model": "router", "api_key": "unused", "stream_usage": True}

    @pytest.fixture(autouse=True)
    def _no_downloads(self, monkeypatch, picture):
        """Replaces the pictures, sounds and PDFs that the standard tests would download with a local picture."""
        content = base64.b64decode(picture.partition(",")[2])
        response = SimpleNamespace(content=content, raise_for_status=lambda: None)
        monkeypatch.setattr(httpx, "get", lambda *_, **__: response)


@pytest.fixture
def model(base_url):
    return ChatOpenAI(model="router", base_url=base_url, api_key="unused", max_retries=0)


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sun in {city}"


def test_a_tool_loop_with_parallel_calls_stays_with_its_target(model, assert_one_target):
    bound = model.bind_tools([weather])
    messages = [HumanMessage('weather {"city": "Rome"} and weather {"city": "Oslo"}')]
    messages.append(bound.invoke(messages))
    messages += [weather.invoke(call) for call in messages[-1].tool_calls]
    assert bound.invoke(messages).content == "The tool said: sun in Rome and sun in Oslo"
    assert_one_target()


def test_a_streamed_tool_loop_stays_with_its_target(model, assert_one_target):
    bound = model.bind_tools([weather])
    messages = [HumanMessage('weather {"city": "Rome"}')]
    first, *more = bound.stream(messages)
    for chunk in more:
        first += chunk
    (call,) = first.tool_calls
    messages += [first, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert "".join(chunk.content for chunk in bound.stream(messages)) == "The tool said: sun in Rome"
    assert_one_target()


def test_pictures_reach_only_targets_that_support_them(model, targets, picture):
    message = HumanMessage(
        [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": picture}}]
    )
    for _ in range(4):
        model.invoke([message])
    assert set(targets.names) == {"alpha", "beta"}


def test_usage_has_the_targets_counts(model):
    usage = model.invoke("Hello there").usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_token_details"]["reasoning"] == 0


def test_an_unknown_model_is_a_not_found_error(base_url):
    with pytest.raises(openai.NotFoundError):
        ChatOpenAI(model="no-such-model", base_url=base_url, api_key="unused").invoke("Hello")


def test_a_bad_request_is_a_bad_request_error(model):
    with pytest.raises(openai.BadRequestError):
        model.invoke("status 400: no")
