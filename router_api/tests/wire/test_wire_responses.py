"""Responses of upstreams: the router reads what httpx reads, whole and byte by byte.

Each row is also sent to httpx. If httpx reads it otherwise, the row has the reason why the router is right.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from rl_router_api.errors import TransportError
from rl_router_api.upstreams.transport import HttpTransport, read_whole

from fakes.testbed.wire import CHUNKED, ZEROS, Row
from fakes.upstreams.raw import OK, Handler, raw_server, sending

LENGTH = b"Content-Length: 2\r\n"
REFUSED = "refused"
BARE_LF = "RFC 9112, 2.2: a recipient may refuse a line end without CR"
TWO_LENGTHS = "RFC 9110, 8.6: a recipient may refuse repeated lengths, which show that two programs wrote the headers"
BLANK_START = "RFC 9112, 2.2, says nothing about clients; llhttp ignores the empty lines"
NAME_SPACE = "RFC 9112, 5.1: white space after a name is removed from a response"
FIRST_FOLD = "RFC 9112, 2.2, lets a recipient ignore the white space; the router uses few headers"
CONTROL = "RFC 9110, 5.5: NUL in a value becomes a space, and other control characters may be kept"
EXTENSION = (
    "RFC 9112, 7.1.1: an extension is a token with a token or a quoted string; llhttp takes no white space in it"
)
TAB = "llhttp takes a tab after the coding for a part of its name, and nobody sends one"


def head(line: bytes = b"HTTP/1.1 200 OK", headers: bytes = LENGTH) -> bytes:
    """Returns a response with the body `ok`."""
    return line + b"\r\n" + headers + b"\r\nok"


def header(line: bytes) -> bytes:
    """Returns a response with another header before Content-Length."""
    return head(headers=line + b"\r\n" + LENGTH)


def chunks(body: bytes, headers: bytes = CHUNKED) -> bytes:
    """Returns a response with this chunked body."""
    return b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n" + body


def interim(line: bytes, headers: bytes = b"") -> bytes:
    """Returns an interim response followed by a final one."""
    return line + b"\r\n" + headers + b"\r\n" + head()


STATUS_LINES = {
    "an ordinary response": Row(head(), "200 ok"),
    "HTTP/1.0": Row(head(b"HTTP/1.0 200 OK"), "200 ok"),
    "HTTP/1.2": Row(head(b"HTTP/1.2 200 OK"), "200 ok"),
    "HTTP/2.0": Row(head(b"HTTP/2.0 200 OK"), "200 ok"),
    "HTTP/0.9": Row(head(b"HTTP/0.9 200 OK"), "200 ok"),
    "HTTP/2 without a minor number": Row(head(b"HTTP/2 200 OK"), REFUSED),
    "a version in lower case": Row(head(b"http/1.1 200 OK"), REFUSED),
    "another protocol": Row(head(b"FTP/1.1 200 OK"), REFUSED),
    "a protocol of radio stations": Row(head(b"ICY 200 OK"), REFUSED),
    "no version": Row(head(b"200 OK"), REFUSED),
    "no reason": Row(head(b"HTTP/1.1 200"), "200 ok"),
    "an empty reason": Row(head(b"HTTP/1.1 200 "), "200 ok"),
    "a reason of several words": Row(head(b"HTTP/1.1 200 all is well"), "200 ok"),
    "a reason with a tab": Row(head(b"HTTP/1.1 200 a\tb"), "200 ok"),
    "a reason in Latin-1": Row(head(b"HTTP/1.1 200 \xe9t\xe9"), "200 ok"),
    "a reason in UTF-8": Row(head("HTTP/1.1 200 готово".encode()), "200 ok"),
    "two spaces before the status": Row(head(b"HTTP/1.1  200 OK"), REFUSED),
    "a tab before the status": Row(head(b"HTTP/1.1\t200 OK"), REFUSED),
    "a status of two digits": Row(head(b"HTTP/1.1 99 OK"), REFUSED),
    "a status of four digits": Row(head(b"HTTP/1.1 2000 OK"), REFUSED),
    "a status with a letter": Row(head(b"HTTP/1.1 20x OK"), REFUSED),
    "a status below 100": Row(head(b"HTTP/1.1 020 OK"), REFUSED),
    "an unknown status": Row(head(b"HTTP/1.1 299 Odd"), "299 ok"),
    "a status above 599": Row(head(b"HTTP/1.1 799 Odd"), "799 ok"),
    "an empty line before the status line": Row(b"\r\n" + head(), "200 ok", REFUSED, BLANK_START),
    "two empty lines before the status line": Row(b"\r\n\r\n" + head(), "200 ok", REFUSED, BLANK_START),
    "a status line that ends with a bare LF": Row(head().replace(b"\r", b"", 1), REFUSED, "200 ok", BARE_LF),
    "a status line that ends with a bare CR": Row(head().replace(b"\n", b"", 1), REFUSED),
    "nothing": Row(b"", REFUSED),
    "a page without headers": Row(b"<html></html>\r\n\r\n", REFUSED),
    "a TLS alert": Row(b"\x15\x03\x01\x00\x02\x02\x46", REFUSED),
    "a greeting of SSH": Row(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", REFUSED),
    "the begin of headers": Row(b"HTTP/1.1 200 OK\r\nX-", REFUSED),
    "headers without an empty line": Row(b"HTTP/1.1 200 OK\r\n" + LENGTH, REFUSED),
    "100 Continue": Row(interim(b"HTTP/1.1 100 Continue"), "200 ok"),
    "100 Continue alone": Row(b"HTTP/1.1 100 Continue\r\n\r\n", REFUSED),
    "102 Processing": Row(interim(b"HTTP/1.1 102 Processing"), "200 ok"),
    "103 Early Hints": Row(interim(b"HTTP/1.1 103 Early Hints", b"Link: </a>\r\n"), "200 ok"),
    "several interim responses": Row(b"HTTP/1.1 103 Hints\r\n\r\n" * 5 + head(), "200 ok"),
    "an interim response with a length": Row(interim(b"HTTP/1.1 100 Continue", LENGTH), "200 ok"),
    "an interim response with a coding": Row(interim(b"HTTP/1.1 103 Hints", b"Content-Encoding: gzip\r\n"), "200 ok"),
    "an upgrade that nobody asked for": Row(
        interim(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: x\r\nConnection: upgrade\r\n"), REFUSED
    ),
    "an offer to upgrade": Row(header(b"Upgrade: h2,h2c\r\nConnection: Upgrade"), "200 ok"),
    "no content": Row(b"HTTP/1.1 204 No Content\r\n\r\n", "204 "),
    "no content, but a length": Row(head(b"HTTP/1.1 204 No Content"), "204 "),
    "not modified, and a length": Row(b"HTTP/1.1 304 Not Modified\r\n" + LENGTH + b"\r\n", "304 "),
    "205 with a body": Row(head(b"HTTP/1.1 205 Reset Content"), "205 ok"),
}
HEADERS = {
    "a folded value": Row(header(b"X-A: one\r\n two"), "200 ok"),
    "a value folded with a tab": Row(header(b"X-A: one\r\n\ttwo"), "200 ok"),
    "a value folded twice": Row(header(b"X-A: one\r\n two\r\n  three"), "200 ok"),
    "a value that begins in the next line": Row(header(b"X-A:\r\n one"), "200 ok"),
    "a fold without text": Row(header(b"X-A: one\r\n "), "200 ok"),
    "a fold in the last header": Row(head(headers=LENGTH + b"X-A: one\r\n two\r\n"), "200 ok"),
    "a folded Content-Type": Row(header(b"Content-Type: application/json;\r\n charset=utf-8"), "200 ok"),
    "a folded length": Row(head(headers=b"Content-Length:\r\n 2\r\n"), "200 ok"),
    "a length in two lines": Row(head(headers=b"Content-Length: 2\r\n 0\r\n"), REFUSED),
    "a folded coding": Row(chunks(b"2\r\nok\r\n0\r\n\r\n", b"Transfer-Encoding:\r\n chunked\r\n"), "200 ok"),
    "a folded compression": Row(header(b"Content-Encoding:\r\n identity"), "200 ok"),
    "a fold before the first header": Row(header(b" X-A: 1"), "200 ok", REFUSED, FIRST_FOLD),
    "no white space after the colon": Row(head(headers=b"Content-Length:2\r\n"), "200 ok"),
    "white space around a value": Row(head(headers=b"Content-Length: \t 2 \t \r\n"), "200 ok"),
    "an empty value": Row(header(b"X-A:"), "200 ok"),
    "white space after a name": Row(header(b"X-A : 1"), REFUSED),
    "white space after Content-Length": Row(head(headers=b"Content-Length : 2\r\n"), "200 ok", REFUSED, NAME_SPACE),
    "no colon": Row(header(b"X-A"), REFUSED),
    "no name": Row(header(b": 1"), REFUSED),
    "a name with a space": Row(header(b"X A: 1"), REFUSED),
    "a name with brackets": Row(header(b"X(A): 1"), REFUSED),
    "a name in UTF-8": Row(header("Xé: 1".encode()), REFUSED),
    "a value in UTF-8": Row(header("X-A: é🦊".encode()), "200 ok"),
    "a value in Latin-1": Row(header(b"X-A: \xe9"), "200 ok"),
    "a value with a control character": Row(header(b"X-A: a\x01b"), "200 ok"),
    "a value with an escape sequence": Row(header(b"X-A: \x1b[31m"), "200 ok"),
    "a value with DEL": Row(header(b"X-A: a\x7fb"), "200 ok"),
    "a value with NUL": Row(header(b"X-A: a\x00b"), "200 ok", REFUSED, CONTROL),
    "a value with a form feed": Row(header(b"X-A: a\x0cb"), "200 ok", REFUSED, CONTROL),
    "a value with a bare CR": Row(header(b"X-A: a\rb"), REFUSED),
    "a value that ends with CR CR LF": Row(header(b"X-A: a\r"), REFUSED),
    "a header that ends with a bare LF": Row(header(b"X-A: a\nX-B: b"), REFUSED, "200 ok", BARE_LF),
    "every line ends with a bare LF": Row(head().replace(b"\r", b""), REFUSED, "200 ok", BARE_LF),
    "headers that end with a bare LF": Row(head().replace(b"\r\n\r\n", b"\r\n\n"), REFUSED, "200 ok", BARE_LF),
    "300 headers": Row(header(b"\r\n".join(b"X-%d: 1" % number for number in range(300))), "200 ok"),
    "a header of 60,000 bytes": Row(header(b"X-A: " + b"a" * 60_000), "200 ok"),
    "an unknown connection option": Row(header(b"Connection: ,,x"), "200 ok"),
    "an unknown compression": Row(header(b"Content-Encoding: x"), "200 ok"),
    "identity": Row(header(b"Content-Encoding: identity"), "200 ok"),
    "a compression that is not used": Row(header(b"Content-Encoding: gzip"), REFUSED),
    "two compressions": Row(header(b"Content-Encoding: gzip, gzip"), REFUSED),
}
BODIES = {
    "without a length": Row(head(headers=b""), "200 ok"),
    "without a length, of HTTP/1.0": Row(head(b"HTTP/1.0 200 OK", b""), "200 ok"),
    "without a length, and close": Row(head(headers=b"Connection: close\r\n"), "200 ok"),
    "without a length, and keep-alive": Row(head(headers=b"Connection: keep-alive\r\n"), "200 ok"),
    "without a length, of HTTP/1.0 with keep-alive": Row(
        head(b"HTTP/1.0 200 OK", b"Connection: keep-alive\r\n"), "200 ok"
    ),
    "without a length, of an error": Row(head(b"HTTP/1.1 500 Failed", b""), "500 ok"),
    "without a length, and an offer to upgrade": Row(head(headers=b"Connection: upgrade\r\nUpgrade: x\r\n"), "200 ok"),
    "without a length, and with a folded header": Row(head(headers=b"X-A: 1\r\n 2\r\n"), "200 ok"),
    "empty and without a length": Row(b"HTTP/1.1 200 OK\r\n\r\n", "200 "),
    "leading zeros": Row(head(headers=b"Content-Length: 0002\r\n"), "200 ok"),
    "a length of 0": Row(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 "),
    "a plus sign": Row(head(headers=b"Content-Length: +2\r\n"), REFUSED),
    "a minus sign": Row(head(headers=b"Content-Length: -2\r\n"), REFUSED),
    "a point": Row(head(headers=b"Content-Length: 2.0\r\n"), REFUSED),
    "an empty length": Row(head(headers=b"Content-Length:\r\n"), REFUSED),
    "more than 64 bits": Row(head(headers=b"Content-Length: 99999999999999999999999\r\n"), REFUSED),
    "a body shorter than its length": Row(head(headers=b"Content-Length: 5\r\n"), REFUSED),
    "two lengths": Row(head(headers=LENGTH + b"Content-Length: 1\r\n"), REFUSED),
    "a list of two lengths": Row(head(headers=b"Content-Length: 2, 1\r\n"), REFUSED),
    "the same length twice": Row(head(headers=LENGTH * 2), REFUSED, "200 ok", TWO_LENGTHS),
    "a list of the same length": Row(head(headers=b"Content-Length: 2, 2\r\n"), REFUSED, "200 ok", TWO_LENGTHS),
    "a length before chunked": Row(chunks(b"2\r\nok\r\n0\r\n\r\n", LENGTH + CHUNKED), "200 ok"),
    "a length after chunked": Row(chunks(b"2\r\nok\r\n0\r\n\r\n", CHUNKED + LENGTH), "200 ok"),
    "chunked in HTTP/1.0": Row(chunks(b"2\r\nok\r\n0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"), "200 ok"),
    "chunked in capitals": Row(chunks(b"2\r\nok\r\n0\r\n\r\n", b"TRANSFER-ENCODING: CHUNKED\r\n"), "200 ok"),
    "gzip": Row(head(headers=b"Transfer-Encoding: gzip\r\n"), REFUSED),
    "gzip and chunked": Row(chunks(b"2\r\nok\r\n0\r\n\r\n", b"Transfer-Encoding: gzip, chunked\r\n"), REFUSED),
    "identity": Row(head(headers=b"Transfer-Encoding: identity\r\n"), REFUSED),
    "identity and a length": Row(head(headers=LENGTH + b"Transfer-Encoding: identity\r\n"), REFUSED),
    "chunked and identity": Row(head(headers=b"Transfer-Encoding: chunked, identity\r\n"), REFUSED),
    "chunked twice in a list": Row(
        chunks(b"2\r\nok\r\n0\r\n\r\n", b"Transfer-Encoding: chunked, chunked\r\n"), REFUSED
    ),
    "chunked twice": Row(chunks(b"2\r\nok\r\n0\r\n\r\n", CHUNKED * 2), REFUSED),
    "chunked and a space": Row(chunks(b"2\r\nok\r\n0\r\n\r\n", b"Transfer-Encoding: chunked \r\n"), "200 ok"),
    "chunked and a tab": Row(
        chunks(b"2\r\nok\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\t\r\n"), REFUSED, "200 ok", TAB
    ),
    "bytes after the body": Row(head() + b"more", "200 ok"),
    "an end of line after the body": Row(head() + b"\r\n", "200 ok"),
    "another response after the body": Row(head() * 2, "200 ok"),
    "bytes after the last response of a connection": Row(header(b"Connection: close") + b"more", "200 ok"),
    "an end of line after the last chunk": Row(
        chunks(b"2\r\nok\r\n0\r\n\r\n\r\n", b"Connection: close\r\n" + CHUNKED), "200 ok"
    ),
}
CHUNKS = {
    "one chunk": Row(chunks(b"2\r\nok\r\n0\r\n\r\n"), "200 ok"),
    "two chunks": Row(chunks(b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"), "200 ok"),
    "no chunk": Row(chunks(b"0\r\n\r\n"), "200 "),
    "capitals": Row(chunks(b"A\r\n0123456789\r\n0\r\n\r\n"), "200 0123456789"),
    "leading zeros": Row(chunks(b"002\r\nok\r\n000\r\n\r\n"), "200 ok"),
    "20 leading zeros": Row(chunks(b"0" * 20 + b"2\r\nok\r\n0\r\n\r\n"), "200 ok", REFUSED, ZEROS),
    "a space after the size": Row(chunks(b"2 \r\nok\r\n0\r\n\r\n"), "200 ok"),
    "several spaces after the size": Row(chunks(b"2   \r\nok\r\n0  \r\n\r\n"), "200 ok"),
    "a space before the size": Row(chunks(b" 2\r\nok\r\n0\r\n\r\n"), REFUSED),
    "a prefix of hexadecimal": Row(chunks(b"0x2\r\nok\r\n0\r\n\r\n"), REFUSED),
    "a plus sign": Row(chunks(b"+2\r\nok\r\n0\r\n\r\n"), REFUSED),
    "a minus sign": Row(chunks(b"-2\r\nok\r\n0\r\n\r\n"), REFUSED),
    "no size": Row(chunks(b"\r\nok\r\n0\r\n\r\n"), REFUSED),
    "more than 64 bits": Row(chunks(b"f" * 18 + b"\r\nok\r\n0\r\n\r\n"), REFUSED),
    "a size that ends with a bare LF": Row(chunks(b"2\nok\r\n0\r\n\r\n"), REFUSED),
    "data that end with a bare LF": Row(chunks(b"2\r\nok\n0\r\n\r\n"), REFUSED),
    "data without a line end": Row(chunks(b"2\r\nok0\r\n\r\n"), REFUSED),
    "data longer than the size": Row(chunks(b"2\r\nokay\r\n0\r\n\r\n"), REFUSED),
    "data shorter than the size": Row(chunks(b"3\r\nok\r\n0\r\n\r\n"), REFUSED),
    "a last chunk that ends with a bare LF": Row(chunks(b"2\r\nok\r\n0\r\n\n"), REFUSED, "200 ok", BARE_LF),
    "no line end after the last chunk": Row(chunks(b"2\r\nok\r\n0\r\n"), REFUSED),
    "no last chunk": Row(chunks(b"2\r\nok\r\n"), REFUSED),
    "an extension": Row(chunks(b"2;a=b\r\nok\r\n0;c\r\n\r\n"), "200 ok"),
    "a quoted extension": Row(chunks(b'2;a="b;c"\r\nok\r\n0\r\n\r\n'), "200 ok"),
    "an extension without a name": Row(chunks(b"2;\r\nok\r\n0\r\n\r\n"), REFUSED, "200 ok", EXTENSION),
    "an open quotation mark": Row(chunks(b'2;a="b\r\nok\r\n0\r\n\r\n'), REFUSED, "200 ok", EXTENSION),
    "white space after the semicolon": Row(chunks(b"2; a=b\r\nok\r\n0\r\n\r\n"), REFUSED, "200 ok", EXTENSION),
    "white space around an extension": Row(chunks(b"2 ; a = b\r\nok\r\n0\r\n\r\n"), REFUSED),
    "a trailer": Row(chunks(b"2\r\nok\r\n0\r\nX-Cost: 1\r\n\r\n"), "200 ok"),
    "a trailer with a length": Row(chunks(b"2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"), "200 ok"),
    "a trailer with a coding": Row(chunks(b"2\r\nok\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), "200 ok"),
    "a folded trailer": Row(chunks(b"2\r\nok\r\n0\r\nX-A: 1\r\n 2\r\n\r\n"), "200 ok"),
    "a trailer without a colon": Row(chunks(b"2\r\nok\r\n0\r\nX-A\r\n\r\n"), REFUSED),
}
TABLES = {"status lines": STATUS_LINES, "headers": HEADERS, "bodies": BODIES, "chunks": CHUNKS}


def serving(rows: list[Row]) -> Handler:
    """Returns a server that sends the row whose number is the path, and ends the connection.

    If the number is negative, the server sends each byte alone.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        number = int(request.split(b" ")[1].strip(b"/"))
        sent = rows[abs(number) - 1].sent
        for start in range(len(sent)) if number < 0 and len(sent) < 1000 else ():
            writer.write(sent[start : start + 1])
            await asyncio.sleep(0)
        if number > 0 or len(sent) >= 1000:
            writer.write(sent)
        with contextlib.suppress(OSError):  # The client may have closed the connection.
            writer.write_eof()
        await reader.read()

    return answer


