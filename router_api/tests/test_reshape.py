"""Servers that ignore `stream`: a complete answer becomes a stream, and a stream a complete answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.conversation.answer import assemble, text_of
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


def assembled(*choices: Any) -> Any:
    """Returns the complete answer that chunks with one choice each form."""
    return whole_of(list(read_chunks([json.dumps({"id": "c", "choices": [choice]}).encode() for choice in choices])))


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": 0, "delta": fields, "finish_reason": finish}


def message(**fields: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", **fields}, "finish_reason": "stop"}


THINKING = {"type": "thinking", "thinking": "hm"}
IMAGE = {"type": "image_url", "image_url": {"url": "u"}}


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("choices", "content"),
    [
        ([message(content="A1")], "A1"),
        ([message(content="A1"), message(content="A2")], "A1A2"),
        ([message(content=[text_part("A1")])], [text_part("A1")]),
        ([delta(role="assistant", content=""), message(content="A1")], "A1"),
        ([delta(content="A"), delta(content="1"), message(content="A1")], "A1"),
        ([delta(content="A"), delta(content=""), delta(content=None)], "A"),
        ([delta(content=[THINKING]), delta(content="4"), delta(content="2")], [THINKING, text_part("42")]),
        ([delta(content=[text_part("4")]), delta(content="2"), delta(content="")], [text_part("42")]),
        ([delta(content="4"), delta(content=[IMAGE])], [text_part("4"), IMAGE]),
        ([delta(content=IMAGE), delta(content="4"), delta(content=[])], [IMAGE, text_part("4")]),
        ([delta(content=[{"type": "text", "text": None}]), delta(content="4")],
         [{"type": "text", "text": None}, text_part("4")]),
        ([delta(content=""), delta(content=[THINKING])], [THINKING]),
    ],
)  # fmt: skip
def test_no_piece_of_the_content_is_lost_or_repeated(choices: list[Any], content: Any) -> None:
    answer = assembled(*choices)
    assert json.loads(bytes(answer.fields["choices"]))[0]["message"] == {"role": "assistant", "content": content}


def test_the_tool_calls_of_a_message_after_empty_deltas_are_kept() -> None:
    choice = json.loads(bytes(assembled(delta(content="x"), message(tool_calls=[CALL])).fields["choices"]))[0]
    assert choice["message"] == {"role": "assistant", "content": "x", "tool_calls": [CALL]}


def test_a_repeated_tool_call_is_kept_once() -> None:
    whole = {"index": 0, **CALL}
    begun = {**whole, "function": {"name": "f", "arguments": '{"x"'}}
    rest = {"index": 0, "function": {"arguments": ":1}"}, "extra": {}}
    for calls in ([whole, whole], [begun, rest, whole]):
        answer = assembled(*[delta(tool_calls=[call]) for call in calls])
        assert json.loads(bytes(answer.fields["choices"]))[0]["message"]["tool_calls"] == [CALL]


@pytest.mark.parametrize("name", ["native_finish_reason", "stop_reason", "finish_reason"])
def test_a_repeated_reason_is_kept_once(name: str) -> None:
    choices = [delta(content="4"), {**delta(), name: "end_turn"}, {**delta(), name: "end_turn"}]
    assert json.loads(bytes(assembled(*choices).fields["choices"]))[0][name] == "end_turn"


def test_an_empty_text_replaces_no_value() -> None:
    call = {"index": 0, "id": "", "type": "", "function": {"name": "", "arguments": ""}}
    chunks = [
        {"id": "c", "x": "y", "choices": [delta(role="assistant", tool_calls=[{"index": 0, **CALL}])]},
        {"id": "", "x": "", "choices": [delta(finish="tool_calls", role="", tool_calls=[call])]},
        {"id": "", "x": "", "choices": [delta(finish="", role="", tool_calls=[call])]},
    ]
    answer = whole_of(list(read_chunks([json.dumps(chunk).encode() for chunk in chunks])))
    fields = {name: json.loads(bytes(raw)) for name, raw in answer.fields.items()}
    expected = {"index": 0, "finish_reason": "tool_calls",
                "message": {"role": "assistant", "content": None, "tool_calls": [CALL]}}  # fmt: skip
    assert fields == {"id": "c", "x": "y", "object": "chat.completion", "choices": [expected]}


@pytest.mark.parametrize("empty", ["", None, {}])
def test_arguments_that_are_an_object_survive_a_later_empty_piece(empty: Any) -> None:
    calls = [{"index": 0, "id": "1", "function": {"name": "f", "arguments": {"x": 1}}},
             {"index": 0, "function": {"arguments": empty}}]  # fmt: skip
    answer = assembled(*[delta(tool_calls=[call]) for call in calls])
    assert answer.first.calls[0].called.arguments == {"x": 1}
    assert text_of(assemble(read_chunks([json.dumps({"choices": [delta(tool_calls=calls)]}).encode()]))) == (
        '[{"name":"f","arguments":{"x":1}}]'
    )


@pytest.mark.parametrize("last", [None, {}, {"prompt_tokens": None}])
@pytest.mark.parametrize("place", ["chunk", "choice"])
def test_a_usage_survives_a_later_empty_usage(last: Any, place: str) -> None:
    reported = {"choices": [delta("stop")], "usage": usage()}
    if place == "choice":
        reported = {"choices": [{**delta("stop"), "usage": usage()}], "usage": None}
    chunks = [reported, {"choices": [], "usage": last}]
    assert json.loads(bytes(whole_of(list(read_chunks([encoded(chunk) for chunk in chunks]))).usage)) == usage()


@pytest.mark.parametrize("index", [[0, 0], [None, None], [], [1, 0]])
def test_complete_tool_calls_and_choices_are_numbered_by_place(index: list[int | None]) -> None:
    calls = [{**CALL, "id": each, **({"index": index[place]} if index else {})} for place, each in enumerate("ab")]
    body = answer_of([{"content": None, "tool_calls": calls}] * 2)
    body["choices"][0].pop("index")
    body["choices"][1]["index"] = None
    (read,) = chunks_of(read_answer(encoded(body)))
    for place, choice in enumerate(json.loads(read.data)["choices"]):
        assert choice["index"] == place
        assert [(call["index"], call["id"]) for call in choice["delta"]["tool_calls"]] == [(0, "a"), (1, "b")]


COMMENTS = b"\n  \n\n: OPENROUTER PROCESSING\n\n"


@pytest.mark.parametrize("pieces", [[COMMENTS, encoded(completion("4"))], [COMMENTS + encoded(completion("4"))]])
@pytest.mark.parametrize("streamed", [True, False])
async def test_comments_before_a_complete_answer_are_skipped(
    testbed: Testbed, pieces: list[bytes], streamed: bool
) -> None:
    setup = await testbed.start(None, cut_after(pieces, Exchange.end), None)
    if streamed:
        assert streamed_text(await setup.stream(model="alpha")) == "4"
    else:
        assert (await setup.answer(model="alpha"))["choices"][0]["message"]["content"] == "4"


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


async def test_the_text_of_an_assembled_message_without_a_usage_is_charged(testbed: Testbed) -> None:
    setup = await testbed.start(None, stream([{"object": "chat.completion", "choices": [message(content="A" * 40)]}]))
    body = await setup.answer(model="alpha")
    assert body["choices"][0]["message"]["content"] == "A" * 40
    entry = body["router_metadata"]["call_history"][0]
    assert (entry["estimated"], entry["usage"]["completion_tokens"] > 5) == (True, True)


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
