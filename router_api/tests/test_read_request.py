"""Reading requests: their fields, and a 400 that names the field for every invalid request."""

import json
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.conversation.affinity import affinity_of
from rl_router_api.dialects.chat.read_request import MAX_MESSAGES, PICTURE_TOKENS, read_request
from rl_router_api.dialects.chat.write_error import error_object
from rl_router_api.errors import ApiError

from fakes.testbed.json_values import json_values
from fakes.testbed.requests import QUESTION, chat_body, chat_request
from fakes.testbed.responses import ERROR_FIELDS

CORPUS = json.loads(Path(__file__).with_name("corpus").joinpath("bodies.json").read_text())
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 90_000}}
SOUND = {"type": "input_audio", "input_audio": {"data": "A" * 9_000, "format": "wav"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
JSON = json_values()
KNOWN = ("model", "messages", "router", "n", "tools", "stream", "stream_options", "max_tokens", "response_format")


def refused(body: bytes) -> ApiError:
    with pytest.raises(ApiError) as raised:
        read_request(body)
    return raised.value


def refused_with(**fields: Any) -> ApiError:
    return refused(chat_body(**fields))


def test_a_valid_request_is_read() -> None:
    request = chat_request(stream=True, stream_options={"include_usage": True}, max_tokens=7, n=2)
    assert (request.model, request.stream, request.include_usage) == ("router", True, True)
    assert (request.max_output, request.n) == (7, 2)
    assert [(message.role, message.content) for message in request.messages] == [("user", "What is 2 + 2?")]


def test_missing_and_null_fields_have_openais_defaults() -> None:
    nulls = dict.fromkeys(("stream", "n", "max_tokens", "tools", "router", "stream_options", "response_format"))
    for request in (chat_request(), chat_request(**nulls)):
        assert (request.stream, request.include_usage, request.max_output, request.n) == (False, False, None, 1)
        assert request.needs == frozenset()
        assert request.options.max_cost is None


def test_max_completion_tokens_takes_precedence_over_max_tokens() -> None:
    assert chat_request(max_tokens=5, max_completion_tokens=9).max_output == 9
    assert chat_request(max_tokens=5, max_completion_tokens=None).max_output == 5


@pytest.mark.parametrize("limit", [0, -1])
def test_an_output_limit_below_one_token_counts_as_no_limit(limit: int) -> None:
    for request in (chat_request(max_tokens=limit), chat_request(max_tokens=5, max_completion_tokens=limit)):
        assert request.max_output is None


def test_the_bytes_of_all_fields_except_model_and_router_are_kept() -> None:
    request = read_request(
        b'{"model": "m", "router": {}, "messages": [{"role":"user","content":"x"}], "seed": 1e2, "xyz": {"a" : 0.10}}'
    )
    assert {name: bytes(raw) for name, raw in request.fields.items()} == {
        "messages": b'[{"role":"user","content":"x"}]', "seed": b"1e2", "xyz": b'{"a" : 0.10}',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({"tools": [TOOL]}, {"tools"}),
        ({"tools": []}, set()),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"n": 2}, {"n"}),
        ({"logprobs": True}, {"logprobs"}),
        ({"logprobs": False}, set()),
        ({"modalities": ["text", "audio"]}, {"audio"}),
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, {"vision"}),
        ({"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "noon"}]}, {"tools"}),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "call_1"}]}]}, {"tools"}),
        ({"messages": [{"role": "assistant", "tool_calls": []}]}, set()),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}]}, {"tools"}),
        ({"messages": [{"role": "assistant", "function_call": None}]}, set()),
        ({"messages": [{"role": "function", "name": "f", "content": "noon"}]}, {"tools"}),
        ({"messages": [{"role": "user", "content": [SOUND, PICTURE]}]}, {"audio", "vision"}),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, set()),
    ],
)
def test_a_request_needs_the_capabilities_that_its_fields_use(fields: dict[str, Any], needs: set[str]) -> None:
    assert chat_request(**fields).needs == needs


@pytest.mark.parametrize("empty", [b"[]", b"[ \n ]", b"null"])
def test_an_empty_list_of_tools_in_any_spelling_needs_no_tools(empty: bytes) -> None:
    assert not read_request(b'{"model":"m","messages":[{"role":"user"}],"tools":%s}' % empty).needs