async def outcomes(read: Callable[[str], Coroutine[Any, Any, str]], url: str, numbers: range) -> list[str]:
    """Returns what a client reads from each of the server's rows."""
    return list(await asyncio.gather(*(read(f"{url}{number}") for number in numbers)))


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES)
async def test_the_router_reads_what_httpx_reads(rows: dict[str, Row]) -> None:
    async with raw_server(serving(list(rows.values()))) as url, httpx.AsyncClient(trust_env=False) as client:
        transport = HttpTransport()

        async def routers(address: str) -> str:
            try:
                response = await transport.send("GET", address, {}, None, 5.0)
                body = await read_whole(response, 1000)
            except TransportError as error:
                return error.kind if error.kind == "timeout" else REFUSED
            response.close()
            return f"{response.status} {body.decode()}"

        async def others(address: str) -> str:
            try:
                response = await client.get(address)
            except (httpx.TransportError, httpx.DecodingError):
                return REFUSED
            return f"{response.status_code} {response.content.decode()}"

        numbers = range(1, len(rows) + 1)
        whole = await outcomes(routers, url, numbers)
        in_bytes = await outcomes(routers, url, range(-1, -len(rows) - 1, -1))
        with_httpx = await outcomes(others, url, numbers)
        await transport.close()
    expected = [(row.answers, row.answers, row.other or row.answers) for row in rows.values()]
    read = list(zip(whole, in_bytes, with_httpx, strict=True))
    assert dict(zip(rows, read, strict=True)) == dict(zip(rows, expected, strict=True))


async def test_a_connection_whose_response_has_a_length_and_chunks_is_not_reused() -> None:
    both = chunks(b"2\r\nok\r\n0\r\n\r\n", LENGTH + CHUNKED)
    async with sending(both, OK) as (url, connections):
        transport = HttpTransport()
        for _ in range(2):
            response = await transport.send("GET", url, {}, None, 5.0)
            assert await read_whole(response, 1000) == b"ok"
            response.close()
        await transport.close()
    assert connections == [2]


async def test_a_folded_header_is_one_value() -> None:
    async with sending(header(b"Retry-After:\r\n  7 \r\nX-A: one\r\n two\r\nX-B: a\x00b")) as (url, _):
        transport = HttpTransport()
        response = await transport.send("GET", url, {}, None, 5.0)
        headers = response.headers
        await transport.close()
    assert (headers["retry-after"], headers["x-a"], headers["x-b"]) == ("7", "one two", "a b")
