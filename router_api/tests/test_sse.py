"""Server-sent events: the parser returns the same events for any division of the bytes."""

import itertools
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.dialects import sse
from rl_router_api.errors import EventTooLargeError

LIMIT = 10_000
DATA = st.lists(
    st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3).map(lambda v: json.dumps(v).encode()),
    max_size=6,
)


def read(*pieces: bytes, limit: int = LIMIT) -> list[bytes]:
    parser = sse.Parser(limit)
    return [*itertools.chain.from_iterable(map(parser.feed, pieces)), *parser.end()]


def cut(whole: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(whole) + 1) for position in at), len(whole)]
    return [whole[start:end] for start, end in itertools.pairwise(edges)]


def test_written_events_can_be_read() -> None:
    assert read(sse.event(b'{"a": 1}') + sse.event(sse.DONE)) == [b'{"a": 1}', sse.DONE]


@settings(max_examples=100, deadline=None)
@given(DATA, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(0, 5_000), max_size=12))
def test_events_do_not_depend_on_the_division_of_the_bytes(data: list[bytes], newline: bytes, at: list[int]) -> None:
    stream = b"".join(b": ping" + newline * 2 + b"data: " + each + newline * 2 for each in data)
    assert read(*cut(stream, at)) == data


ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.sampled_from([b"data: 1", b"data:2", b"data: [DONE]", b"", b": c", b"event: x", b"id: 7", b"data:", b"data"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(LINES, ENDS), max_size=12), st.lists(st.integers(0, 200), max_size=8))
def test_each_line_may_have_another_end(lines: list[tuple[bytes, bytes]], at: list[int]) -> None:
    stream = b"".join(line + end for line, end in lines)
    assert read(*cut(stream, at)) == data_of(stream)


def data_of(stream: bytes) -> list[bytes]:
    """Returns the data of a stream's events, read line by line as the HTML standard describes it."""
    events: list[list[bytes]] = [[]]
    for line in re.split(rb"\r\n|\r|\n", stream):
        if not line:
            events.append([])
        elif line.startswith(b"data:"):
            events[-1].append(line[5:].strip())
    return [data for event in events if (data := b"\n".join(event))]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_stream_can_be_read_byte_by_byte(newline: bytes) -> None:
    stream = newline.join([b"event: x", b"data: 1", b"", b"data: 2", b"id: 7", b"", b""])
    assert read(*(bytes([byte]) for byte in stream)) == [b"1", b"2"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_are_read_without_an_error(stream: bytes, at: list[int]) -> None:
    assert all(isinstance(data, bytes) and data for data in read(*cut(stream, at)))


@pytest.mark.parametrize(
    "stream", [b"", b"\n\n\n\n", b": ping\n\n", b"event: x\nid: 1\n\n", b"data:\n\n", b"data: \n\n"]
)
def test_comments_and_events_without_data_are_skipped(stream: bytes) -> None:
    assert read(stream) == []


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("name", [b"error", b"message", b"errors"])
@pytest.mark.parametrize("space", [b"", b" "])
def test_the_data_of_an_event_with_the_name_error_are_marked(end: bytes, name: bytes, space: bytes) -> None:
    for lines in ([b"event:" + space + name, b"data: {}"], [b"id: 7", b"data: {}", b"event:" + space + name]):
        (data,) = read(end.join([*lines, b"", b""]))
        assert (data, isinstance(data, sse.ErrorData)) == (b"{}", name == b"error")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_line_with_the_name_error_is_an_error_event(end: bytes) -> None:
    first, second = read(end.join([b"data: 1", b"", b'error: {"code":500}', b"", b""]))
    assert (first, isinstance(first, sse.ErrorData)) == (b"1", False)
    assert (second, isinstance(second, sse.ErrorData)) == (b'{"code":500}', True)
    assert sse.is_event_stream(b'error: {"code":500}' + end)


@pytest.mark.parametrize("begun", [b"", b"\xef\xbb\xbf", b" \n", b": a {\n\n", b"\n:\r\n\r\n: b\r:c\n ", b":c"])
@pytest.mark.parametrize("rest", [b'{"a": 1}', b"[1]", b"data: {}\n\n", b""])
def test_white_space_and_comments_before_a_body_are_removed(begun: bytes, rest: bytes) -> None:
    end = b"" if not rest or not begun.endswith(b":c") else b"\n"
    assert sse.without_comments(begun + end + rest) == rest


def test_a_space_after_the_colon_is_optional() -> None:
    assert read(b"data:1\n\ndata: 2\n\n") == [b"1", b"2"]


def test_data_on_several_lines_is_joined() -> None:
    assert read(b'data: {\ndata: "a": 1}\n\n') == [b'{\n"a": 1}']


def test_additional_blank_lines_are_ignored() -> None:
    assert read(b"\n\ndata: 1\n\n\ndata: 2\n\n\n\n") == [b"1", b"2"]


def test_a_last_event_without_a_blank_line_counts_once() -> None:
    parser = sse.Parser(LIMIT)
    assert parser.feed(b"data: 1\n\ndata: 2") == [b"1"]
    assert parser.end() == [b"2"]
    assert parser.end() == []


@pytest.mark.parametrize(
    "pieces", [[b"data: " + b"x" * 200], [b"data: ", b"x" * 200], [b"data: " + b"x" * 200 + b"\n\n"]]
)
def test_an_event_over_the_limit_is_refused(pieces: list[bytes]) -> None:
    parser = sse.Parser(100)
    with pytest.raises(EventTooLargeError):
        for piece in pieces:
            parser.feed(piece)


def test_small_events_together_may_exceed_the_limit() -> None:
    assert len(read(sse.event(b"x" * 50) * 10, limit=100)) == 10


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_lines_of_an_event_are_joined_only_once(end: bytes) -> None:
    """Joining them for every new line would take hours."""
    parser = sse.Parser(10_000_000)
    for _ in range(400_000):
        assert parser.feed(b"data: x" + end) == []
    assert parser.feed(end) == [b"\n".join([b"x"] * 400_000)]