@pytest.mark.parametrize(
    ("fields", "text_only"),
    [({}, True), ({"tools": [TOOL]}, False), ({"response_format": {"type": "json_object"}}, False), ({"n": 2}, False)],
)
def test_only_a_plain_question_can_be_answered_with_text(fields: dict[str, Any], text_only: bool) -> None:
    assert chat_request(**fields).text_only is text_only


def test_input_tokens_are_estimated_by_bytes_and_by_picture() -> None:
    plain = chat_request(messages=[{"role": "user", "content": "x" * 4_000}])
    assert 1_000 <= plain.input_tokens <= 1_020
    picture = chat_request(messages=[{"role": "user", "content": [PICTURE]}])
    assert PICTURE_TOKENS <= picture.input_tokens <= PICTURE_TOKENS + 100


@pytest.mark.parametrize("name", ["tools", "functions"])
def test_the_definitions_of_functions_count_as_input(name: str) -> None:
    assert chat_request(**{name: [{"name": "f", "description": "x" * 4_000}]}).input_tokens > 1_000


def test_input_tokens_count_bytes_not_characters() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "水" * 400}]}, ensure_ascii=False)
    assert read_request(body.encode()).input_tokens >= 300


def test_a_conversation_that_ends_with_a_tool_message_has_the_affinity_of_its_target() -> None:
    answered = {"role": "tool", "tool_call_id": f"call_9_rr{affinity_of('alpha')}", "content": "4"}
    assert chat_request(messages=[*QUESTION, answered]).affinity == affinity_of("alpha")
    assert chat_request(messages=[answered, *QUESTION]).affinity is None
    assert chat_request(messages=[*QUESTION, {**answered, "tool_call_id": "call_9"}]).affinity is None
    assert chat_request(messages=[*QUESTION, {"role": "tool", "content": "4"}]).affinity is None


def test_the_router_object_is_read() -> None:
    fields = {"max_cost": 0.1, "deadline_ms": 50, "models": ["a"], "policy": "fixed", "max_turns": 1}
    options = chat_request(router={**fields, "review": "never", "prefer": "cost"}).options
    assert (options.max_cost, options.deadline_ms, options.models) == (Decimal("0.1"), 50, ["a"])
    assert (options.policy, options.max_turns, options.review, options.prefer) == ("fixed", 1, "never", "cost")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_costs": 1}, "router.max_costs"),
        ({"max_cost": -0.1}, "router.max_cost"),
        ({"max_cost": "NaN"}, "router.max_cost"),
        ({"max_cost": "Infinity"}, "router.max_cost"),
        ({"max_cost": "1e999999"}, "router.max_cost"),
        ({"max_cost": True}, "router.max_cost"),
        ({"deadline_ms": 0}, "router.deadline_ms"),
        ({"deadline_ms": 1.5}, "router.deadline_ms"),
        ({"max_turns": 0}, "router.max_turns"),
        ({"models": []}, "router.models"),
        ({"review": "sometimes"}, "router.review"),
        ({"prefer": "speed"}, "router.prefer"),
        ({"policy": 1}, "router.policy"),
        ([], "router"),
    ],
)
def test_an_invalid_option_is_a_400_that_names_it(options: object, field: str) -> None:
    error = refused_with(router=options)
    assert (error.status, error.param, error.kind) == (400, field, "invalid_request_error")
    assert field in error.message


def test_an_error_about_an_unknown_option_lists_all_options() -> None:
    error = refused_with(router={"max_cots": 1})
    assert error.message == (
        "`router.max_cots`: unknown option. Use one of the options "
        "max_cost, deadline_ms, models, policy, max_turns, review, prefer."
    )


