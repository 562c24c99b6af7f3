"""Requests whose body contains another request, and whose headers or chunks leave doubt about the body's end.

A proxy in front of the router may see another end than the router. Then the router must not answer the inner request:
in doubt it sends one error and closes the connection. Every spelling of Transfer-Encoding is combined with every
spelling of Content-Length, in both orders, and every part of a chunked body with every other.
"""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Literal

import pytest

from fakes.testbed.router import Testbed
from fakes.testbed.wire import CHUNKED, Server, both_servers, post

INNER = b"GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
"""The inner request. Its answer would be a 404, like that of the last request."""
BODIES = {
    "behind the chunks": b"0\r\n\r\n" + INNER,
    "within a chunk": b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER),
}
CHUNKS_THEN_REQUEST = {"behind the chunks": "400 404 404", "within a chunk": "400 404"}
"""The answers to a chunked body. The request behind the chunks is a request of its own."""
Meaning = Literal["refused", "chunked", "length", "ignored"]
"""What a server makes of a spelling. An ignored spelling is a header that says nothing about the body."""

FOLDED = "h11 joins folded lines (RFC 9112, 5.2, lets a server refuse them)"
LF = "h11 ends a line at a bare LF (RFC 9112, 2.2, lets a server refuse it)"
TAB = "h11 removes a tab after the coding; llhttp refuses it"
REPEATED = "h11 takes a length that is repeated (RFC 9110, 8.6, lets a server refuse it)"
CODINGS: dict[bytes, tuple[Meaning, Meaning, str] | Meaning] = {
    b"": "ignored",
    b"Transfer-Encoding: chunked\r\n": "chunked",
    b"Transfer-Encoding:chunked\r\n": "chunked",
    b"Transfer-Encoding:\tchunked\r\n": "chunked",
    b"Transfer-Encoding: chunked \r\n": "chunked",
    b"TRANSFER-ENCODING: CHUNKED\r\n": "chunked",
    b"transfer-encoding: chunked\r\n": "chunked",
    b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n": "chunked",
    b"Transfer_Encoding: chunked\r\n": "ignored",
    b"X-Transfer-Encoding: chunked\r\n": "ignored",
    b"TE: chunked\r\n": "ignored",
    b"X-A: Transfer-Encoding: chunked\r\n": "ignored",
    b"Transfer-Encoding: xchunked\r\n": "refused",
    b"Transfer-Encoding: chunkedx\r\n": "refused",
    b"Transfer-Encoding: chunked;q=1\r\n": "refused",
    b"Transfer-Encoding: chunked x\r\n": "refused",
    b"Transfer-Encoding : chunked\r\n": "refused",
    b"Transfer-Encoding\t: chunked\r\n": "refused",
    b"Transfer-Encoding\x00: chunked\r\n": "refused",
    b"Transfer-Encoding\r\n: chunked\r\n": "refused",
    b"Transfer-Encoding chunked\r\n": "refused",
    b"X-A: 1\r\n Transfer-Encoding: chunked\r\n": ("refused", "ignored", FOLDED),
    b"X-A: 1\r\n\tTransfer-Encoding: chunked\r\n": ("refused", "ignored", FOLDED),
    b"Transfer-Encoding:\r\n chunked\r\n": ("refused", "chunked", FOLDED),
    b"Transfer-Encoding: x\r\n chunked\r\n": "refused",
    b"X-A: 1\nTransfer-Encoding: chunked\r\n": ("refused", "chunked", LF),
    b"X-A: 1\rTransfer-Encoding: chunked\r\n": "refused",
    b"Transfer-Encoding:\nchunked\r\n": "refused",
    b"Transfer-Encoding:\rchunked\r\n": "refused",
    b"Transfer-Encoding:\x0bchunked\r\n": "refused",
    b"Transfer-Encoding:\x0cchunked\r\n": "refused",
    b"Transfer-Encoding:\x00chunked\r\n": "refused",
    b"Transfer-Encoding: chunked\x00\r\n": "refused",
    b"Transfer-Encoding: \xa0chunked\r\n": "refused",
    b"Transfer-Encoding: \xef\xbb\xbfchunked\r\n": "refused",
    b"Transfer-Encoding: chunked\t\r\n": ("refused", "chunked", TAB),
    b'Transfer-Encoding: "chunked"\r\n': "refused",
    b"Transfer-Encoding: gzip, chunked\r\n": "refused",
    b"Transfer-Encoding: chunked, identity\r\n": "refused",
    b"Transfer-Encoding: chunked, chunked\r\n": "refused",
    b"Transfer-Encoding: ,chunked\r\n": "refused",
    b"Transfer-Encoding: chunked,\r\n": "refused",
    b"Transfer-Encoding: identity\r\n": "refused",
    b"Transfer-Encoding:\r\n": "refused",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n": "refused",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n": "refused",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n": "refused",
}
LENGTHS: dict[bytes, tuple[Meaning, Meaning, str] | Meaning] = {
    b"": "ignored",
    b"Content-Length: %d\r\n": "length",
    b"Content-Length:%d\r\n": "length",
    b"CONTENT-LENGTH: %d\r\n": "length",
    b"Content-Length: 00%d\r\n": "length",
    b"Content-Length: \t%d \t\r\n": "length",
    b"Content_Length: %d\r\n": "ignored",
    b"X-Content-Length: %d\r\n": "ignored",
    b"Content-Length: +%d\r\n": "refused",
    b"Content-Length: -%d\r\n": "refused",
    b"Content-Length: 0x%x\r\n": "refused",
    b"Content-Length: %d, 0\r\n": "refused",
    b"Content-Length: %d;\r\n": "refused",
    b"Content-Length : %d\r\n": "refused",
    b"Content-Length: %d\x00\r\n": "refused",
    b"Content-Length: %d\r\r\n": "refused",
    b"Content-Length:\r\nX-Old: %d\r\n": "refused",
    b"Content-Length: 0\r\nContent-Length: %d\r\n": "refused",
    b"Content-Length: %d\r\nContent-Length: 0\r\n": "refused",
    b"Content-Length: %d, %d\r\n": ("refused", "length", REPEATED),
    b"Content-Length: %d\r\nContent-Length: %d\r\n": ("refused", "length", REPEATED),
    b"Content-Length:\r\n %d\r\n": ("refused", "length", FOLDED),
    b"X-A: 1\r\n Content-Length: %d\r\n": ("refused", "ignored", FOLDED),
}


