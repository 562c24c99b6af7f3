"""JSON in the bodies of requests, in answers and in events: what RFC 8259 allows, forbids and leaves open.

The router relays values byte for byte. It refuses invalid requests, because targets would refuse them too. In answers
it accepts what clients accept, because the answer is paid for. Requests are also sent to uvicorn with h11.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from fakes.testbed.router import Setup, Testbed
from fakes.testbed.wire import Row, differences, post
from fakes.upstreams.answers import stream, whole
from fakes.upstreams.exchange import Exchange

VALID = {
    "a digit": b"1", "a negative number": b"-1", "minus zero": b"-0", "a fraction": b"1.50", "an exponent": b"1e1",
    "a capital exponent": b"1E+2", "a negative exponent": b"1e-2", "zero with an exponent": b"0e1",
    "more than a double holds": b"1e999", "less than a double holds": b"1e-999", "more than 64 bits": b"9" * 30,
    "5,000 digits": b"9" * 5_000, "20 decimals": b"0.12345678901234567890",
    "a text": b'"a"', "an empty text": b'""', "every short escape": b'"\\"\\\\\\/\\b\\f\\n\\r\\t"',
    "an escaped letter": b'"\\u00e9"', "an escape in capitals": b'"\\u00E9"', "an escaped NUL": b'"\\u0000"',
    "a surrogate pair": b'"\\ud83e\\udd8a"', "UTF-8": '"é🦊"'.encode(), "DEL": b'"a\x7fb"',
    "a line separator": '"\u2028"'.encode(), "a noncharacter": '"\uffff"'.encode(),
    "a byte order mark in a text": '"\ufeff"'.encode(), "a text that looks like an escape": b'"\\\\u00zz"',
    "true": b"true", "false": b"false", "null": b"null",
    "an empty list": b"[]", "a list": b"[1]", "lists in lists": b"[[],[[]]]", "100 lists": b"[" * 100 + b"]" * 100,
    "an empty object": b"{}", "an object": b'{"a":1}', "an empty key": b'{"":1}', "an escaped key": b'{"\\u0061":1}',
    "100 objects": b'{"a":' * 100 + b"1" + b"}" * 100, "white space": b"[ \t1 , { } ]",
}  # fmt: skip
INVALID = {
    "a leading zero": b"01", "a negative leading zero": b"-01", "a plus sign": b"+1", "no digit after the point": b"1.",
    "no digit before the point": b".5", "only a sign": b"-", "no exponent": b"1e", "no digit in the exponent": b"1e+",
    "hexadecimal": b"0x10", "an underscore": b"1_0", "a space in a number": b"1 000", "two signs": b"--1",
    "two points": b"1.2.3", "a fraction in the exponent": b"1e1.5", "digits of another script": "\uff11".encode(),
    "a negative NaN": b"-NaN", "Inf": b"Inf", "a short escape": b'"\\u12"', "a letter in an escape": b'"\\u12g4"',
    "a long escape": b'"\\U00000041"', "an escape of C": b'"\\x41"', "an unknown escape": b'"\\a"',
    "an octal escape": b'"\\101"', "an escaped apostrophe": b'"\\\'"', "an escape at the end": b'"\\"',
    "apostrophes": b"'a'", "no quotation marks": b"abc", "one quotation mark": b'"a', "three marks": b'"""a"""',
    "backticks": b"`a`", "a byte outside a text": b"\xff", "half a character after a text": b'"a"\xc3',
    "True": b"True", "None": b"None", "a part of a word": b"nul", "a word and a letter": b"nulll",
    "undefined": b"undefined", "a comma at the end of a list": b"[1,]", "a comma at its start": b"[,1]",
    "two commas": b"[1,,2]", "no comma": b"[1 2]", "an open list": b"[1", "a list closed by a brace": b"[1}",
    "only a closing bracket": b"]", "parentheses": b"(1)", "100,000 lists": b"[" * 100_000 + b"]" * 100_000,
    "100,000 open lists": b"[" * 100_000, "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number as a key": b"{1:1}", "a key without quotation marks": b"{a:1}", "a key in apostrophes": b"{'a':1}",
    "null as a key": b"{null:1}", "no colon": b'{"a" 1}', "an equals sign": b'{"a"=1}', "no value": b'{"a":}',
    "a comma at the end of an object": b'{"a":1,}', "a comma at the start of an object": b'{,"a":1}',
    "two colons": b'{"a"::1}', "no comma in an object": b'{"a":1 "b":2}', "an open object": b'{"a":1',
    "a comment": b"1/*c*/", "a hash": b"1#c", "a vertical tab": b"\x0b1", "a form feed": b"\x0c1",
    "a no-break space": "\u00a01".encode(), "a byte order mark within": b"\xef\xbb\xbf1", "NUL": b"1\x00",
}  # fmt: skip
NOT_UTF_8 = {
    "Latin-1": b'"\xe9"', "half a character": b'"\xc3"', "three quarters of a character": b'"\xf0\x9f\xa6"',
    "an overlong slash": b'"\xc0\xaf"', "a long overlong slash": b'"\xe0\x80\xaf"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"', "beyond Unicode": b'"\xf4\x90\x80\x80"', "a byte of no text": b'"\xff"',
}  # fmt: skip
"""Texts that are not UTF-8, which the router repairs in answers but refuses in requests."""
TOLERATED = {
    "NaN": b"NaN", "Infinity": b"Infinity", "minus infinity": b"-Infinity",
    "the first half of a pair": b'"\\ud83e"', "the second half of a pair": b'"\\udd8a"',
    "the halves of a pair in the wrong order": b'"\\udd8a\\ud83e"', "half of a pair and a letter": b'"\\ud83ea"',
    "two first halves": b'"\\ud83e\\ud83e"', "a tab in a text": b'"a\tb"', "NUL in a text": b'"a\x00b"',
    "a control character in a text": b'"a\x1fb"', "half of a pair in a key": b'{"\\ud83e":1}',
}  # fmt: skip
"""Values that are invalid, or that RFC 8259, 8.2, leaves open, and that Python's and other clients accept."""
OPEN = {"a repeated key": b'{"a":1,"a":2}'}
"""Values that RFC 8259, 4, leaves open. Each target decides, because the router relays them."""
HEAD = b'{"model":"alpha","messages":[{"role":"user","content":"%d"}]%b'
REQUEST = HEAD % (1, b"}")
ANSWER = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":' \
         b'{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"x":%b}'  # fmt: skip