@pytest.mark.parametrize("goal", ["speed", 0, -1, 1e13, 10**400, True, [], {}])
def test_an_error_about_the_goal_says_which_goals_exist(goal: object) -> None:
    error = refused_with(router={"prefer": goal})
    assert (error.status, error.param) == (400, "router.prefer")
    assert "Use `cost`, `balanced`, `quality`, or the worth of a good answer in US dollars" in error.message


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [*QUESTION, {"role": 5}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": [{"type": 5, "text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": QUESTION * (MAX_MESSAGES + 1)}, "messages"),
        ({"n": 0}, "n"),
        ({"n": "two"}, "n"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"tools": {}}, "tools"),
        ({"response_format": {}}, "response_format.type"),
        ({"modalities": "audio"}, "modalities"),
        ({"logprobs": 3}, "logprobs"),
    ],
)
def test_an_invalid_field_is_a_400_that_names_it(fields: dict[str, Any], field: str) -> None:
    error = refused_with(**fields)
    # msgspec's path has no index if it does not know it.
    assert error.status == 400
    assert error.param in (field, field.replace("[0]", "[...]").replace("[1]", "[...]"))


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"\xff\xfe{}", b'{"model": "\xff"}', b'{"a": 1} {}'])
def test_a_body_that_is_not_a_json_object_is_a_400(body: bytes) -> None:
    assert refused(body).status == 400


@pytest.mark.parametrize("name", ["messages", "tools", "made_up", "router", "n"])
def test_a_deeply_nested_field_is_a_400(name: str) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    assert refused(b'{"model": "m", "messages": [{"role": "user"}], "%s": %s}' % (name.encode(), deep)).status == 400


MANY = 260_000
MANY_VALUES = {
    "fields": b",".join(b'"%x":1' % number for number in range(MANY)),
    "duplicate fields": b",".join([b'"user":"a"'] * MANY),
    "messages": b'"messages":[%b]' % b",".join([b'{"role":""}'] * MANY),
    "content parts": b'"messages":[{"role":"user","content":[%b]}]' % b",".join([b'{"type":""}'] * MANY),
    "tool calls": b'"messages":[{"role":"assistant","tool_calls":[%b]}]' % b",".join([b"{}"] * MANY),
    "fields of a tool call": b'"messages":[{"role":"assistant","tool_calls":[{%b}]}]'
    % b",".join(b'"%x":1' % number for number in range(MANY)),
    "tools": b'"tools":[%b]' % b",".join([b"{}"] * MANY),
    "modalities": b'"modalities":[%b]' % b",".join([b'""'] * MANY),
    "objects in an unknown field": b'"x":[%b]' % b",".join([b'{"a":{}}'] * MANY),
}


@pytest.mark.parametrize("fields", MANY_VALUES.values(), ids=MANY_VALUES)
def test_a_body_with_too_many_values_is_a_400_before_it_is_decoded(fields: bytes) -> None:
    tracemalloc.start()
    try:
        error = refused(b'{"model":"m","messages":[{"role":"user","content":"hi"}],%b}' % fields)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(fields)
    finally:
        tracemalloc.stop()
    assert (error.status, error.param) == (400, None)
    assert "250,000 values" in error.message


def test_a_long_text_with_many_brackets_and_commas_is_accepted() -> None:
    text = "if (a, b) { return [a, b]; }\n" * 100_000
    assert chat_request(messages=[{"role": "user", "content": text}]).messages[0].content == text


@pytest.mark.parametrize(
    "options",
    [b'{"max_cost":%b}' % (b"9" * 20_000), b'{"max_cost":0.%b1}' % (b"0" * 20_000),
     b'{"models":[%b"a"]}' % (b'"a",' * 10_000), b'{"%b":1}' % (b"a" * 20_000)],
    ids=["digits", "decimals", "models", "name"],
)  # fmt: skip
def test_a_router_object_over_16_kib_is_a_400_before_it_is_decoded(options: bytes) -> None:
    error = refused(b'{"model":"m","messages":[{"role":"user","content":"hi"}],"router":%b}' % options)
    assert (error.status, error.param) == (400, "router")
    assert "16,384" in error.message


@pytest.mark.parametrize("name", ["n", "max_tokens", "temperature"])
def test_a_number_with_five_thousand_digits_is_a_400(name: str) -> None:
    error = refused(b'{"model":"m","messages":[{"role":"user"}],"%s":%s}' % (name.encode(), b"1" * 5_000))
    assert (error.status, error.param) == (400, name)


