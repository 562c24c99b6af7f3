"""What leaves the process: through which proxy, trusting whom, and what is made of a connection that fails."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rl_router_api.errors import TransportError
from rl_router_api.upstreams.connection import Connection
from rl_router_api.upstreams.transport import HttpTransport, Response

from fakes.testbed.waiting import until

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine that nobody knows, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    made, key = folder / "certificate.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:upstream.invalid"]
    command = [
        "openssl",
        "req",
        "-x509",
        *curve,
        "-nodes",
        "-days",
        "2",
        *named,
        "-keyout",
        str(key),
        "-out",
        str(made),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


@asynccontextmanager
async def upstream(certificate: tuple[Path, Path]) -> AsyncIterator[int]:
    """A server that wants TLS; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


class Proxy:
    """Takes CONNECT for whatever, and connects to one port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.decode().split("\r\n")[0])
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[tuple[Proxy, str]]:
    made = Proxy(port)
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def fetched(url: str) -> bytes:
    """What a new transport gets from there. Raises TransportError."""
    transport = HttpTransport()
    try:
        response = await transport.send("GET", url, {}, None, 5.0)
        received = await response.read()
        response.close()
        return received
    finally:
        await transport.close()


async def test_a_certificate_is_trusted_where_ssl_cert_file_names_its_authority(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with upstream(certificate) as port:
        assert await fetched(f"https://127.0.0.1:{port}/") == b"ok"


async def test_a_certificate_that_nobody_vouches_for_is_no_connection(certificate: tuple[Path, Path]) -> None:
    async with upstream(certificate) as port:
        with pytest.raises(TransportError, match="certificate") as failed:
            await fetched(f"https://127.0.0.1:{port}/")
    assert failed.value.kind == "refused"


async def test_upstreams_are_reached_through_https_proxy(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with upstream(certificate) as port, proxy(port) as (made, address):
        monkeypatch.setenv("HTTPS_PROXY", address)
        assert await fetched("https://upstream.invalid/") == b"ok"
        assert made.asked == ["CONNECT upstream.invalid:443 HTTP/1.1"]


async def test_no_proxy_leads_around_it(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with upstream(certificate) as port, proxy(port) as (made, address):
        monkeypatch.setenv("HTTPS_PROXY", address)
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        assert await fetched(f"https://127.0.0.1:{port}/") == b"ok"
        assert made.asked == []


async def test_a_name_that_nobody_knows_is_no_connection() -> None:
    with pytest.raises(TransportError) as failed:
        await fetched("http://nobody.invalid/")
    assert failed.value.kind == "refused"


async def test_a_proxy_that_refuses_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(TransportError, match="407") as failed:
            await fetched("https://upstream.invalid/")
    assert failed.value.kind == "refused"


@asynccontextmanager
async def serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server; gives its address. Its connections end with its clients'."""
    tasks: set[asyncio.Task[None] | None] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await handle(reader, writer)
        writer.transport.abort()

    async with await asyncio.start_server(tracked, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    await asyncio.gather(*(task for task in tasks if task))
    await asyncio.sleep(0)


@asynccontextmanager
async def saying(*answers: bytes, then_close: bool = False) -> AsyncIterator[tuple[str, list[int]]]:
    """A server that answers request after request with these bytes; gives its address, and how many connections it
    was asked for."""
    left, connections = list(answers), [0]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[0] += 1
        while await reader.read(65_536) and left:
            writer.write(left.pop(0))
            await writer.drain()
            if then_close:
                writer.close()
                await writer.wait_closed()
                break

    async with serving(answer) as url:
        yield url, connections


async def everything(response: Response) -> bytes:
    parts = []
    while part := await response.read():
        parts.append(part)
    response.close()
    return b"".join(parts)


@asynccontextmanager
async def transport() -> AsyncIterator[HttpTransport]:
    made = HttpTransport()
    yield made
    await made.close()


async def test_a_connection_is_used_again_once_its_answer_was_read() -> None:
    async with saying(ANSWER, ANSWER) as (url, connections), transport() as sending:
        for _ in range(2):
            assert await everything(await sending.send("GET", url, {}, None, 5.0)) == b"ok"
        assert connections == [1]


async def test_a_connection_whose_answer_was_not_read_is_not_used_again() -> None:
    async with saying(ANSWER.replace(b": 2", b": 3"), ANSWER) as (url, connections), transport() as sending:
        unread = await sending.send("GET", url, {}, None, 5.0)
        unread.close()
        assert await everything(await sending.send("GET", url, {}, None, 5.0)) == b"ok"
        assert connections == [2]


async def test_a_connection_that_the_server_means_to_close_is_not_used_again() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with saying(closing, ANSWER) as (url, connections), transport() as sending:
        for _ in range(2):
            assert await everything(await sending.send("GET", url, {}, None, 5.0)) == b"ok"
        assert connections == [2]


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async with saying(b"HTTP/1.1 200 OK\r\n\r\nall of it", then_close=True) as (url, _), transport() as sending:
        assert await everything(await sending.send("GET", url, {}, None, 5.0)) == b"all of it"


async def test_an_answer_that_ends_before_its_length_is_broken() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"
    async with saying(cut, then_close=True) as (url, _), transport() as sending:
        response = await sending.send("GET", url, {}, None, 5.0)
        with pytest.raises(TransportError) as failed:
            await everything(response)
        assert failed.value.kind == "broken"


async def test_an_interim_answer_is_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with saying(early + ANSWER) as (url, _), transport() as sending:
        response = await sending.send("GET", url, {}, None, 5.0)
        assert (response.status, "link" in response.headers) == (200, False)
        assert await everything(response) == b"ok"


@pytest.mark.parametrize("nonsense", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000])
async def test_what_is_no_answer_is_broken(nonsense: bytes) -> None:
    async with saying(nonsense) as (url, _), transport() as sending:
        with pytest.raises(TransportError) as failed:
            await sending.send("GET", url, {}, None, 5.0)
        assert failed.value.kind == "broken"


