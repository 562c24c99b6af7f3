"""Reading upstreams' answers: completions, chunks and usages, valid and invalid."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.conversation.answer import AnswerMessage, Chunk, Function, ToolCall, assemble, text_of
from rl_router_api.dialects.chat.read_answer import read_answer, read_chunks
from rl_router_api.dialects.chat.read_answer import read_chunk as read_event
from rl_router_api.dialects.chat.read_usage import read_usage
from rl_router_api.errors import BrokenAnswerError

from fakes.testbed.json_values import json_values

MESSAGE = {"role": "assistant", "content": "4"}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
JSON = json_values()
FIELDS = st.dictionaries(st.sampled_from(["choices", "model", "usage", "error", "id", "object"]), JSON)


def read_chunk(data: bytes) -> Chunk:
    """Returns the chunk of an event that is one."""
    read = read_event(data)
    assert read is not None
    return read


def whole(**fields: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}], **fields}).encode()


def chunk(delta: Any = None, *, index: int = 0, finish: str | None = None, **fields: Any) -> bytes:
    return json.dumps({"choices": [{"index": index, "delta": delta, "finish_reason": finish}], **fields}).encode()


def tool_call(name: str, arguments: object, index: int | None = None, call_id: str | None = None) -> dict[str, Any]:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}


def test_a_completion_keeps_the_bytes_of_its_fields() -> None:
    completion = read_answer(b'{"id": 7, "x" : {"y":1.50}, "choices":[{"message":{"content":"4"}}]}')
    assert completion.first.content == "4"
    assert bytes(completion.fields["x"]) == b'{"y":1.50}'
    assert not completion.usage


def test_the_first_choice_is_the_first_in_the_list() -> None:
    choices = [{"index": 0, "message": MESSAGE}, {"index": 1, "message": None}]
    completion = read_answer(whole(choices=choices))
    assert completion.first.content == "4"
    assert len(completion.choices) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b"<html>502 Bad Gateway</html>", whole()[:-5], whole() + b"x", b"\xff" + whole(),
        whole(choices=[]), whole(choices=None), whole(choices=[{"index": 0}]), whole(choices=[None]),
        whole(choices=[{"message": "4"}]),
        json.dumps({"error": {"message": "no"}}).encode(), b'{"choices": ' + b"[" * 100_000,
        b'{"choices": [{"message": {"content": \xc3}}]}', b'{"choices": [{"message": {"content": "\xc3}}]}',
    ],
)  # fmt: skip
def test_a_body_that_is_not_a_completion_is_a_broken_answer(body: bytes) -> None:
    with pytest.raises(BrokenAnswerError):
        read_answer(body)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100) | FIELDS.map(lambda fields: json.dumps(fields).encode()))
def test_reading_any_bytes_raises_only_broken_answer_errors(body: bytes) -> None:
    for read in (read_answer, read_event):
        try:
            read(body)
        except BrokenAnswerError as error:
            assert str(error)


def test_a_usage_is_read_and_its_bytes_are_kept() -> None:
    written = b'{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"cost":0.10,"x":{"a":1}}'
    usage = read_usage(written)
    assert usage is not None
    assert (usage.input, usage.output, usage.total) == (10, 5, 15)
    assert bytes(read_answer(b'{"choices":[{"message":{}}],"usage":%s}' % written).usage) == written


def test_a_chunk_with_line_breaks_is_put_on_one_line() -> None:
    (chunk,) = read_chunks([b'{\n"choices": [{"index": 0,\n"delta": {"content": "a"}}]}'])
    assert b"\n" not in chunk.data
    assert chunk.output_bytes == 1


def test_a_usage_with_line_breaks_is_put_on_one_line() -> None:
    written = b'{\n  "prompt_tokens": 10,\r\n  "x": {\n    "cost": 0.10\n  }\n}'
    answer = read_answer(b'{"choices":[{"message":{}}],"usage":%s}' % written)
    assert bytes(answer.usage) == b'{"prompt_tokens":10,"x":{"cost":0.10}}'


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"[]", b"7", b"{}", b'{"total_tokens":5}', b'{"prompt_tokens":null}', b'{"prompt_tokens":-1}',
        b'{"prompt_tokens":1' + b"0" * 60 + b"}",
        b'{"prompt_tokens":' + b"1" * 5_000 + b"}", b'{"prompt_tokens":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_an_invalid_usage_is_none(raw: bytes) -> None:
    assert read_usage(raw) is None


def test_an_answer_with_an_invalid_usage_is_valid() -> None:
    completion = read_answer(whole(usage={"prompt_tokens": -1}))
    assert completion.first.content == "4"
    assert read_usage(completion.usage) is None


def test_a_chunk_has_its_finished_choices_model_text_size_and_usage() -> None:
    read = read_chunk(chunk({"content": "né"}, index=1, finish="stop", model="m", usage=USAGE))
    assert (read.finished, read.model, read.error, read.has_tool_ids) == ([1], "m", None, False)
    assert read.output_bytes == len("né".encode())
    usage = read_usage(read.usage)
    assert usage is not None
    assert usage.total == 15


def test_a_chunk_reports_whether_it_has_the_id_of_a_tool_call() -> None:
    assert read_chunk(chunk({"tool_calls": [tool_call("f", "", 0, "call_1")]})).has_tool_ids
    assert not read_chunk(chunk({"tool_calls": [tool_call("f", "{}", 0)]})).has_tool_ids


@pytest.mark.parametrize("fields", [{"choices": []}, {"choices": [], "usage": USAGE}, {"usage": USAGE}])
def test_chunks_without_choices_are_valid(fields: dict[str, Any]) -> None:
    read = read_chunk(json.dumps(fields).encode())
    assert (read.choices, read.finished, read.output_bytes, read.error) == ([], [], 0, None)
    assert bool(read.usage) == ("usage" in fields)


@pytest.mark.parametrize("error", [{"message": "overloaded"}, "overloaded"])
def test_an_error_event_is_recognized(error: object) -> None:
    read = read_chunk(json.dumps({"error": error}).encode())
    assert read.error is not None
    assert "overloaded" in read.error
    assert read_chunk(chunk({"content": "x"}, error=None)).error is None


@pytest.mark.parametrize("data", [b'{"a":"\xff', b'{"choices":[{"delta":{"content":"x', b"[1,", b"{" * 100_000])
def test_a_damaged_event_is_a_broken_answer(data: bytes) -> None:
    with pytest.raises(BrokenAnswerError):
        read_event(data)


PARTS = [{"type": "text", "text": "2+2"}, {"type": "text", "text": "=4"}, {"type": "image"}, "!", 5]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (AnswerMessage(), ""),
        (AnswerMessage(content="4"), "4"),
        (AnswerMessage(content=PARTS), "2+2=4!"),
        (AnswerMessage(refusal="I will not."), "I will not."),
        (
            AnswerMessage(content="", tool_calls=[ToolCall(0, "a", Function("f", "{}"))]),
            '[{"name":"f","arguments":"{}"}]',
        ),
        (AnswerMessage(tool_calls=[ToolCall(function=Function("g", {"y": 2}))]), '[{"name":"g","arguments":{"y":2}}]'),
        (AnswerMessage(tool_calls=[ToolCall()]), '[{"name":null,"arguments":null}]'),
    ],
)
def test_the_text_of_an_answer_is_its_content_or_its_tool_calls(message: AnswerMessage, text: str) -> None:
    assert text_of(message) == text


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_assembled_chunks_have_the_text_of_the_stream(text: str, at: list[int]) -> None:
    edges = [0, *sorted(min(position, len(text)) for position in at), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    chunks = [read_chunk(chunk({"content": piece})) for piece in pieces]
    chunks.insert(1, read_chunk(chunk({"content": "of another choice"}, index=1)))
    assert text_of(assemble(chunks)) == text


def test_assembled_chunks_have_the_tool_calls_of_the_stream() -> None:
    deltas: list[Any] = [
        {"tool_calls": [tool_call("look", '{"x"', 0, "a")]},
        None,
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}, tool_call("sit", "", 1, "b"), {"index": 1}]},
    ]
    message = assemble([read_chunk(chunk(delta)) for delta in deltas])
    assert json.loads(text_of(message)) == [{"name": "look", "arguments": '{"x":1}'}, {"name": "sit", "arguments": ""}]
    assert text_of(assemble([])) == ""
    assert text_of(assemble([read_chunk(chunk({"refusal": "No."}))])) == "No."


PIECES: list[Any] = [{"name": "look", "arguments": '{"x"'}, {"arguments": ":1}"}, {"name": "sit", "arguments": "{}"}]


@pytest.mark.parametrize("ids", [("a", None, "b"), ("a", "a", "b"), (None, None, None)])
def test_tool_calls_without_an_index_are_not_merged(ids: tuple[str | None, ...]) -> None:
    pieces = [{"id": call_id, "function": function} for call_id, function in zip(ids, PIECES, strict=True)]
    for deltas in ([{"tool_calls": pieces}], [{"tool_calls": [piece]} for piece in pieces]):
        message = assemble([read_chunk(chunk(delta)) for delta in deltas])
        assert json.loads(text_of(message)) == [
            {"name": "look", "arguments": '{"x":1}'}, {"name": "sit", "arguments": "{}"},
        ]  # fmt: skip
