"""Request lines: syntax, methods, targets and versions, as RFC 9110 and RFC 9112 define them.

Each row is also sent to uvicorn with h11. If h11 answers otherwise, the row has the reason why the router is right.
"""

from __future__ import annotations

import pytest

from fakes.testbed.router import Testbed
from fakes.testbed.wire import (
    ANY,
    BARE_LF,
    CHUNKED,
    CHUNKS,
    EMPTY_LINES,
    HOST,
    LENGTH,
    Row,
    differences,
    get,
    line,
    post,
)

WORDS = "RFC 9112, 3: a server may split a request line at any white space"
HTTP_1 = "RFC 9110, 15.6.6: a server refuses major versions that it does not support"
LIMIT = "headers may have 64 KiB; h11 accepts larger ones if they arrive at once"
NO_PROXY = "RFC 9110, 9.3.6: CONNECT is for proxies, and bytes after it are not HTTP"
METHOD = "no endpoint has this method, and a 400 closes the connection of a client that may not speak HTTP"
ABSOLUTE = "RFC 9112, 3.2.2: a server must accept the absolute form; h11 takes the URL for a path"
TARGET = "RFC 9112, 3.2: a request target that has none of the four forms is a 400"
OLD_CHUNKS = "RFC 9112, 6.1: the framing of an HTTP/1.0 message with a Transfer-Encoding is faulty"
RTSP = "llhttp reads RTSP/1.0 like HTTP/1.0, whose framing it shares: one answer, then the end of the connection"


