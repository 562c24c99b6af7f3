"""Bodies of requests: Content-Length, Transfer-Encoding, chunks and pipelines, as RFC 9112 defines them.

Each row is also sent to uvicorn with h11. If h11 answers otherwise, the row has the reason why the router is right.
"""

from __future__ import annotations

import asyncio

import pytest

from fakes.testbed.router import Testbed
from fakes.testbed.wire import (
    BARE_LF,
    BODY,
    CHUNKED,
    CHUNKS,
    EMPTY_LINES,
    FOLD,
    LENGTH,
    ZEROS,
    Row,
    both_servers,
    differences,
    get,
    header,
    line,
    post,
)

LENGTH_LIMIT = "RFC 9112, 6.3 and 7.1: a number that overflows must not be mistaken for a smaller one"
TWO_LENGTHS = "RFC 9110, 8.6: a server may refuse repeated lengths, and proxies disagree about them"
OTHER_CODING = "a tab after the coding is refused, because proxies disagree about it"
TWO_FRAMINGS = "RFC 9112, 6.3: a server may refuse a request with a length and a coding, which may be smuggling"
NOT_IMPLEMENTED = "RFC 9112, 6.1: an unknown coding is a 501"
BAD_SPACE = "white space in a chunk's head is refused, because proxies disagree about it"
EXTENSION = "RFC 9112, 7.1.1: an extension is a token with a token or a quoted string"
TRAILER = "RFC 9110, 6.5.1: a trailer must not describe the framing"
NO_SECOND = "earlier requests get their answers, then the connection ends without a word about the bytes after them"
SIZE = b"%x" % len(BODY)
NUMBER = b"%d" % len(BODY)


def length(value: bytes) -> bytes:
    """Returns a request with this value of Content-Length."""
    return post(b"Content-Length:" + value + b"\r\n")


def coding(value: bytes) -> bytes:
    """Returns a chunked request with this value of Transfer-Encoding."""
    return post(b"Transfer-Encoding:" + value + b"\r\n", CHUNKS)


def chunked(body: bytes) -> bytes:
    """Returns a request with these chunks."""
    return post(CHUNKED, body)


