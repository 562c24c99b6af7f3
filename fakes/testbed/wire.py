"""Sends bytes to routers in uvicorn with two HTTP/1.1 implementations: RL Router's own, and h11 for comparison."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from fakes.testbed.router import Testbed, run_uvicorn

HOST = b"Host: x\r\n"
BODY = b'{"model":"alpha","messages":[{"role":"user","content":"hi"}]}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""The last request of each connection.

The router answers LAST with the status 404. Few other requests get this status, so a test recognizes the answer.
"""
_PATIENCE = 3.0
"""The seconds without data from a server after which a test concludes that the server waits for more bytes."""
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


ANY = "any"
"""The value of `Row.other` if the answers of the compared software depend on how the kernel divides the bytes."""

# These reasons are values of `Row.why` in several tables.
BARE_LF = "RFC 9112, 2.2: a server may refuse a line end without CR, and proxies disagree about such lines"
EMPTY_LINES = "RFC 9112, 2.2: a server should ignore at least one empty line before a request"
FOLD = "RFC 9112, 5.2: a server may refuse a folded line, and proxies disagree about such lines"
ZEROS = "RFC 9112, 7.1: a chunk's size may have leading zeros"


class Row(NamedTuple):
    """Bytes that a client or an upstream sends, and the router's answers to the bytes.

    If a client sends the bytes, the attribute `answers` contains the status of each response, and the word `waits` if
    the router expects more bytes. If an upstream sends the bytes, `answers` is the response as the router reads it, or
    the word `refused`.

    The attribute `other` contains the answers of the software with which a test compares the router, if these answers
    differ from the router's answers. The attribute `why` is the reason why the router's answers are right.
    """

    sent: bytes
    answers: str
    other: str = ""
    why: str = ""


def get(headers: bytes = HOST, line: bytes = b"GET /v1/models HTTP/1.1\r\n") -> bytes:
    """Returns a request with the request line `line` and the headers `headers`, and without a body."""
    return line + headers + b"\r\n"


def line(text: bytes) -> bytes:
    """Returns a request with the request line `text`."""
    return get(line=text + b"\r\n")


def header(line: bytes) -> bytes:
    """Returns a request with the header line `line` after the header Host."""
    return get(HOST + line + b"\r\n")


def post(headers: bytes = LENGTH, body: bytes = BODY, version: bytes = b"1.1") -> bytes:
    """Returns a chat request with the body `body`, and with the headers `headers` that describe the body."""
    line = b"POST /v1/chat/completions HTTP/%b\r\n" % version
    return line + HOST + b"Content-Type: application/json\r\n" + headers + b"\r\n" + body


class Server:
    """A running server. Each call of `answers` sends bytes over a new connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._free = asyncio.Semaphore(32)

    async def answers(self, sent: bytes, size: int = 1_000_000) -> str:
        """Sends the bytes `sent` and the request LAST. Returns the statuses of the responses, separated by spaces.

        The bytes are sent in pieces of `size` bytes. If the server expects more bytes, the result ends with the word
        `waits`.
        """
        async with self._free:
            reader, writer = await asyncio.open_connection(self._host, self._port)
            whole = sent + LAST
            for start in range(0, len(whole), size):
                writer.write(whole[start : start + size])
                await asyncio.sleep(0)
            received, waits = b"", False
            try:
                while part := await asyncio.wait_for(reader.read(65_536), _PATIENCE):
                    received += part
            except TimeoutError:
                waits = True
            except ConnectionError:
                pass
            writer.transport.abort()
        return " ".join([*(status.decode() for status in _STATUS.findall(received)), *(["waits"] if waits else [])])


@asynccontextmanager
async def both_servers(testbed: Testbed) -> AsyncIterator[tuple[Server, Server]]:
    """Runs two routers in uvicorn, one with RL Router's own HTTP/1.1 implementation and one with h11.

    Both routers have only the target `alpha`.
    """
    servers = []
    for run in (run_uvicorn, partial(run_uvicorn, http="h11")):
        testbed.server = run
        setup = await testbed.start(None, None)
        servers.append(Server(str(setup.client.base_url)))
    yield servers[0], servers[1]


async def differences(testbed: Testbed, rows: Mapping[str, Row]) -> str:
    """Returns a text with one line for each row in which a server's answers differ from the expected answers."""
    async with both_servers(testbed) as servers:
        answers = await asyncio.gather(
            *(asyncio.gather(*(server.answers(row.sent) for server in servers)) for row in rows.values())
        )
    return "\n".join(
        f"{name}: {ours!r} instead of {row.answers!r}, h11 {theirs!r} instead of {row.other or row.answers!r}"
        for (name, row), (ours, theirs) in zip(rows.items(), answers, strict=True)
        if ours != row.answers or theirs != {"": row.answers, ANY: theirs}.get(row.other, row.other)
    )