@pytest.mark.parametrize("body", CORPUS)
def test_every_body_of_the_corpus_is_refused_with_openais_error(body: str) -> None:
    error = refused(body.encode())
    assert error.status == 400
    assert set(error_object(error)) == ERROR_FIELDS
    json.dumps(error_object(error))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_raise_only_api_errors(body: bytes) -> None:
    try:
        read_request(body)
    except ApiError as error:
        assert error.status == 400


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(KNOWN), JSON), st.booleans())
def test_any_fields_raise_only_api_errors(fields: dict[str, Any], whole: bool) -> None:
    base = {"model": "m", "messages": QUESTION} if whole else {}
    try:
        request = read_request(json.dumps(base | fields).encode())
    except ApiError as error:
        assert error.status == 400
    else:
        assert request.input_tokens >= 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"model":"m","messages":[{"role":"user","content":"x\\ud83d"}]}', "messages[0].content"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"\\udc00"}]}]}',
         "messages[0].content[0].text"),
        (b'{"model":"m","user":"\\ud83d\\ud83d","messages":[{"role":"user","content":"hi"}]}', "user"),
        (b'{"model":"m","x":{"\\ud83d":1},"messages":[{"role":"user","content":"hi"}]}', "x.\ufffd"),
    ],
)  # fmt: skip
def test_half_of_a_surrogate_pair_is_named(body: bytes, field: str) -> None:
    with pytest.raises(ApiError, match="half of a surrogate pair") as refused:
        read_request(body)
    assert (refused.value.status, refused.value.param) == (400, field)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    request = read_request(b'{"model":"m","messages":[{"role":"user","content":"\\ud83d\\ude00"}]}')
    assert request.messages[0].content == "\U0001f600"


def test_a_byte_order_mark_is_ignored() -> None:
    assert read_request(b'\xef\xbb\xbf{"model":"m","messages":[{"role":"user","content":"hi"}]}').model == "m"