LENGTHS = {
    "the length": Row(length(b" " + NUMBER), "200 404"),
    "no white space": Row(length(NUMBER), "200 404"),
    "white space around": Row(length(b" \t " + NUMBER + b" \t"), "200 404"),
    "leading zeros": Row(length(b" 000" + NUMBER), "200 404"),
    "a plus sign": Row(length(b" +" + NUMBER), "400"),
    "a minus sign": Row(length(b" -" + NUMBER), "400"),
    "minus zero": Row(length(b" -0"), "400"),
    "no value": Row(length(b""), "400"),
    "a blank value": Row(length(b" "), "400"),
    "letters": Row(length(b" sixty"), "400"),
    "hexadecimal": Row(length(b" 0x3d"), "400"),
    "octal": Row(length(b" 0o75"), "400"),
    "a point": Row(length(b" " + NUMBER + b".0"), "400"),
    "an exponent": Row(length(b" 61e0"), "400"),
    "an underscore": Row(length(b" 6_1"), "400"),
    "a space within": Row(length(b" 6 1"), "400"),
    "a comma at the end": Row(length(b" " + NUMBER + b","), "400"),
    "a comma at the start": Row(length(b" ," + NUMBER), "400"),
    "a semicolon": Row(length(b" " + NUMBER + b";"), "400"),
    "quotation marks": Row(length(b' "' + NUMBER + b'"'), "400"),
    "other digits of Unicode": Row(length(" \uff16\uff11".encode()), "400"),
    "a NUL after the number": Row(length(b" " + NUMBER + b"\x00"), "400"),
    "a bare CR after the number": Row(length(b" " + NUMBER + b"\r"), "400"),
    "a vertical tab before the number": Row(length(b" \x0b" + NUMBER), "400"),
    "more than 64 bits": Row(length(b" 99999999999999999999"), "400", "413 waits", LENGTH_LIMIT),
    "a list of one length": Row(length(b" " + NUMBER + b", " + NUMBER), "400", "200 404", TWO_LENGTHS),
    "a list of two lengths": Row(length(b" " + NUMBER + b", 5"), "400"),
    "the same length twice": Row(post(LENGTH * 2), "400", "200 404", TWO_LENGTHS),
    "two lengths": Row(post(LENGTH + b"Content-Length: 5\r\n"), "400"),
    "two lengths in other spellings": Row(post(LENGTH + b"CONTENT-LENGTH: 5\r\n"), "400"),
    "a folded length": Row(length(b"\r\n " + NUMBER), "400", "200 404", FOLD),
    "a length in two lines": Row(length(b" 6\r\n 1"), "400"),
    "white space before the colon": Row(post(b"Content-Length : " + NUMBER + b"\r\n"), "400"),
    "a length with an underscore in its name": Row(post(b"Content_Length: " + NUMBER + b"\r\n", b""), "400 404"),
    "a body shorter than the length": Row(post(b"Content-Length: 2\r\n", b"{}"), "400 404"),
    "an end of line after the body": Row(post(LENGTH, BODY + b"\r\n"), "200 404", "200 400", EMPTY_LINES),
}
CODINGS = {
    "chunked": Row(coding(b" chunked"), "200 404"),
    "no white space": Row(coding(b"chunked"), "200 404"),
    "white space around": Row(coding(b" \t chunked \t"), "400", "200 404", OTHER_CODING),
    "capitals": Row(coding(b" CHUNKED"), "200 404"),
    "mixed case": Row(coding(b" ChUnKeD"), "200 404"),
    "an empty coding": Row(coding(b""), "400"),
    "an unknown coding": Row(coding(b" xchunked"), "501", "400", NOT_IMPLEMENTED),
    "a coding that begins like chunked": Row(coding(b" chunkedx"), "501", "400", NOT_IMPLEMENTED),
    "gzip": Row(coding(b" gzip"), "501", "400", NOT_IMPLEMENTED),
    "identity": Row(coding(b" identity"), "501", "400", NOT_IMPLEMENTED),
    "gzip and chunked": Row(coding(b" gzip, chunked"), "501", "400", NOT_IMPLEMENTED),
    "identity and chunked": Row(coding(b" identity, chunked"), "501", "400", NOT_IMPLEMENTED),
    "chunked and identity": Row(coding(b" chunked, identity"), "400"),
    "chunked and gzip": Row(coding(b" chunked, gzip"), "400"),
    "chunked twice in a list": Row(coding(b" chunked, chunked"), "400"),
    "a comma before chunked": Row(coding(b" , chunked"), "501", "400", NOT_IMPLEMENTED),
    "a comma after chunked": Row(coding(b" chunked,"), "400"),
    "a semicolon after chunked": Row(coding(b" chunked;"), "501", "400", NOT_IMPLEMENTED),
    "a parameter": Row(coding(b" chunked;q=1"), "501", "400", NOT_IMPLEMENTED),
    "quotation marks": Row(coding(b' "chunked"'), "501", "400", NOT_IMPLEMENTED),
    "apostrophes": Row(coding(b" 'chunked'"), "501", "400", NOT_IMPLEMENTED),
    "two words": Row(coding(b" x chunked"), "501", "400", NOT_IMPLEMENTED),
    "a vertical tab before chunked": Row(coding(b" \x0bchunked"), "400"),
    "a form feed before chunked": Row(coding(b" \x0cchunked"), "400"),
    "a NUL after chunked": Row(coding(b" chunked\x00"), "400"),
    "a control character after chunked": Row(coding(b" chunked\x01"), "400"),
    "a no-break space before chunked": Row(coding(b" \xa0chunked"), "501", "400", NOT_IMPLEMENTED),
    "a bare CR before chunked": Row(coding(b"\rchunked"), "400"),
    "a bare LF before chunked": Row(coding(b"\nchunked"), "400"),
    "a folded coding": Row(coding(b"\r\n chunked"), "400", "200 404", FOLD),
    "a coding folded with a tab": Row(coding(b"\r\n\tchunked"), "400", "200 404", FOLD),
    "a list folded after a comma": Row(coding(b" gzip,\r\n chunked"), "400"),
    "chunked twice": Row(post(CHUNKED * 2, CHUNKS), "400"),
    "chunked and another header with identity": Row(post(CHUNKED + b"Transfer-Encoding: identity\r\n", CHUNKS), "400"),
    "white space before the colon": Row(post(b"Transfer-Encoding : chunked\r\n", CHUNKS), "400"),
    "a leading space": Row(post(LENGTH + b" Transfer-Encoding: chunked\r\n", CHUNKS), "400"),
    "an underscore in the name": Row(post(LENGTH + b"Transfer_Encoding: chunked\r\n"), "200 404"),
    "a NUL in the name": Row(post(LENGTH + b"Transfer-Encoding\x00: chunked\r\n"), "400"),
    "another name": Row(post(LENGTH + b"X-Transfer-Encoding: chunked\r\n"), "200 404"),
    "a length after chunked": Row(post(CHUNKED + LENGTH, CHUNKS), "400", "200 404", TWO_FRAMINGS),
    "a length before chunked": Row(post(LENGTH + CHUNKED, CHUNKS), "400", "200 404", TWO_FRAMINGS),
    "a length of 0 and chunked": Row(post(b"Content-Length: 0\r\n" + CHUNKED, CHUNKS), "400", "200 404", TWO_FRAMINGS),
    "a length and an unknown coding": Row(post(LENGTH + b"Transfer-Encoding: x\r\n"), "400"),
    "a length and identity": Row(post(LENGTH + b"Transfer-Encoding: identity\r\n"), "400"),
}
CHUNK_SYNTAX = {
    "one chunk": Row(chunked(CHUNKS), "200 404"),
    "a chunk for each byte": Row(chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"), "200 404"),
    "an empty body": Row(chunked(b"0\r\n\r\n"), "400 404"),
    "capitals in the size": Row(chunked(SIZE.upper() + b"\r\n" + BODY + b"\r\n0\r\n\r\n"), "200 404"),
    "leading zeros": Row(chunked(b"0000" + SIZE + b"\r\n" + BODY + b"\r\n0000\r\n\r\n"), "200 404"),
    "30 leading zeros": Row(chunked(b"0" * 30 + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n"), "200 404", "400", ZEROS),
    "a space before the size": Row(chunked(b" " + CHUNKS), "400"),
    "a space after the size": Row(chunked(SIZE + b" \r\n" + BODY + b"\r\n0\r\n\r\n"), "400", "200 404", BAD_SPACE),
    "a tab after the size": Row(chunked(SIZE + b"\t\r\n" + BODY + b"\r\n0\r\n\r\n"), "400", "200 404", BAD_SPACE),
    "a prefix of hexadecimal": Row(chunked(b"0x" + CHUNKS), "400"),
    "a plus sign": Row(chunked(b"+" + CHUNKS), "400"),
    "a minus sign": Row(chunked(b"-" + CHUNKS), "400"),
    "an underscore": Row(chunked(b"3_d\r\n" + BODY + b"\r\n0\r\n\r\n"), "400"),
    "a letter that is no digit": Row(chunked(b"3g\r\n" + BODY + b"\r\n0\r\n\r\n"), "400"),
    "no size": Row(chunked(b"\r\n" + BODY + b"\r\n0\r\n\r\n"), "400"),
    "a size of more than 64 bits": Row(
        chunked(b"1" + b"0" * 16 + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n"), "400", "waits", LENGTH_LIMIT
    ),
    "a size that ends with a bare LF": Row(chunked(SIZE + b"\n" + BODY + b"\r\n0\r\n\r\n"), "400"),
    "a size that ends with a bare CR": Row(chunked(SIZE + b"\r" + BODY + b"\r\n0\r\n\r\n"), "400"),
    "data that end with a bare LF": Row(chunked(SIZE + b"\r\n" + BODY + b"\n0\r\n\r\n"), "400"),
    "data that end with a bare CR": Row(chunked(SIZE + b"\r\n" + BODY + b"\r0\r\n\r\n"), "400"),
    "data without a line end": Row(chunked(SIZE + b"\r\n" + BODY + b"0\r\n\r\n"), "400"),
    "data longer than the size": Row(chunked(b"2\r\n" + BODY + b"\r\n0\r\n\r\n"), "400"),
    "data shorter than the size": Row(chunked(b"3f\r\n" + BODY + b"\r\n0\r\n\r\n"), "400"),
    "a last chunk that ends with a bare LF": Row(chunked(CHUNKS[:-2] + b"\n"), "400", "200 404", BARE_LF),
    "a last size that ends with a bare LF": Row(chunked(CHUNKS[:-4] + b"\n\r\n"), "400"),
    "no line end after the last chunk": Row(chunked(CHUNKS[:-2]), "400"),
    "an extension": Row(chunked(SIZE + b";a=b\r\n" + BODY + b"\r\n0\r\n\r\n"), "200 404"),
    "an extension of the last chunk": Row(chunked(CHUNKS[:-4] + b";a=b\r\n\r\n"), "200 404"),
    "an extension without a value": Row(chunked(SIZE + b";a\r\n" + BODY + b"\r\n0\r\n\r\n"), "200 404"),
    "two extensions": Row(chunked(SIZE + b";a=b;c=d\r\n" + BODY + b"\r\n0\r\n\r\n"), "200 404"),
    "a quoted extension": Row(chunked(SIZE + b';a="b;c\\""\r\n' + BODY + b"\r\n0\r\n\r\n"), "200 404"),
    "a quoted extension with a line end": Row(chunked(SIZE + b';a="b\r\nc"\r\n' + BODY + b"\r\n0\r\n\r\n"), "400"),
    "an open quotation mark": Row(chunked(SIZE + b';a="b\r\n' + BODY + b"\r\n0\r\n\r\n"), "400", "200 404", EXTENSION),
    "an extension without a name": Row(chunked(SIZE + b";\r\n" + BODY + b"\r\n0\r\n\r\n"), "400", "200 404", EXTENSION),
    "an extension with only a value": Row(chunked(SIZE + b";=b\r\n" + BODY + b"\r\n0\r\n\r\n"), "200 404"),
    "white space around an extension": Row(chunked(SIZE + b" ; a = b\r\n" + BODY + b"\r\n0\r\n\r\n"), "400"),
    "white space after a semicolon": Row(
        chunked(SIZE + b"; a=b\r\n" + BODY + b"\r\n0\r\n\r\n"), "400", "200 404", BAD_SPACE
    ),
    "an extension with a NUL": Row(
        chunked(SIZE + b";a\x00\r\n" + BODY + b"\r\n0\r\n\r\n"), "400", "200 404", EXTENSION
    ),
    "an extension with a bare CR": Row(
        chunked(SIZE + b";a\rb\r\n" + BODY + b"\r\n0\r\n\r\n"), "400", "200 404", EXTENSION
    ),
    "an extension that ends with a bare LF": Row(chunked(SIZE + b";a\n" + BODY + b"\r\n0\r\n\r\n"), "400"),
    "an extension with a byte above ASCII": Row(
        chunked(SIZE + b";\xe9\r\n" + BODY + b"\r\n0\r\n\r\n"), "400", "200 404", EXTENSION
    ),
    "a trailer": Row(chunked(CHUNKS[:-2] + b"X-A: 1\r\n\r\n"), "200 404"),
    "a trailer with a key": Row(chunked(CHUNKS[:-2] + b"Authorization: Bearer a\r\n\r\n"), "200 404"),
    "a trailer with a host": Row(chunked(CHUNKS[:-2] + b"Host: y\r\n\r\n"), "200 404"),
    "a trailer with a length": Row(chunked(CHUNKS[:-2] + b"Content-Length: 5\r\n\r\n"), "400", "200 404", TRAILER),
    "a trailer with a coding": Row(
        chunked(CHUNKS[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"), "400", "200 404", TRAILER
    ),
    "a trailer without a colon": Row(chunked(CHUNKS[:-2] + b"X-A\r\n\r\n"), "400"),
    "a trailer with a space in its name": Row(chunked(CHUNKS[:-2] + b"X A: 1\r\n\r\n"), "400"),
    "a folded trailer": Row(chunked(CHUNKS[:-2] + b"X-A: 1\r\n 2\r\n\r\n"), "400", "200 404", FOLD),
    "a trailer with a NUL": Row(chunked(CHUNKS[:-2] + b"X-A: \x00\r\n\r\n"), "400"),
    "a trailer with a bare CR": Row(chunked(CHUNKS[:-2] + b"X-A: a\rb\r\n\r\n"), "400"),
    "a trailer that ends with a bare LF": Row(chunked(CHUNKS[:-2] + b"X-A: 1\n\r\n"), "400", "200 404", BARE_LF),
    "an end of line after the body": Row(chunked(CHUNKS + b"\r\n"), "200 404", "200 400", EMPTY_LINES),
}
PIPELINES = {
    "two requests": Row(get() * 2, "200 200 404"),
    "a body and a request": Row(post() + get(), "200 200 404"),
    "a chunked body and a request": Row(post(CHUNKED, CHUNKS) + get(), "200 200 404"),
    "a request after close": Row(header(b"Connection: close") + get(), "200"),
    "a request after a refused request": Row(get(b"") + get(), "400"),
    "an unknown path and a request": Row(line(b"GET /nothing HTTP/1.1") + get(), "404 200 404"),
    "an invalid body and a request": Row(post(b"Content-Length: 2\r\n", b"{}") + get(), "400 200 404"),
    "a request after nonsense": Row(get() + b"nonsense\r\n\r\n" + get(), "200", "200 400", NO_SECOND),
    "an empty line between requests": Row(get() + b"\r\n" + get(), "200 200 404", "200 400", EMPTY_LINES),
    "a request with an error in its chunks and a request": Row(post(CHUNKED, b"x\r\n") + get(), "400"),
    "HTTP/1.0 before HTTP/1.1": Row(line(b"GET /v1/models HTTP/1.0") + get(), "200"),
    "ten requests": Row((get() + post()) * 5, "200 " * 10 + "404"),
}
TABLES = {"lengths": LENGTHS, "codings": CODINGS, "chunks": CHUNK_SYNTAX, "pipelines": PIPELINES}


@pytest.mark.parametrize("size", [1, 7])
async def test_the_answers_do_not_depend_on_the_division_of_the_bytes(testbed: Testbed, size: int) -> None:
    rows = {**LENGTHS, **CODINGS, **CHUNK_SYNTAX}
    async with both_servers(testbed) as (router, _):
        answers = await asyncio.gather(*(router.answers(row.sent, size) for row in rows.values()))
    assert dict(zip(rows, answers, strict=True)) == {name: row.answers for name, row in rows.items()}


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES)
async def test_a_body_gets_its_answers(testbed: Testbed, rows: dict[str, Row]) -> None:
    assert await differences(testbed, rows) == ""
