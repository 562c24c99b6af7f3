"""Answers that break OpenAI's schema: each field is read by itself, and every field is relayed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.conversation.answer import assemble, has_content, output_bytes, text_of
from rl_router_api.conversation.lenient import fields_of, list_of, well_formed
from rl_router_api.dialects import sse
from rl_router_api.dialects.chat.affinity import put_on
from rl_router_api.dialects.chat.read_answer import read_answer, read_chunk, read_chunks
from rl_router_api.dialects.chat.reshape import chunks_of
from rl_router_api.errors import BrokenAnswerError, UnusableAnswerError

from fakes.testbed.json_values import json_values

HALF_A_CHARACTER = b'{"choices":[{"index":0,"%s":{"content":"A\xff1"},"finish_reason":"stop"}],"x":"\xe2\x82"}'
USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
NESTED: Any = json.loads("[" * 900 + "]" * 900)


def completion(message: Any = None, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message or {"content": "4"}, "finish_reason": "stop", **choice}]}


def chunk(delta: Any, **choice: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta, **choice}]}).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {**completion(), "model": 7, "id": 17, "created": 1.5, "error": {}, "usage": USAGE},
        {**completion(), "model": None, "error": "", "usage": USAGE, "x": [None]},
        completion(index="0"),
        completion(index=None, usage=USAGE),
        completion(finish_reason=7),
        completion({"content": "4", "refusal": 0, "tool_calls": {}, "function_call": [], "reasoning_content": []}),
        completion({"content": "4", "tool_calls": [None, 5, {"id": 0, "function": "f", "custom": []}]}),
    ],
)
def test_an_odd_field_hides_no_other(fields: dict[str, Any]) -> None:
    answer = read_answer(json.dumps(fields).encode())
    assert answer.first.content == "4"
    assert {name: json.loads(bytes(raw)) for name, raw in answer.fields.items()} == fields
    assert bool(answer.usage) == ("usage" in json.dumps(fields))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'"\xef\xbb\xbf4"', "\ufeff4"),
        (b'"\\ud83d"', "\ufffd"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"a\tb"', "a\tb"),
        (b'{"answer": 4}', ""),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_json_that_only_lenient_parsers_accept_is_an_answer(written: bytes, read: str, mark: bytes) -> None:
    body = mark + b'{"x": [NaN, -Infinity], "choices": [{"message": {"content": ' + written + b"}}]}"
    answer = read_answer(body)
    assert text_of(answer.first) == read
    relayed = b"{" + b",".join(b'"%b":%b' % (name.encode(), bytes(raw)) for name, raw in answer.fields.items()) + b"}"
    sent = json.loads(body.decode("utf-8-sig"), strict=False)
    assert json.dumps(json.loads(relayed, strict=False)) == json.dumps(sent)


def test_a_byte_in_a_text_that_is_not_utf_8_becomes_the_replacement_character() -> None:
    answer = read_answer(HALF_A_CHARACTER % b"message")
    assert (answer.first.content, bytes(answer.fields["x"])) == ("A\ufffd1", b'"\xef\xbf\xbd"')
    around = [chunk({"content": "a"}), HALF_A_CHARACTER % b"delta", chunk({"content": "b"})]
    chunks = list(read_chunks(around))
    assert text_of(assemble(chunks)) == "aA\ufffd1b"
    assert json.loads(chunks[1].data)["x"] == "\ufffd"


@pytest.mark.parametrize(
    "body",
    [
        b"null", b"[]", b"{}", b'"text"', b'{"choices": null}', b'{"choices": []}', b'{"choices": [null]}',
        b'{"choices": [{"text": "hi"}]}', b'{"choices": [{"message": "hi"}]}',
    ],
)  # fmt: skip
def test_an_answer_without_a_message_is_unusable(body: bytes) -> None:
    with pytest.raises(UnusableAnswerError) as unusable:
        read_answer(body)
    assert unusable.value.text == ""


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Provider returned error", "code": 429}},
        {"error": "overloaded"},
        {"object": "error", "message": "no", "code": 400},
        {"type": "error", "error": {"type": "overloaded_error"}},
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
        {"code": "DataInspectionFailed", "message": "no"},
        {"detail": [{"type": "missing", "msg": "no"}]},
        {**completion({"content": ""}), "error": {"message": "boom", "code": 500}},
        {**completion({"content": None}), "error": "boom"},
        {**completion({"content": ""}, index="0"), "error": "boom"},
        {**completion({"role": "assistant"}), "base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
        {"choices": [{"finish_reason": "content_filter", "message": None}], "error": {"message": "blocked"}},
    ],
)
def test_an_error_instead_of_an_answer_keeps_its_text_and_its_usage(body: dict[str, Any]) -> None:
    with pytest.raises(UnusableAnswerError) as unusable:
        read_answer(json.dumps({**body, "usage": USAGE}).encode())
    assert json.loads(unusable.value.text) == {**body, "usage": USAGE}
    assert json.loads(unusable.value.usage) == USAGE


def test_an_error_in_a_list_keeps_its_text() -> None:
    body = json.dumps([{"error": {"message": "no", "code": 400}}])
    with pytest.raises(UnusableAnswerError) as unusable:
        read_answer(body.encode())
    assert unusable.value.text == body
    read = read_chunk(body.encode())
    assert read is not None
    assert (json.loads(read.error or ""), read.is_notice) == ({"message": "no", "code": 400}, False)


INNER = {"code": 429, "message": "Provider rate limited"}
PARTS: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "finish_reason": "error", "error": INNER}]},
    {"choices": [{"index": "0", "error": INNER}]},
    {"choices": [{"index": 0}], "x_groq": {"id": "r", "error": INNER}},
]
EMPTY_PARTS: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "finish_reason": None, "error": INNER}]},
    {"choices": [{"index": 0, "%": {"error": INNER}}]},
]


@pytest.mark.parametrize(
    ("body", "content"),
    [*[(body, content) for body in PARTS for content in ("", "partial")], *[(body, "") for body in EMPTY_PARTS]],
)
def test_an_error_in_a_part_of_an_answer_is_an_error(body: dict[str, Any], content: str) -> None:
    def with_content(name: str) -> bytes:
        (choice,) = body["choices"]
        part = {"content": content, **choice.get("%", {})}
        return json.dumps({**body, "choices": [{**choice, name: part}], "usage": USAGE}).encode()

    with pytest.raises(UnusableAnswerError) as unusable:
        read_answer(with_content("message"))
    assert (json.loads(unusable.value.text), json.loads(unusable.value.usage)) == (INNER, USAGE)
    read = read_chunk(with_content("delta"))
    assert read is not None
    assert (json.loads(read.error or ""), read.output_bytes, read.is_failure(7)) == (INNER, len(content), True)


@pytest.mark.parametrize("reason", ["error", "abort", "network_error", "insufficient_system_resource"])
@pytest.mark.parametrize("index", [0, "0"])
def test_a_finish_reason_of_a_failed_upstream_is_an_error_if_nothing_was_generated(reason: str, index: Any) -> None:
    for message in ({}, {"role": "assistant", "content": ""}, None):
        choice = {"index": index, "finish_reason": reason}
        with pytest.raises(UnusableAnswerError) as unusable:
            read_answer(json.dumps({"choices": [{**choice, "message": message}], "usage": USAGE}).encode())
        assert json.loads(unusable.value.text)["code"] == reason
        assert json.loads(unusable.value.usage) == USAGE
        read = read_chunk(json.dumps({"choices": [{**choice, "delta": message}]}).encode())
        assert read is not None
        assert json.loads(read.error or "")["code"] == reason
        assert (read.finished, read.is_failure(0), read.is_failure(1)) == ([0], True, False)
    for message in ({"content": "4"}, {"content": "", "reasoning_content": "hm"}, {"reasoning_details": ["hm"]}):
        assert read_answer(json.dumps(completion(message, index=index, finish_reason=reason)).encode()).choices


ERRORS: list[dict[str, Any]] = [
    {"error": {"message": "boom", "code": 500}},
    {"error": "boom"},
    {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    "message", [{"content": "4"}, {"tool_calls": [{"id": "1"}]}, {"function_call": {"name": "f"}},
                {"content": "", "reasoning_content": "hm"}],
)  # fmt: skip
def test_an_error_beside_content_is_relayed(error: dict[str, Any], message: Any) -> None:
    answer = read_answer(json.dumps({**completion(message), **error}).encode())
    assert error.items() <= {name: json.loads(bytes(raw)) for name, raw in answer.fields.items()}.items()


@pytest.mark.parametrize("reason", ["content_filter", "length", "SAFETY", "content_filter: PROHIBITED_CONTENT"])
@pytest.mark.parametrize("message", [{"message": None}, {}])
def test_an_answer_that_was_blocked_needs_no_message(reason: str, message: dict[str, Any]) -> None:
    choice = {"index": 0, "finish_reason": reason, **message}
    answer = read_answer(json.dumps({"choices": [choice], "usage": USAGE}).encode())
    assert (answer.choices[0].finish_reason, text_of(answer.first)) == (reason, "")
    assert json.loads(bytes(answer.fields["choices"])) == [choice]
    first, _ = chunks_of(answer)
    assert json.loads(first.data)["choices"] == [{"index": 0, "finish_reason": reason, "delta": {}}]


EMPTY_ERRORS: list[Any] = [None, {}, "", [], {"message": None, "code": None}, {"message": "", "code": 0}]


@pytest.mark.parametrize("error", EMPTY_ERRORS)
@pytest.mark.parametrize("index", [0, "0"])
def test_an_empty_error_is_no_error(error: Any, index: Any) -> None:
    for content in ("a", ""):
        fields = {"choices": [{"index": index, "delta": {"content": content}}], "error": error}
        read = read_chunk(json.dumps(fields).encode())
        assert read is not None
        assert (read.error, read.has_content) == (None, content == "a")
        inner = {"choices": [{"index": index, "delta": {"content": content, "error": error}, "error": error}]}
        read = read_chunk(json.dumps({**inner, "x_groq": {"error": error}}).encode())
        assert read is not None
        assert (read.error, read.has_content) == (None, content == "a")
    assert read_answer(json.dumps({**completion({"content": ""}), "error": error}).encode()).first.content == ""


@pytest.mark.parametrize("choices", [[], None, [{"index": 0, "delta": {"role": "assistant", "content": ""}}]])
def test_an_error_of_minimax_beside_an_empty_chunk_is_an_error(choices: Any) -> None:
    for status in (1002, 0):
        base = {"choices": choices, "base_resp": {"status_code": status, "status_msg": "rate limit"}}
        read = read_chunk(json.dumps(base).encode())
        assert read is not None
        assert (json.loads(read.error) if read.error else None) == (base if status else None)


@pytest.mark.parametrize(
    "data",
    [
        b'{"type": "ping"}', b"{}", b'{"error": {}}', b'{"error": null}', b'{"error": ""}', b"null", b"[]", b"7",
        b'"ping"', b"ping", b"OPENROUTER PROCESSING", b'{"id": "x", "object": "keepalive"}',
        b'{"type": "ping", "success": true, "errors": []}', b'{"status": "ok", "error_code": 0, "error_msg": ""}',
    ],
)  # fmt: skip
def test_an_event_that_is_neither_a_chunk_nor_an_error_is_skipped(data: bytes) -> None:
    assert read_chunk(data) is None
    around = [chunk({"content": "a"}), data, chunk({"content": "b"}, finish_reason="stop")]
    assert text_of(assemble(read_chunks(around))) == "ab"


@pytest.mark.parametrize("error", [{"message": "no"}, "no", 5, [1]])
def test_an_event_with_an_error_is_an_error(error: Any) -> None:
    read = read_chunk(json.dumps({"error": error}).encode())
    assert read is not None
    assert json.loads(read.error or "") == error


@pytest.mark.parametrize("data", [b'{"type": "error", "message": "no"}', b'{"object": "error", "message": "no"}'])
def test_an_event_that_calls_itself_an_error_is_one(data: bytes) -> None:
    read = read_chunk(data)
    assert read is not None
    assert json.loads(read.error or "")["message"] == "no"


@pytest.mark.parametrize(
    ("data", "finished"),
    [
        (chunk({"content": "x"}, index="0", finish_reason="stop"), [0]),
        (chunk({"content": "x"}, index=1.0, finish_reason="stop"), [1]),
        (chunk({"content": "x"}, index=None, finish_reason="eos"), [0]),
        (chunk({"content": "x"}, finish_reason=""), []),
        (chunk({"content": "x"}, finish_reason="null"), []),
        (chunk({"content": "x"}, finish_reason="None"), []),
        (chunk({"content": "x"}, finish_reason="None", index="0"), []),
        (chunk({"content": "x", "role": 5, "tool_calls": "none"}, finish_reason=0), []),
    ],
)
def test_an_odd_chunk_is_relayed_as_it_came(data: bytes, finished: list[int]) -> None:
    read = read_chunk(data)
    assert read is not None
    assert (read.data, read.finished, read.output_bytes, read.has_content) == (data, finished, 1, True)


@pytest.mark.parametrize(
    "data", [b'{"code": "DataInspectionFailed", "message": "no"}', b'{"detail": "no"}', b'{"msg": "no"}']
)
def test_a_message_outside_a_chunk_is_a_notice_unless_the_event_has_the_name_error(data: bytes) -> None:
    for event, is_notice in ((data, True), (sse.ErrorData(data), False)):
        (read,) = read_chunks([event])
        assert (json.loads(read.error or ""), read.is_notice) == (json.loads(data), is_notice)
    (read,) = read_chunks([sse.ErrorData(b"no \xff")])
    assert (json.loads(read.error or ""), read.is_notice) == ("no \ufffd", False)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"success": False, "errors": [{"code": 7009, "message": "no"}]}, [{"code": 7009, "message": "no"}]),
        ({"error_code": 336003, "error_msg": "no"}, {"code": 336003, "msg": "no"}),
        ({"errorCode": "x", "errorMessage": "no"}, {"code": "x", "message": "no"}),
        ({"internalServerException": {"message": "no"}}, {"message": "no"}),
        ({"status": "error", "error_message": "no"}, {"message": "no"}),
        ({"status": "error", "reason": "no"}, {"status": "error", "reason": "no"}),
        ({"choices": [], "error_msg": "no"}, {"msg": "no"}),
        ("Error: upstream connect error", "Error: upstream connect error"),
    ],
)
def test_an_error_in_another_form_than_openais_is_a_notice(event: Any, error: Any) -> None:
    data = event.encode() if isinstance(event, str) else json.dumps(event).encode()
    for sent, is_notice in ((data, True), (sse.ErrorData(data), False)):
        (read,) = read_chunks([sent])
        assert (json.loads(read.error or ""), read.is_notice) == (error, is_notice)
    if not isinstance(event, str):
        with pytest.raises(UnusableAnswerError) as unusable:
            read_answer(data)
        assert json.loads(unusable.value.text) == error


def test_choices_that_are_null_are_a_chunk_without_content() -> None:
    read = read_chunk(b'{"id": "c", "choices": null}')
    assert read is not None
    assert (read.choices, read.has_content, read.finished) == ([], False, [])


@pytest.mark.parametrize(
    "fields",
    [
        {"choices": [], "usage": USAGE},
        {"choices": None, "usage": USAGE},
        {"usage": USAGE},
        {"choices": [{"delta": {}, "finish_reason": "stop", "usage": USAGE}]},
        {"choices": [{"delta": {}, "index": "0", "usage": USAGE}]},
        {"choices": [], "x_groq": {"id": "r", "usage": USAGE}},
        {"choices": None, "x_groq": {"id": "r", "usage": USAGE}},
    ],
)
@pytest.mark.parametrize("empty", [None, {}, {"prompt_tokens": 0, "completion_tokens": 0}])
def test_the_usage_is_read_wherever_a_provider_reports_it(fields: dict[str, Any], empty: Any) -> None:
    for place in (fields, {"usage": empty, **fields}, {"x_groq": {"usage": empty}, **fields}):
        read = read_chunk(json.dumps(place).encode())
        assert read is not None
        assert json.loads(bytes(read.usage)) == USAGE


@pytest.mark.parametrize("index", [0, "0"])
@pytest.mark.parametrize("empty", [None, {}, {"prompt_tokens": 0, "completion_tokens": 0}])
def test_the_usage_of_a_complete_answer_is_read_wherever_a_provider_reports_it(index: Any, empty: Any) -> None:
    choice = {"index": index, "message": {"content": "4"}}
    groq = {"id": "r", "usage": USAGE}
    for body in (
        {"choices": [choice], "x_groq": groq},
        {"choices": [choice], "x_groq": groq, "usage": empty},
        {"choices": [{**choice, "usage": empty}], "x_groq": groq},
        {"choices": [{**choice, "usage": USAGE}], "usage": empty},
        {"choices": [{**choice, "usage": USAGE}], "x_groq": {"usage": empty}},
        {"choices": [{**choice, "usage": empty}], "x_groq": {"usage": empty}, "usage": USAGE},
    ):
        assert json.loads(bytes(read_answer(json.dumps(body).encode()).usage)) == USAGE


@pytest.mark.parametrize(
    ("delta", "size"),
    [
        ({"role": "assistant"}, 0),
        ({"role": "assistant", "content": ""}, 0),
        ({"content": None, "tool_calls": None}, 0),
        ({"content": "né"}, 3),
        ({"content": "", "reasoning_content": "hm"}, 2),
        ({"content": "", "reasoning": "hm", "reasoning_content": "hm"}, 2),
        ({"content": "", "reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "hm"}]}, 2),
        ({"reasoning_details": [{"summary": "hm"}, {"type": "reasoning.encrypted", "data": "AAAA"}, 5]}, 2),
        ({"content": "", "reasoning": "hm", "reasoning_details": [{"text": "hm"}]}, 2),
        ({"thinking": "né"}, 3),
        ({"thinking": [{"type": "text", "text": "hm"}], "reasoning_details": []}, 2),
        ({"thinking": True, "reasoning_details": {}}, 0),
        ({"audio": {"id": "a", "transcript": "hm"}}, 2),
        ({"refusal": "No."}, 3),
        ({"content": "", "reasoning_text": "hm"}, 2),
        ({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "AAAA"}]}, 2),
        ({"content": "", "reasoning": {"content": "hm"}}, 2),
        ({"content": [{"type": "reasoning", "reasoning": "hm"}]}, 2),
        ({"content": [{"type": "output_text", "output_text": "hm", "annotations": [{"title": "x"}]}]}, 2),
        ({"content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": "hm"}}]}, 3),
        ({"executed_tools": [{"index": 0, "type": "python", "arguments": "hm", "output": "x" * 9}]}, 2),
        ({"content": "", "reasoning_opaque": "AAAA"}, 0),
        ({"mcp_calls": [{"name": "f", "arguments": "hm"}]}, 3),
        ({"content": [NESTED], "new": NESTED}, 0),
        ({"content": "", "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}]}, 0),
        ({"role": "assistant", "content": "", "phase": "final", "obfuscation": "x" * 9, "provider": "x"}, 0),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "x"}]}, 3),
        ({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}, 3),
        ({"tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}, 8),
        ({"tool_calls": [{"type": "custom", "custom": {"name": "f", "input": "go"}}]}, 3),
        ({"function_call": {"name": "f", "arguments": "{}"}}, 3),
    ],
)
def test_everything_that_a_model_generates_counts_as_output(delta: dict[str, Any], size: int) -> None:
    read = read_chunk(chunk(delta))
    assert read is not None
    assert (read.output_bytes, read.has_content) == (size, size > 0)
    for index in (0, "0"):
        whole = read_answer(json.dumps(completion(delta, index=index)).encode())
        assert output_bytes(whole.first) == size


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100}}


IMAGES: list[dict[str, Any]] = [
    {"role": "assistant", "content": "", "images": [IMAGE]},
    {"images": ["A" * 100]},
    {"content": [IMAGE]},
    {"content": [{"type": "image", "image": "A" * 100}]},
]


@pytest.mark.parametrize("delta", IMAGES)
def test_a_generated_image_is_content_and_its_data_are_no_text(delta: dict[str, Any]) -> None:
    read = read_chunk(chunk(delta))
    assert read is not None
    assert (read.output_bytes, read.has_content) == (0, True)
    (first,) = read_answer(json.dumps({"choices": [{"index": 0, "message": delta}]}).encode()).choices
    assert first.message is not None
    assert has_content(first.message)


INSTEAD_OF_DELTA: list[dict[str, Any]] = [
    {"message": {"role": "assistant", "content": "hm"}},
    {"delta": None, "message": {"reasoning": "hm"}},
    {"delta": "hm"},
    {"text": "hm"},
]


@pytest.mark.parametrize("choice", INSTEAD_OF_DELTA)
@pytest.mark.parametrize("others", [[], [{"index": 1, "delta": {}}]])
def test_a_text_in_place_of_a_delta_is_content(choice: dict[str, Any], others: list[Any]) -> None:
    read = read_chunk(json.dumps({"choices": [{"index": 0, "finish_reason": None, **choice}, *others]}).encode())
    assert read is not None
    assert (read.output_bytes, read.has_content) == (2, True)


def test_a_tool_call_without_a_name_and_audio_are_content() -> None:
    for delta in ({"tool_calls": [{"index": 0}]}, {"audio": {"data": "AAAA"}}):
        read = read_chunk(chunk(delta))
        assert read is not None
        assert read.has_content


CALLS = [{"name": "a", "arguments": '{"x":1}'}, {"name": "b", "arguments": '{"y":2}'}]


def piece(index: int | None, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}


REPEATED = [piece(0, "1", "a", '{"x":1}'), piece(1, "2", "b", '{"y":2}')]
WITHOUT_INDEX = [piece(None, "1", "a", '{"x":1}'), piece(None, "2", "b", '{"y":2}')]


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(0, "1", "a", '{"x":1}'), piece(0, "2", "b", '{"y":2}')],
        [piece(0, "", "a", '{"x":1}'), piece(0, "", "b", '{"y":2}')],
        [piece(0, "", "a", '{"x":1}'), piece(1, "", "b", '{"y":2}')],
        [piece(0, "1", "a", ""), piece(0, "1", None, '{"x"'), piece(0, "1", "a", ":1}"), piece(1, "2", "b", '{"y":2}')],
        [piece(0, "1", "a", ""), piece(0, "", "", '{"x":1}'), piece(1, "2", "b", '{"y":2}')],
        [piece(None, "1", "a", '{"x":1}'), piece(None, "2", "b", '{"y":2}')],
        [piece(0, "1", "a", '{"x"'), piece(0, None, None, ":1}"), piece(1, "2", "b", '{"y":2}'), *REPEATED],
        [*REPEATED, *REPEATED],
        [piece(0, "1", "a", '{"x":1}'), piece(0, "2", "b", '{"y":2}'), *WITHOUT_INDEX],
        [
            piece(1, "1", "a", ""),
            piece(2, "2", "b", ""),
            piece(2, None, None, '{"y":2}'),
            piece(1, None, None, '{"x":1}'),
        ],
    ],
)
def test_pieces_of_tool_calls_are_joined_however_a_server_numbers_them(pieces: list[dict[str, Any]]) -> None:
    message = assemble(read_chunks([chunk({"tool_calls": [each]}) for each in pieces]))
    assert json.loads(text_of(message)) == CALLS
    message = assemble(read_chunks([chunk({"tool_calls": pieces})]))
    assert json.loads(text_of(message)) == CALLS


def test_legacy_and_custom_calls_are_assembled_as_tool_calls() -> None:
    legacy = [chunk({"function_call": {"name": "a", "arguments": ""}}), chunk({"function_call": {"arguments": "{}"}})]
    assert json.loads(text_of(assemble(read_chunks(legacy)))) == [{"name": "a", "arguments": "{}"}]
    custom = [{"index": 0, "id": "1", "type": "custom", "custom": {"name": "a", "input": "x"}},
              {"index": 0, "custom": {"input": "y"}}]  # fmt: skip
    assert json.loads(text_of(assemble(read_chunks([chunk({"tool_calls": custom})])))) == [
        {"name": "a", "arguments": "xy"}
    ]


def test_halves_of_an_emoji_in_two_chunks_are_joined() -> None:
    halves = [b'{"choices":[{"delta":{"content":"\\ud83d"}}]}', b'{"choices":[{"delta":{"content":"\\ude00"}}]}']
    chunks = list(read_chunks(halves))
    assert [each.data for each in chunks] == halves
    assert text_of(assemble(chunks)) == "\U0001f600"


def test_the_affinity_is_added_to_the_ids_of_odd_choices() -> None:
    raw = b'[null, {"delta": {"x": "\\ud83d", "tool_calls": [5, {"id": 7}, {"id": ""}, {"id": "a"}]}}, {"message": 5}]'
    changed = json.loads(bytes(put_on(list_of(b"[%b]" % raw)[0], "alpha")))
    assert changed[0] is None
    assert changed[2] == {"message": 5}
    assert changed[1]["delta"]["x"] == "\ud83d"
    *others, last = changed[1]["delta"]["tool_calls"]
    assert others == [5, {"id": 7}, {"id": ""}]
    assert last["id"].startswith("a_rr")


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["choices", "model", "usage", "error", "type", "x_groq"]), json_values()))
def test_any_json_object_is_a_chunk_is_skipped_or_is_an_error(fields: dict[str, Any]) -> None:
    data = json.dumps(fields).encode()
    read = read_chunk(data)
    assert read is None or json.loads(read.data) == fields
    try:
        answer = read_answer(data)
    except BrokenAnswerError as error:
        assert isinstance(error, UnusableAnswerError)
    else:
        assert text_of(answer.first).encode() is not None


CHOICE = st.fixed_dictionaries({"message": st.dictionaries(st.sampled_from(
    ["content", "tool_calls", "function_call", "refusal", "reasoning_content", "reasoning_details", "thinking",
     "audio"]), json_values()
)})  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(CHOICE, min_size=1, max_size=3), json_values())
def test_an_answer_with_a_message_is_never_broken(choices: list[Any], usage: Any) -> None:
    answer = read_answer(json.dumps({"choices": choices, "usage": usage}).encode())
    assert isinstance(text_of(answer.first), str)
    assert output_bytes(answer.first) >= 0


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec=None), max_size=20))
def test_a_well_formed_text_can_be_encoded(text: str) -> None:
    assert well_formed(text).encode() is not None
    assert fields_of(json.dumps({"a": text}).encode() + b"\n")