DATA = "A" * 400_000
MEDIA: list[tuple[dict[str, Any], str]] = [
    ({"type": "image_url", "image_url": {"url": "data:image/png;base64," + DATA}}, "vision"),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}, "vision"),
    ({"type": "input_image", "image_url": "data:image/png;base64," + DATA}, "vision"),
    ({"type": "image_embeds", "image_embeds": DATA}, "vision"),
    ({"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}, "audio"),
    ({"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64," + DATA}}, "audio"),
    ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64," + DATA}}, "video"),
    ({"type": "video", "video": ["data:image/png;base64," + DATA]}, "video"),
    ({"type": "file", "file": {"file_data": "data:application/pdf;base64," + DATA}}, "file"),
    ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": DATA}}, "file"),
    ({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64," + DATA}, "file"),
    ({"type": "image", "base64": DATA}, "vision"),
    ({"type": "image_file", "image_file": {"data": DATA}}, "vision"),
    ({"type": "audio_embeds", "audio_embeds": DATA}, "audio"),
    ({"type": "document_url", "document_url": "data:application/pdf;base64," + DATA}, "file"),
    ({"type": "media", "mime_type": "video/mp4", "data": DATA}, "video"),
    ({"type": "media", "inlineData": {"mimeType": "audio/wav", "data": DATA}}, "audio"),
    ({"type": "inline_data", "inline_data": {"mime_type": "image/png", "data": DATA}}, "vision"),
    ({"type": "new", "image_url": {"url": "data:image/png;base64," + DATA}}, "vision"),
    ({"type": "image_url", "image_url": {"url": "data:application/pdf;base64," + DATA}}, "file"),
    ({"type": "image_url", "image_url": {"detail": "high", "url": "DATA:Video/MP4;base64," + DATA}}, "video"),
    ({"type": "input_image", "image_url": "data:audio/wav;base64," + DATA}, "audio"),
    ({"type": "input_image", "image_url": "data:text/plain," + DATA}, "file"),
    ({"type": "image", "image": "data:video/mp4;base64," + DATA}, "video"),
    ({"type": "image_url", "image_url": {"url": "data:application/octet-stream;base64," + DATA}}, "vision"),
    ({"type": "image_url", "image_url": {"url": "data:;base64," + DATA}}, "vision"),
    ({"type": "image_url", "image_url": {"url": "https://x/data:video/mp4"}}, "vision"),
    ({"type": "new", "image_url": {"url": "data:video/mp4;base64," + DATA}}, "video"),
    (
        {
            "type": "tool_result",
            "content": [{"type": "image_url", "image_url": {"url": "data:application/pdf;base64,A"}}],
        },
        "file",
    ),
    ({"type": "file", "file": {"file_data": "data:image/png;base64," + DATA}}, "file"),
    ({"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "data": DATA}}]}, "vision"),
    ({"type": "file", "mediaType": "application/pdf", "url": "data:application/pdf;base64," + DATA}, "file"),
    ({"type": "image", "url": "data:image/png;base64," + DATA}, "vision"),
    ({"type": "image", "source_type": "url", "url": "data:video/mp4;base64," + DATA}, "video"),
    ({"type": "image", "image_base64": DATA}, "vision"),
    ({"type": "image_base64", "image_base64": DATA}, "vision"),
    ({"type": "image_base64", "new": DATA}, "vision"),
    ({"type": "input_video", "input_video": {"data": DATA, "format": "mp4"}}, "video"),
    ({"type": "audio", "content": DATA, "format": "wav"}, "audio"),
    ({"type": "document", "document": {"data": DATA}}, "file"),
    ({"type": "resource", "resource": {"uri": "u", "mimeType": "application/pdf", "blob": DATA}}, "file"),
    ({"type": "resource", "resource": {"uri": "u", "mimeType": "image/png", "blob": DATA}}, "vision"),
    ({"type": "new", "media_type": "audio/wav", "new": DATA}, "audio"),
    ({"inlineData": {"mimeType": "image/png", "data": DATA}}, "vision"),
    ({"inline_data": {"mime_type": "application/pdf", "data": DATA}}, "file"),
    ({"inline_data": {"data": DATA}}, "file"),
    ({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://x"}}, "video"),
    ({"image": {"format": "png", "source": {"bytes": DATA}}}, "vision"),
    ({"document": {"format": "pdf", "name": "a", "source": {"bytes": DATA}}}, "file"),
]


@pytest.mark.parametrize(("part", "need"), MEDIA)
def test_media_of_every_dialect_need_a_capability_and_are_no_text(part: dict[str, Any], need: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, part]}]}
    request = read_request(json.dumps(body).encode())
    assert request.needs == {need}
    assert request.input_tokens < 2_000
    assert request.text_bytes < 1_000


BESIDE: list[tuple[dict[str, Any], str]] = [
    ({"role": "user", "images": [DATA]}, "vision"),
    ({"role": "assistant", "images": [{"type": "image_url", "image_url": {"url": DATA}}]}, "vision"),
    ({"role": "assistant", "audio": {"id": "audio_1", "data": DATA}}, "audio"),
    ({"role": "assistant", "content": None, "audio": {"id": "audio_1"}}, "audio"),
    ({"role": "assistant", "content": "", "audio": {"id": "audio_1"}}, "audio"),
]


@pytest.mark.parametrize(("message", "need"), BESIDE)
def test_media_beside_the_content_need_a_capability_and_are_no_text(message: dict[str, Any], need: str) -> None:
    body = {"model": "m", "messages": [{"content": "What?", **message}]}
    request = read_request(json.dumps(body).encode())
    assert request.needs == {need}
    assert request.input_tokens < 2_000


def test_a_reference_to_the_audio_of_an_earlier_answer_with_a_text_needs_no_capability() -> None:
    message = {"role": "assistant", "content": "hi", "audio": {"id": "audio_1"}}
    assert read_request(json.dumps({"model": "m", "messages": [message]}).encode()).needs == frozenset()


@pytest.mark.parametrize(
    "part",
    [
        {"text": "x" * 4_000},
        {"type": "resource", "resource": {"uri": "u", "mimeType": "text/plain", "text": "x" * 4_000}},
        {"type": "new", "new": "x" * 4_000},
        {"cachePoint": {"type": "default"}, "new": "x" * 4_000},
        {"type": "file_citation", "title": "x" * 4_000},
    ],
)
def test_a_content_part_without_media_counts_as_text(part: dict[str, Any]) -> None:
    request = read_request(json.dumps({"model": "m", "messages": [{"role": "user", "content": [part]}]}).encode())
    assert request.needs == frozenset()
    assert request.text_bytes > 4_000


def test_a_text_part_may_carry_other_fields() -> None:
    part = {"type": "text", "text": "hi", "source": "x" * 100}
    request = read_request(json.dumps({"model": "m", "messages": [{"role": "user", "content": [part]}]}).encode())
    assert request.needs == frozenset()
    assert request.text_bytes > 100