CHUNK = b'{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":' \
        b'{"content":"hi"},"finish_reason":"stop"}],"x":%b}'  # fmt: skip


async def setup_with(testbed: Testbed, values: list[bytes]) -> Setup:
    """Starts a router whose target answers with the value that the question's number names."""

    async def answer(exchange: Exchange) -> None:
        number = re.search(rb'"content":"(\d+)"', exchange.raw)
        value = values[int(number[1])] if number else b"1"
        script = stream([CHUNK % value]) if b'"stream":true' in exchange.raw else whole(ANSWER % value)
        await script(exchange)

    return await testbed.start(None, answer, changes={"alpha": {"timeout": 10}})


async def sent(setup: Setup, body: bytes) -> tuple[int, bytes]:
    """Returns the status and body of the response to a request."""
    response = await setup.client.post(
        "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
    )
    return response.status_code, response.content


def batches(values: dict[str, bytes]) -> Iterator[list[tuple[str, int, bytes]]]:
    """Yields the names, numbers and values in batches that are sent at once."""
    rows = [(name, number, value) for number, (name, value) in enumerate(values.items())]
    for start in range(0, len(rows), 10):
        yield rows[start : start + 10]


@pytest.mark.parametrize(
    ("values", "status"),
    [(VALID, 200), (OPEN, 200), (INVALID, 400), (NOT_UTF_8, 400), (TOLERATED, 400)],
    ids=["valid", "open", "invalid", "not UTF-8", "tolerated in answers"],
)
async def test_a_value_in_a_request_is_relayed_or_refused(
    testbed: Testbed, values: dict[str, bytes], status: int
) -> None:
    setup = await setup_with(testbed, [b"1"] * len(values))
    for batch in batches(values):
        answers = await asyncio.gather(
            *(sent(setup, HEAD % (number, b',"metadata":%b}' % value)) for _, number, value in batch)
        )
        assert {name: got[0] for (name, _, _), got in zip(batch, answers, strict=True)} == {
            name: status for name, _, _ in batch
        }
    relayed = [request.raw for request in setup.alpha.requests]
    assert [name for name, value in values.items() if not any(b":%b" % value in raw for raw in relayed)] == (
        [] if status == 200 else list(values)
    )


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("values", "status"),
    [(VALID, 200), (OPEN, 200), (TOLERATED, 200), (NOT_UTF_8, 200), (INVALID, 502)],
    ids=["valid", "open", "tolerated", "not UTF-8", "invalid"],
)
async def test_a_value_in_an_answer_is_relayed_or_the_answer_is_broken(
    testbed: Testbed, values: dict[str, bytes], status: int, streamed: bool
) -> None:
    setup = await setup_with(testbed, list(values.values()))
    for batch in batches(values):
        tail = b',"stream":true}' if streamed else b"}"
        answers = await asyncio.gather(*(sent(setup, HEAD % (number, tail)) for _, number, _ in batch))
        assert {name: got[0] for (name, _, _), got in zip(batch, answers, strict=True)} == {
            name: status for name, _, _ in batch
        }
        if values is VALID or values is OPEN:
            assert [name for (name, _, value), got in zip(batch, answers, strict=True) if value not in got[1]] == []


