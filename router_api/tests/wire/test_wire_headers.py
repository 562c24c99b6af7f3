"""Headers of requests: the header Host, and the syntax and number of headers, as RFC 9110 and RFC 9112 define them.

Each row is also sent to uvicorn with h11. If h11 answers otherwise, the row has the reason why the router is right.
"""

from __future__ import annotations

import pytest

from fakes.testbed.router import Testbed
from fakes.testbed.wire import ANY, BARE_LF, CHUNKED, CHUNKS, FOLD, HOST, LENGTH, Row, differences, get, header, post

HOST_VALUE = "RFC 9112, 3.2: a Host header with an invalid value is a 400"
CONTROL = "RFC 9110, 5.5: a value with a control character is invalid"
LIMIT = "headers may have 64 KiB and 256 lines; h11 accepts more lines, and larger headers if they arrive at once"
ONE_KEY = "RFC 9110, 5.3: Authorization is no list, so a second one is an error of the client"
CONTINUE = "RFC 9110, 10.1.1: a server may omit 100 Continue if it has received the body"
NO_UPGRADE = "RFC 9110, 7.8: a server may ignore an offer to upgrade"


def host(value: bytes) -> bytes:
    """Returns a request with this value of Host."""
    return get(b"Host:" + value + b"\r\n")