SURPLUS = [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", ANSWER, b"HTTP/1.1 100 Continue\r\n\r\n", b"nonsense",
           b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]  # fmt: skip


@pytest.mark.parametrize("surplus", SURPLUS)
async def test_bytes_behind_an_answer_are_no_part_of_it_nor_of_the_next_one(surplus: bytes) -> None:
    async with saying(ANSWER + surplus, ANSWER) as (url, connections), transport() as sending:
        for _ in range(2):
            response = await sending.send("GET", url, {}, None, 5.0)
            assert (response.status, await everything(response)) == (200, b"ok")
        assert connections == [2]


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FRAMING = {
    "many trailers": (b"0\r\n", b"a:\r\n" * 256),
    "a trailer's endless value": (b"0\r\nX: ", b"a" * 1024),
    "a chunk's endless extension": (b"1;", b"a" * 1024),
    "a size with leading zeros": (b"", b"0" * 1024),
}
"""How a chunked answer can be framed without an end: how it begins, and what follows again and again."""


@pytest.mark.parametrize(("begun", "more"), FRAMING.values(), ids=FRAMING)
async def test_an_answer_is_framed_with_64_kib_at_most(begun: bytes, more: bytes) -> None:
    sent = [0]

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"4\r\nbody\r\n" + begun)
        while True:
            writer.write(more)
            sent[0] += len(more)
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(endless) as url, transport() as sending:
        response = await sending.send("GET", url, {}, None, 5.0)
        with pytest.raises(TransportError, match="more than 65536 bytes of chunk sizes") as failed:
            await everything(response)
        assert failed.value.kind == "broken"
        response.close()
    assert sent[0] < 8_000_000


async def test_interim_answers_without_an_end_are_no_answer() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with saying(early * 4_000) as (url, _), transport() as sending:
        with pytest.raises(TransportError, match="more than 65536 bytes of headers"):
            await sending.send("GET", url, {}, None, 5.0)


async def test_an_answers_trailers_are_dropped() -> None:
    async with saying(HEAD + b"2\r\nok\r\n0\r\nRetry-After: 9\r\n\r\n") as (url, _), transport() as sending:
        response = await sending.send("GET", url, {}, None, 5.0)
        assert await everything(response) == b"ok"
        assert response.headers == {"transfer-encoding": "chunked"}


@pytest.mark.parametrize("answer", [ANSWER, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"nonsense\r\n\r\n"])
async def test_a_connection_that_ended_leaves_nothing_to_the_garbage_collector(answer: bytes) -> None:
    def left() -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, Connection)]

    gc.collect()  # what earlier tests left
    gc.disable()
    try:
        async with saying(answer, then_close=True) as (url, _), transport() as sending:
            with contextlib.suppress(TransportError):
                await everything(await sending.send("GET", url, {}, None, 5.0))
        await until(lambda: not left(), "the end of the connection's memory")
    finally:
        gc.enable()


async def test_silence_is_a_timeout_and_every_byte_puts_it_off() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER.replace(b"2\r\n\r\nok", b"9\r\n\r\n"))
        for _ in range(8):
            writer.write(b"x")
            await asyncio.sleep(0.1)
        await reader.read()

    async with serving(trickle) as url, transport() as sending:
        response = await sending.send("GET", url, {}, None, 0.4)
        received = b""
        with pytest.raises(TransportError) as failed:
            while True:
                received += await response.read()
        assert (received, failed.value.kind) == (b"x" * 8, "timeout")


async def test_no_more_of_an_answer_is_taken_than_its_reader_takes() -> None:
    sent = [0]

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            sent[0] += 65_536
            await writer.drain()

    async with serving(endless) as url, transport() as sending:
        response = await sending.send("GET", url, {}, None, 5.0)
        before = -1
        while before < sent[0]:
            # As long as more is taken, it comes without a pause.
            before = sent[0]
            await asyncio.sleep(0.2)
        # The kernel's buffers at both ends hold some megabytes.
        assert sent[0] < 20_000_000
        response.close()


async def test_a_header_cannot_break_out_of_its_line() -> None:
    async with saying(ANSWER) as (url, connections), transport() as sending:
        with pytest.raises(TransportError, match="line break"):
            await sending.send("GET", url, {"X-Team": "seven\r\nX-Admin: yes"}, None, 5.0)
        assert connections == [0]


async def test_credentials_in_an_address_are_sent_as_basic_authorization() -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ANSWER)
        await reader.read()

    async with serving(answer) as url, transport() as sending:
        port = urlsplit(url).port
        await everything(await sending.send("GET", f"http://me:secret@127.0.0.1:{port}/a?b=1", {}, None, 5.0))
    lines = asked[0].split(b"\r\n")
    assert lines[0] == b"GET /a?b=1 HTTP/1.1"
    assert b"Host: 127.0.0.1:%d" % port in lines
    assert b"Authorization: Basic bWU6c2VjcmV0" in lines


async def test_a_proxy_is_asked_for_a_plain_address_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ANSWER)
        await reader.read()

    async with serving(answer) as url, transport() as sending:
        port = urlsplit(url).port
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{port}")
        assert await everything(await sending.send("GET", "http://upstream.invalid/a", {}, None, 5.0)) == b"ok"
    assert asked[0].startswith(b"GET http://upstream.invalid/a HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in asked[0]