def router_meaning(meaning: tuple[Meaning, Meaning, str] | Meaning) -> Meaning:
    return meaning if isinstance(meaning, str) else meaning[0]


def h11_meaning(meaning: tuple[Meaning, Meaning, str] | Meaning) -> Meaning:
    return meaning if isinstance(meaning, str) else meaning[1]


def answers_of_router(coding: Meaning, length: Meaning, body: str) -> set[str]:
    """Returns the possible answers. A request with both a coding and a length is refused (RFC 9112, 6.3)."""
    if "refused" in (coding, length) or (coding, length) == ("chunked", "length"):
        return {"400", "501"}
    if coding == "chunked":
        return {CHUNKS_THEN_REQUEST[body]}
    # Without a length there is no body, and its first byte is not a request: the connection is closed.
    return {"400 404"} if length == "length" else {"400"}


def answers_of_h11(coding: Meaning, length: Meaning, body: str) -> set[str]:
    """Returns the possible answers. h11 lets a coding override a length, as RFC 9112, 6.3, allows."""
    if "refused" in (coding, length):
        return {"400"}
    if coding == "chunked":
        return {CHUNKS_THEN_REQUEST[body]}
    return {"400 404"} if length == "length" else {"400 400"}


def sized(length: bytes, size: int) -> bytes:
    """Returns the spelling of a length with its numbers."""
    return length.replace(b"%d", b"%d" % size).replace(b"%x", b"%x" % size)


async def deviations(server: Server, expected: dict[bytes, set[str]]) -> dict[bytes, str]:
    """Returns the answers to each request that gets others than expected."""
    answers = await asyncio.gather(*(server.answers(sent) for sent in expected))
    pairs = zip(expected.items(), answers, strict=True)
    return {sent: got for (sent, allowed), got in pairs if got not in allowed}


@pytest.mark.parametrize(("name", "body"), BODIES.items(), ids=BODIES)
async def test_a_request_within_a_body_is_never_answered(testbed: Testbed, name: str, body: bytes) -> None:
    router: dict[bytes, set[str]] = {}
    h11: dict[bytes, set[str]] = {}
    for (coding, says), (length, counts) in product(CODINGS.items(), LENGTHS.items()):
        size = sized(length, len(body))
        for headers in (coding + size, size + coding):
            router[post(headers, body)] = answers_of_router(router_meaning(says), router_meaning(counts), name)
        h11[post(coding + size, body)] = answers_of_h11(h11_meaning(says), h11_meaning(counts), name)
    async with both_servers(testbed) as (ours, other):
        assert await deviations(ours, router) == {}
        assert await deviations(other, h11) == {}


HEAD_ENDS = [b"\r\n", b";a=b\r\n", b'; a="\r\n', b"\n", b"\r", b" \r\n", b"\t\r\n", b";\n", b";a\rb\r\n", b"\x00\r\n"]
DATA_ENDS = [b"\r\n", b"", b"\n", b"\r", b"\r\r\n", b"xx"]
LAST_HEADS = [b"0\r\n", b"000;a\r\n", b"0\n", b"0\r", b"0 \r\n", b"-0\r\n", b"0x0\r\n", b"00 ;\r\n"]
TRAILERS = [
    b"\r\n",
    b"X-A: 1\r\n\r\n",
    b"\n",
    b"X-A: 1\n\n",
    b"X-A: 1\r\n b\r\n\r\n",
    b" \r\n",
    b"Content-Length: 9\r\n\r\n",
]
VALID = {HEAD_ENDS[0], HEAD_ENDS[1], DATA_ENDS[0], LAST_HEADS[0], LAST_HEADS[1], TRAILERS[0], TRAILERS[1]}


async def test_an_error_in_a_chunked_body_ends_the_connection(testbed: Testbed) -> None:
    expected = {}
    for parts in product(HEAD_ENDS, DATA_ENDS, LAST_HEADS, TRAILERS):
        if sum(part not in VALID for part in parts) > 2:
            continue
        head, data, last, trailer = parts
        body = b"%x%b%b%b%b%b" % (len(INNER), head, INNER, data, last, trailer)
        expected[post(CHUNKED, body)] = {"400 404" if VALID.issuperset(parts) else "400"}
    async with both_servers(testbed) as (ours, _):
        assert await deviations(ours, expected) == {}