HOSTS = {
    "no Host": Row(get(b""), "400"),
    "two hosts": Row(get(HOST + b"Host: y\r\n"), "400"),
    "the same host twice": Row(get(HOST + HOST), "400"),
    "two hosts in other spellings": Row(get(HOST + b"HOST: y\r\n"), "400"),
    "an empty Host": Row(host(b""), "200 404"),
    "a blank Host": Row(host(b" \t "), "200 404"),
    "a port": Row(host(b" x:8800"), "200 404"),
    "an empty port": Row(host(b" x:"), "200 404"),
    "a port that is no number": Row(host(b" x:y"), "400", "200 404", HOST_VALUE),
    "two ports": Row(host(b" x:1:2"), "400", "200 404", HOST_VALUE),
    "a port with a sign": Row(host(b" x:+1"), "400", "200 404", HOST_VALUE),
    "an IPv4 address": Row(host(b" 127.0.0.1:8800"), "200 404"),
    "an IPv6 address": Row(host(b" [::1]:8800"), "200 404"),
    "an IPv6 address without brackets": Row(host(b" ::1"), "400", "200 404", HOST_VALUE),
    "an open bracket": Row(host(b" [::1"), "400", "200 404", HOST_VALUE),
    "a user": Row(host(b" me@x"), "400", "200 404", HOST_VALUE),
    "a path": Row(host(b" x/y"), "400", "200 404", HOST_VALUE),
    "a query": Row(host(b" x?y"), "400", "200 404", HOST_VALUE),
    "a fragment": Row(host(b" x#y"), "400", "200 404", HOST_VALUE),
    "a URL": Row(host(b" http://x"), "400", "200 404", HOST_VALUE),
    "two words": Row(host(b" x y"), "400", "200 404", HOST_VALUE),
    "a list with a space": Row(host(b" x, y"), "400", "200 404", HOST_VALUE),
    "a list": Row(host(b" x,y"), "200 404"),
    "a quotation mark": Row(get(b'Host: "x"\r\n'), "400", "200 404", HOST_VALUE),
    "angle brackets": Row(host(b" <x>"), "400", "200 404", HOST_VALUE),
    "a backslash": Row(host(b" x\\y"), "400", "200 404", HOST_VALUE),
    "a NUL": Row(host(b" x\x00"), "400"),
    "a control character": Row(host(b" x\x01"), "400", "200 404", HOST_VALUE),
    "UTF-8": Row(get("Host: é\r\n".encode()), "400", "200 404", HOST_VALUE),
    "an encoded letter": Row(host(b" %78"), "200 404"),
    "an underscore": Row(host(b" my_router"), "200 404"),
    "white space around the name": Row(host(b"  \t x \t"), "200 404"),
    "white space before the colon": Row(get(b"Host : x\r\n"), "400"),
    "a folded Host": Row(host(b"\r\n x"), "400", "200 404", FOLD),
    "a second Host in a folded line": Row(get(HOST + b" Host: y\r\n"), "400", "200 404", FOLD),
    "a Host of 300 letters": Row(host(b" " + b"x" * 300), "200 404"),
}
FIELDS = {
    "white space before the colon": Row(header(b"X-A : 1"), "400"),
    "a tab before the colon": Row(header(b"X-A\t: 1"), "400"),
    "no white space after the colon": Row(header(b"X-A:1"), "200 404"),
    "much white space around a value": Row(header(b"X-A: \t 1 \t "), "200 404"),
    "an empty value": Row(header(b"X-A:"), "200 404"),
    "no name": Row(header(b": 1"), "400"),
    "no colon": Row(header(b"X-A"), "400"),
    "a name with a space": Row(header(b"X A: 1"), "400"),
    "a name with brackets": Row(header(b"X[A]: 1"), "400"),
    "a name with a slash": Row(header(b"X/A: 1"), "400"),
    "a name with an at sign": Row(header(b"X@A: 1"), "400"),
    "a name with quotation marks": Row(header(b'"X-A": 1'), "400"),
    "a name with a NUL": Row(header(b"X\x00A: 1"), "400"),
    "a name with a byte above ASCII": Row(header(b"X\xe9: 1"), "400"),
    "a name of every allowed sign": Row(header(b"!#$%&'*+-.^_`|~09aZ: 1"), "200 404"),
    "a name with an underscore": Row(header(b"X_A: 1"), "200 404"),
    "a value with a NUL": Row(header(b"X-A: a\x00b"), "400"),
    "a value with a control character": Row(header(b"X-A: a\x01b"), "400", "200 404", CONTROL),
    "a value with DEL": Row(header(b"X-A: a\x7fb"), "400", "200 404", CONTROL),
    "a value with a vertical tab": Row(header(b"X-A: a\x0bb"), "400"),
    "a value with a form feed": Row(header(b"X-A: a\x0cb"), "400"),
    "a value with a tab": Row(header(b"X-A: a\tb"), "200 404"),
    "a value in Latin-1": Row(header(b"X-A: \xe9"), "200 404"),
    "a value in UTF-8": Row(header("X-A: é🦊".encode()), "200 404"),
    "a value with a bare CR": Row(header(b"X-A: a\rb"), "400"),
    "a value with a bare CR at its end": Row(header(b"X-A: a\r"), "400"),
    "a bare CR and another header": Row(header(b"X-A: a\rX-B: b"), "400"),
    "a line that ends with a bare LF": Row(header(b"X-A: a\nX-B: b"), "400", "200 404", BARE_LF),
    "a folded value": Row(header(b"X-A: a\r\n b"), "400", "200 404", FOLD),
    "a value folded with a tab": Row(header(b"X-A: a\r\n\tb"), "400", "200 404", FOLD),
    "a fold without text": Row(header(b"X-A: a\r\n "), "400", "200 404", FOLD),
    "white space before the first header": Row(get(b" X-A: 1\r\n" + HOST), "400"),
    "a blank line before the first header": Row(get(b" \r\n" + HOST), "400"),
    "200 headers": Row(get(HOST + b"".join(b"X-%d: 1\r\n" % number for number in range(200))), "200 404"),
    "one header 200 times": Row(get(HOST + b"X-A: 1\r\n" * 200), "200 404"),
    "one header 300 times": Row(get(HOST + b"X-A: 1\r\n" * 300), "431", "200 404", LIMIT),
    "a header of 60,000 bytes": Row(header(b"X-A: " + b"a" * 60_000), "200 404"),
    "a header of 70,000 bytes": Row(header(b"X-A: " + b"a" * 70_000), "431", ANY, LIMIT),
    "a name of 70,000 bytes": Row(header(b"a" * 70_000 + b": 1"), "431", ANY, LIMIT),
    "10,000 headers": Row(get(HOST + b"X-A: 123\r\n" * 10_000), "431", ANY, LIMIT),
    "two keys": Row(header(b"Authorization: Bearer a\r\nAuthorization: Bearer b"), "400", "200 404", ONE_KEY),
    "the same key twice": Row(header(b"Authorization: Bearer a\r\nauthorization: Bearer a"), "400", "200 404", ONE_KEY),
    "two types of a body": Row(post(LENGTH + b"Content-Type: text/plain\r\n"), "200 404"),
    "a cookie": Row(header(b"Cookie: a=b; c=d"), "200 404"),
    "a range": Row(header(b"Range: bytes=0-1"), "200 404"),
    "an expectation that nobody knows": Row(post(LENGTH + b"Expect: tea\r\n"), "200 404"),
    "100 Continue": Row(post(LENGTH + b"Expect: 100-continue\r\n"), "200 404", "100 200 404", CONTINUE),
    "100 Continue in capitals": Row(post(LENGTH + b"Expect: 100-CONTINUE\r\n"), "200 404", "100 200 404", CONTINUE),
    "close": Row(header(b"Connection: close"), "200"),
    "close in capitals": Row(header(b"Connection: CLOSE"), "200"),
    "close in a list": Row(header(b"Connection: x, close"), "200"),
    "close in a second header": Row(header(b"Connection: x\r\nConnection: close"), "200"),
    "close and keep-alive": Row(header(b"Connection: keep-alive, close"), "200"),
    "an unknown connection option": Row(header(b"Connection: x"), "200 404"),
    "an offer of HTTP/2": Row(
        header(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA"), "200 404"
    ),
    "an offer of WebSockets": Row(
        header(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"),
        "200 404",
        "400",
        NO_UPGRADE,
    ),
    "an offer with a body": Row(post(LENGTH + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"), "200 404"),
    "an offer with a chunked body": Row(post(CHUNKED + b"Connection: Upgrade\r\nUpgrade: h2c\r\n", CHUNKS), "200 404"),
    "an offer that is no option of the connection": Row(header(b"Upgrade: h2c"), "200 404"),
}


@pytest.mark.parametrize("rows", [HOSTS, FIELDS], ids=["Host", "fields"])
async def test_headers_get_their_answers(testbed: Testbed, rows: dict[str, Row]) -> None:
    assert await differences(testbed, rows) == ""
