"""Servers that ignore `stream`: a complete answer becomes a stream, and a stream a complete answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.dialects.chat.read_answer import read_answer, read_chunks
from rl_router_api.dialects.chat.reshape import chunks_of, whole_of

from fakes.testbed.json_values import json_values
from fakes.testbed.responses import history, streamed_text
from fakes.testbed.router import Testbed
from fakes.upstreams.answers import stream, whole
from fakes.upstreams.bodies import chunk, chunks, completion, encoded, event, usage
from fakes.upstreams.exchange import Exchange
from fakes.upstreams.faults import cut_after

CALL = {
    "id": "1",
    "type": "function",
    "function": {"name": "f", "arguments": '{"x":1}'},
    "extra": {"sig": "AbC=="},
}
MESSAGES: list[dict[str, Any]] = [
    {"role": "assistant", "content": "4"},
    {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "2"}]},
    {"role": "assistant", "content": "", "refusal": "No.", "reasoning_content": "hm", "annotations": [{"url": "x"}]},
    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
]


def answer_of(messages: list[Any], **fields: Any) -> dict[str, Any]:
    choices = [
        {"index": index, "finish_reason": "stop", "logprobs": {"content": [{"token": "a"}]}, "message": message}
        for index, message in enumerate(messages)
    ]
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", **fields, "choices": choices}


def reshaped(body: dict[str, Any]) -> dict[str, Any]:
    """Returns a complete answer after it was converted to chunks and back."""
    answer = whole_of(chunks_of(read_answer(json.dumps(body).encode())))
    return {name: json.loads(bytes(raw)) for name, raw in answer.fields.items()}


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize(
    "fields", [{}, {"usage": {"prompt_tokens": 1, "completion_tokens": 2}, "service_tier": "flex"}]
)
def test_an_answer_survives_the_way_to_a_stream_and_back(message: Any, fields: dict[str, Any]) -> None:
    body = answer_of([message], **fields)
    assert reshaped(body) == body
    both = answer_of([message, MESSAGES[0]], **fields)
    assert reshaped(both) == both


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["content", "tool_calls", "refusal", "audio", "name"]), json_values()),
    json_values(),
)
def test_any_answer_with_a_message_can_be_streamed(message: Any, extra: Any) -> None:
    read = chunks_of(read_answer(json.dumps(answer_of([message], x=extra)).encode()))
    assert [chunk.finished for chunk in read] == [[0]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["content", "tool_calls", "role", "x"]), json_values()), min_size=1))
def test_any_chunks_with_deltas_can_be_assembled(deltas: list[Any]) -> None:
    events = [json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() for delta in deltas]
    assert whole_of(list(read_chunks(events))).choices[0].index == 0


@pytest.mark.parametrize("blank", [b"", b"\n  \n", b"\xef\xbb\xbf"])
async def test_a_complete_answer_to_a_streamed_request_is_streamed(testbed: Testbed, blank: bytes) -> None:
    body = blank + encoded(completion("4", used=usage(10, 5)))
    setup = await testbed.start(None, whole(body), None)
    received = await setup.stream(model="alpha", stream_options={"include_usage": True})
    assert (streamed_text(received), received[-1]) == ("4", "[DONE]")
    entry = received[-2]["router_metadata"]["call_history"][0]
    assert (entry["status"], entry["tokens_used"]) == ("ok", 15)
    assert "estimated" not in entry


async def test_a_stream_in_answer_to_a_request_without_streaming_is_assembled(testbed: Testbed) -> None:
    setup = await testbed.start(None, stream([{"type": "ping"}, *chunks("4", "2", used=usage(10, 5))]), None)
    body = await setup.answer(model="alpha")
    assert body["choices"][0]["message"]["content"] == "42"
    assert body["object"] == "chat.completion"
    entry = body["router_metadata"]["call_history"][0]
    assert (entry["response"], entry["tokens_used"]) == ("42", 15)


async def test_tool_calls_of_an_assembled_stream_carry_the_affinity(testbed: Testbed) -> None:
    setup = await testbed.start(
        None, stream([chunk({"tool_calls": [{"index": 0, **CALL}]}, finish="tool_calls")]), None
    )
    body = await setup.answer(model="alpha")
    (call,) = body["choices"][0]["message"]["tool_calls"]
    assert call["id"].startswith("1_rr")
    assert call["extra"] == CALL["extra"]


async def test_a_truncated_stream_is_no_complete_answer(testbed: Testbed) -> None:
    setup = await testbed.start(None, cut_after([chunk({"content": "4"})], Exchange.end), None)
    response = await setup.send(model="alpha")
    assert response.status_code == 502
    assert history(response.json()) == [("alpha", "error")]


async def test_an_error_event_instead_of_a_complete_answer_leads_to_another_target(testbed: Testbed) -> None:
    error = event({"error": {"message": "overloaded"}})

    async def fails(exchange: Exchange) -> None:
        await exchange.head("text/event-stream")
        await exchange.piece(error)
        await exchange.end()

    setup = await testbed.start(None, fails, None)
    body = await setup.answer()
    assert [status for _, status in history(body["router_metadata"])] == ["error", "ok"]