def body(data: bytes) -> bytes:
    """Returns a request with this body."""
    return post(b"Content-Length: %d\r\n" % len(data), data)


TEXTS = {
    "an object": Row(body(REQUEST), "200 404"),
    "white space around an object": Row(body(b" \t\r\n" + REQUEST + b" \t\r\n"), "200 404"),
    "a byte order mark": Row(body(b"\xef\xbb\xbf" + REQUEST), "200 404"),
    "two byte order marks": Row(body(b"\xef\xbb\xbf" * 2 + REQUEST), "400 404"),
    "UTF-16": Row(body(REQUEST.decode().encode("utf-16")), "400 404"),
    "UTF-16 without a byte order mark": Row(body(REQUEST.decode().encode("utf-16-le")), "400 404"),
    "UTF-32": Row(body(REQUEST.decode().encode("utf-32")), "400 404"),
    "nothing": Row(body(b""), "400 404"),
    "only white space": Row(body(b" \n"), "400 404"),
    "only a byte order mark": Row(body(b"\xef\xbb\xbf"), "400 404"),
    "a list": Row(body(b"[" + REQUEST + b"]"), "400 404"),
    "a text": Row(body(b'"a"'), "400 404"),
    "a number": Row(body(b"1"), "400 404"),
    "null": Row(body(b"null"), "400 404"),
    "two objects": Row(body(REQUEST * 2), "400 404"),
    "an object and a comma": Row(body(REQUEST + b","), "400 404"),
    "an object and a brace": Row(body(REQUEST + b"}"), "400 404"),
    "an object and NUL": Row(body(REQUEST + b"\x00"), "400 404"),
    "half an object": Row(body(REQUEST[:-1]), "400 404"),
    "a comment before an object": Row(body(b"// c\n" + REQUEST), "400 404"),
    "a form": Row(body(b"model=alpha&messages=hi"), "400 404"),
    "YAML": Row(body(b"model: alpha"), "400 404"),
    "binary bytes": Row(body(bytes(range(256))), "400 404"),
    "the model twice": Row(body(b'{"model":"nobody",' + REQUEST[1:]), "200 404"),
}  # fmt: skip


async def test_a_text_is_a_request_or_a_400(testbed: Testbed) -> None:
    assert await differences(testbed, TEXTS) == ""