REQUEST_LINES = {
    "an ordinary request": Row(get(), "200 404"),
    "no version": Row(line(b"GET /v1/models"), "400"),
    "two spaces after the method": Row(line(b"GET  /v1/models HTTP/1.1"), "200 404", "400", WORDS),
    "two spaces before the version": Row(line(b"GET /v1/models  HTTP/1.1"), "200 404", "400", WORDS),
    "a tab between the parts": Row(line(b"GET\t/v1/models\tHTTP/1.1"), "400"),
    "a space after the version": Row(line(b"GET /v1/models HTTP/1.1 "), "400"),
    "a space before the method": Row(line(b" GET /v1/models HTTP/1.1"), "400"),
    "no target": Row(line(b"GET HTTP/1.1"), "400"),
    "an empty target": Row(line(b"GET  HTTP/1.1"), "400"),
    "a fourth word": Row(line(b"GET /v1/models HTTP/1.1 x"), "400"),
    "only a method": Row(b"GET\r\n\r\n", "400"),
    "an empty line before the request": Row(b"\r\n" + get(), "200 404", "400", EMPTY_LINES),
    "three empty lines before the request": Row(b"\r\n\r\n\r\n" + get(), "200 404", "400", EMPTY_LINES),
    "a bare LF before the request": Row(b"\n" + get(), "200 404", "400", EMPTY_LINES),
    "a bare CR before the request": Row(b"\r" + get(), "200 404", "400", EMPTY_LINES),
    "a request line that ends with a bare LF": Row(get(line=b"GET /v1/models HTTP/1.1\n"), "400", "200 404", BARE_LF),
    "a request line that ends with a bare CR": Row(get(line=b"GET /v1/models HTTP/1.1\r"), "400"),
    "every line ends with a bare LF": Row(get().replace(b"\r\n", b"\n"), "400", "200 404", BARE_LF),
    "every line ends with a bare CR": Row(get().replace(b"\r\n", b"\r"), "400"),
    "the headers end with a bare LF": Row(get()[:-2] + b"\n", "400", "200 404", BARE_LF),
    "a NUL in the target": Row(line(b"GET /v1/mo\x00dels HTTP/1.1"), "400"),
    "a NUL in the method": Row(line(b"G\x00T /v1/models HTTP/1.1"), "400"),
    "a control character in the target": Row(line(b"GET /v1/mo\x01dels HTTP/1.1"), "400"),
    "DEL in the target": Row(line(b"GET /v1/mo\x7fdels HTTP/1.1"), "400"),
    "a form feed in the target": Row(line(b"GET /v1/mo\x0cdels HTTP/1.1"), "400"),
    "a byte above ASCII in the target": Row(line(b"GET /v1/mo\xe9dels HTTP/1.1"), "400"),
    "UTF-8 in the target": Row(line("GET /v1/modéls HTTP/1.1".encode()), "400"),
    "binary bytes": Row(bytes(range(128, 200)) + b"\r\n\r\n", "400"),
    "a TLS hello": Row(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", "400"),
    "an HTTP/2 preface": Row(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", "404 400", HTTP_1),
    "a line of a mail server": Row(b"EHLO example.com\r\n\r\n", "400"),
    "a target of 60,000 bytes": Row(line(b"GET /v1/models?%b HTTP/1.1" % (b"q" * 60_000)), "200 404"),
    "a target of 70,000 bytes": Row(line(b"GET /v1/models?%b HTTP/1.1" % (b"q" * 70_000)), "431", ANY, LIMIT),
    "a method of 70,000 bytes": Row(line(b"%b /v1/models HTTP/1.1" % (b"G" * 70_000)), "431", ANY, LIMIT),
}
METHODS = {
    "HEAD": Row(line(b"HEAD /v1/models HTTP/1.1"), "200 404"),
    "HEAD with a body": Row(
        get(HOST + b"Content-Length: 2\r\n", line=b"HEAD /v1/models HTTP/1.1\r\n") + b"ok", "200 404"
    ),
    "GET with a body": Row(get(HOST + b"Content-Length: 2\r\n") + b"ok", "200 404"),
    "GET with a chunked body": Row(get(HOST + CHUNKED) + b"2\r\nok\r\n0\r\n\r\n", "200 404"),
    "GET with a length of 0": Row(get(HOST + b"Content-Length: 0\r\n"), "200 404"),
    "POST without a length": Row(post(b"", b""), "400 404"),
    "POST with a length of 0": Row(post(b"Content-Length: 0\r\n", b""), "400 404"),
    "OPTIONS": Row(line(b"OPTIONS /v1/models HTTP/1.1"), "405 404"),
    "OPTIONS for the server": Row(line(b"OPTIONS * HTTP/1.1"), "404 404"),
    "TRACE": Row(line(b"TRACE /v1/models HTTP/1.1"), "405 404"),
    "TRACE with a body": Row(
        get(HOST + b"Content-Length: 2\r\n", line=b"TRACE /v1/models HTTP/1.1\r\n") + b"ok", "405 404"
    ),
    "CONNECT": Row(line(b"CONNECT example.com:443 HTTP/1.1"), "400", "404 404", NO_PROXY),
    "CONNECT with a path": Row(line(b"CONNECT /v1/models HTTP/1.1"), "400", "405 404", NO_PROXY),
    "CONNECT without a port": Row(line(b"CONNECT example.com HTTP/1.1"), "400", "404 404", NO_PROXY),
    "PATCH": Row(line(b"PATCH /v1/models HTTP/1.1"), "405 404"),
    "DELETE": Row(line(b"DELETE /v1/models HTTP/1.1"), "405 404"),
    "a method in lower case": Row(line(b"get /v1/models HTTP/1.1"), "400", "405 404", METHOD),
    "an unknown method": Row(line(b"BREW /v1/models HTTP/1.1"), "400", "405 404", METHOD),
    "a method of WebDAV": Row(line(b"PROPFIND /v1/models HTTP/1.1"), "405 404"),
    "the method QUERY": Row(line(b"QUERY /v1/models HTTP/1.1"), "405 404"),
    "a method of RTSP": Row(line(b"DESCRIBE /v1/models HTTP/1.1"), "400", "405 404", METHOD),
    "a method with a bracket": Row(line(b"GE[T /v1/models HTTP/1.1"), "400"),
    "a method that begins like another": Row(line(b"GETX /v1/models HTTP/1.1"), "400", "405 404", METHOD),
    "a part of a method": Row(line(b"GE /v1/models HTTP/1.1"), "400", "405 404", METHOD),
}
TARGETS = {
    "a query": Row(line(b"GET /v1/models?a=b&c HTTP/1.1"), "200 404"),
    "an empty query": Row(line(b"GET /v1/models? HTTP/1.1"), "200 404"),
    "a fragment": Row(line(b"GET /v1/models#part HTTP/1.1"), "400", "404 404", TARGET),
    "an encoded letter": Row(line(b"GET /v1/%6dodels HTTP/1.1"), "200 404"),
    "an encoded slash": Row(line(b"GET /v1%2fmodels HTTP/1.1"), "200 404"),
    "a broken encoding": Row(line(b"GET /v1/models?%zz HTTP/1.1"), "200 404"),
    "an encoded NUL": Row(line(b"GET /v1/models/%00 HTTP/1.1"), "404 404"),
    "an encoded line end": Row(line(b"GET /v1/models?%0d%0aX:1 HTTP/1.1"), "200 404"),
    "dots that lead out": Row(line(b"GET /../../etc/passwd HTTP/1.1"), "404 404"),
    "encoded dots": Row(line(b"GET /%2e%2e/etc/passwd HTTP/1.1"), "404 404"),
    "two slashes": Row(line(b"GET //v1/models HTTP/1.1"), "404 404"),
    "a backslash": Row(line(b"GET \\v1\\models HTTP/1.1"), "400", "404 404", TARGET),
    "an absolute URL": Row(line(b"GET http://x/v1/models HTTP/1.1"), "200 404", "404 404", ABSOLUTE),
    "an absolute URL of another host": Row(line(b"GET http://y/v1/models HTTP/1.1"), "200 404", "404 404", ABSOLUTE),
    "an absolute URL without a path": Row(line(b"GET http://x HTTP/1.1"), "200 404", "404 404", ABSOLUTE),
    "an absolute URL with a query alone": Row(line(b"GET http://x?a HTTP/1.1"), "200 404", "404 404", ABSOLUTE),
    "an absolute URL with a port": Row(line(b"GET http://x:8800/v1/models HTTP/1.1"), "200 404", "404 404", ABSOLUTE),
    "an absolute URL with a user": Row(line(b"GET http://me@x/v1/models HTTP/1.1"), "200 404", "404 404", ABSOLUTE),
    "an absolute URL of HTTPS": Row(line(b"GET https://x/v1/models HTTP/1.1"), "200 404", "404 404", ABSOLUTE),
    "an absolute URL of another scheme": Row(line(b"GET ftp://x/v1/models HTTP/1.1"), "200 404", "404 404", ABSOLUTE),
    "an absolute URL with a broken address": Row(line(b"GET http://[ HTTP/1.1"), "400", "404 404", TARGET),
    "an absolute URL without a host": Row(line(b"GET http:/// HTTP/1.1"), "400", "404 404", TARGET),
    "an address without a scheme": Row(line(b"GET x:80 HTTP/1.1"), "400", "404 404", TARGET),
    "a relative path": Row(line(b"GET v1/models HTTP/1.1"), "400", "404 404", TARGET),
    "an asterisk with GET": Row(line(b"GET * HTTP/1.1"), "404 404"),
    "angle brackets": Row(line(b"GET /<b> HTTP/1.1"), "404 404"),
    "a quotation mark": Row(line(b'GET /v1/models?"a" HTTP/1.1'), "200 404"),
}
VERSIONS = {
    "HTTP/1.0": Row(line(b"GET /v1/models HTTP/1.0"), "200"),
    "HTTP/1.0 without Host": Row(get(b"", line=b"GET /v1/models HTTP/1.0\r\n"), "200"),
    "HTTP/1.0 that keeps the connection": Row(
        get(HOST + b"Connection: keep-alive\r\n", line=b"GET /v1/models HTTP/1.0\r\n"), "200"
    ),
    "HTTP/1.0 with a length": Row(post(version=b"1.0"), "200"),
    "HTTP/1.0 with a chunked body": Row(post(CHUNKED, CHUNKS, version=b"1.0"), "400", "200", OLD_CHUNKS),
    "HTTP/1.0 that expects 100 Continue": Row(post(LENGTH + b"Expect: 100-continue\r\n", version=b"1.0"), "200"),
    "HTTP/1.2": Row(line(b"GET /v1/models HTTP/1.2"), "200 404"),
    "HTTP/1.9": Row(line(b"GET /v1/models HTTP/1.9"), "200 404"),
    "HTTP/2.0": Row(line(b"GET /v1/models HTTP/2.0"), "505", "200 404", HTTP_1),
    "HTTP/3.0": Row(line(b"GET /v1/models HTTP/3.0"), "505", "200 404", HTTP_1),
    "HTTP/9.9": Row(line(b"GET /v1/models HTTP/9.9"), "505", "200 404", HTTP_1),
    "HTTP/0.9": Row(line(b"GET /v1/models HTTP/0.9"), "400", "200", HTTP_1),
    "a version without a minor number": Row(line(b"GET /v1/models HTTP/1"), "400"),
    "a version with leading zeros": Row(line(b"GET /v1/models HTTP/01.01"), "400"),
    "a version with two digits": Row(line(b"GET /v1/models HTTP/1.10"), "400"),
    "a version with a comma": Row(line(b"GET /v1/models HTTP/1,1"), "400"),
    "a version with a space": Row(line(b"GET /v1/models HTTP/ 1.1"), "400"),
    "a version with a sign": Row(line(b"GET /v1/models HTTP/+1.1"), "400"),
    "a version in lower case": Row(line(b"GET /v1/models http/1.1"), "400"),
    "a version in mixed case": Row(line(b"GET /v1/models Http/1.1"), "400"),
    "another protocol": Row(line(b"GET /v1/models FTP/1.1"), "400"),
    "a protocol of cameras": Row(line(b"GET /v1/models RTSP/1.0"), "200", "400", RTSP),
    "a letter as a version": Row(line(b"GET /v1/models HTTP/A.1"), "400"),
    "a version of three parts": Row(line(b"GET /v1/models HTTP/1.1.1"), "400"),
}
TABLES = {"syntax": REQUEST_LINES, "methods": METHODS, "targets": TARGETS, "versions": VERSIONS}


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES)
async def test_a_request_line_gets_its_answers(testbed: Testbed, rows: dict[str, Row]) -> None:
    assert await differences(testbed, rows) == ""
