"""The connections to upstreams: proxies, certificates, reuse, limits and failures."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import shutil
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rl_router_api.errors import TransportError
from rl_router_api.upstreams.connection import Connection
from rl_router_api.upstreams.transport import HttpTransport, Response
from rl_router_api.upstreams.trust import Trust

from fakes.testbed.framing import ENDLESS_FRAMING
from fakes.testbed.router import Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import text
from fakes.upstreams.ipv6 import requires_ipv6
from fakes.upstreams.raw import OK, Handler, raw_server, recording_heads, sending
from fakes.upstreams.tls import make_certificate, proxy_to, tls_server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for this machine, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    return make_certificate(folder)


async def fetched(url: str) -> bytes:
    """Returns the first part of the body that a new transport receives. Raises TransportError."""
    transport = HttpTransport()
    try:
        response = await transport.send("GET", url, {}, None, 5.0)
        received = await response.read()
        response.close()
        return received
    finally:
        await transport.close()


async def test_a_certificate_in_ssl_cert_file_is_trusted(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with tls_server(certificate) as port:
        assert await fetched(f"https://127.0.0.1:{port}/") == b"ok"


@requires_ipv6
async def test_a_certificate_is_verified_for_an_ipv6_address_and_through_a_proxy(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with tls_server(certificate, "::1") as port:
        assert await fetched(f"https://[::1]:{port}/") == b"ok"
    async with tls_server(certificate) as port, proxy_to(port) as (proxy, address):
        monkeypatch.setenv("HTTPS_PROXY", address)
        assert await fetched("https://[::1]/") == b"ok"
        assert proxy.requests == ["CONNECT [::1]:443 HTTP/1.1"]


async def test_an_untrusted_certificate_is_a_refused_connection(certificate: tuple[Path, Path]) -> None:
    async with tls_server(certificate) as port:
        with pytest.raises(TransportError, match="certificate") as failed:
            await fetched(f"https://127.0.0.1:{port}/")
    assert failed.value.kind == "refused"


async def test_upstreams_are_reached_through_https_proxy(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with tls_server(certificate) as port, proxy_to(port) as (proxy, address):
        monkeypatch.setenv("HTTPS_PROXY", address)
        assert await fetched("https://upstream.invalid/") == b"ok"
        assert proxy.requests == ["CONNECT upstream.invalid:443 HTTP/1.1"]


async def test_no_proxy_bypasses_the_proxy(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with tls_server(certificate) as port, proxy_to(port) as (proxy, address):
        monkeypatch.setenv("HTTPS_PROXY", address)
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        assert await fetched(f"https://127.0.0.1:{port}/") == b"ok"
        assert proxy.requests == []


async def test_an_unknown_host_name_is_a_refused_connection() -> None:
    with pytest.raises(TransportError) as failed:
        await fetched("http://nobody.invalid/")
    assert failed.value.kind == "refused"


async def test_a_proxy_that_refuses_is_a_refused_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(TransportError, match="407") as failed:
            await fetched("https://upstream.invalid/")
    assert failed.value.kind == "refused"


async def whole_body(response: Response) -> bytes:
    parts = []
    while part := await response.read():
        parts.append(part)
    response.close()
    return b"".join(parts)


@asynccontextmanager
async def transport() -> AsyncIterator[HttpTransport]:
    transport = HttpTransport()
    yield transport
    await transport.close()


async def test_a_connection_is_reused_after_its_response_was_read() -> None:
    async with sending(OK, OK) as (url, connections), transport() as client:
        for _ in range(2):
            assert await whole_body(await client.send("GET", url, {}, None, 5.0)) == b"ok"
        assert connections == [1]


async def test_a_connection_whose_response_was_not_read_is_not_reused() -> None:
    async with sending(OK.replace(b": 2", b": 3"), OK) as (url, connections), transport() as client:
        unread = await client.send("GET", url, {}, None, 5.0)
        unread.close()
        assert await whole_body(await client.send("GET", url, {}, None, 5.0)) == b"ok"
        assert connections == [2]


async def test_a_connection_that_the_server_will_close_is_not_reused() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with sending(closing, OK) as (url, connections), transport() as client:
        for _ in range(2):
            assert await whole_body(await client.send("GET", url, {}, None, 5.0)) == b"ok"
        assert connections == [2]


async def test_a_response_without_a_length_ends_with_its_connection() -> None:
    async with sending(b"HTTP/1.1 200 OK\r\n\r\nall of it", then_close=True) as (url, _), transport() as client:
        assert await whole_body(await client.send("GET", url, {}, None, 5.0)) == b"all of it"


async def test_a_response_shorter_than_its_length_is_broken() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"
    async with sending(cut, then_close=True) as (url, _), transport() as client:
        response = await client.send("GET", url, {}, None, 5.0)
        with pytest.raises(TransportError) as failed:
            await whole_body(response)
        assert failed.value.kind == "broken"


async def test_an_interim_response_is_skipped() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with sending(early + OK) as (url, _), transport() as client:
        response = await client.send("GET", url, {}, None, 5.0)
        assert (response.status, "link" in response.headers) == (200, False)
        assert await whole_body(response) == b"ok"


@pytest.mark.parametrize("invalid", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000])
async def test_bytes_that_are_not_a_response_are_broken(invalid: bytes) -> None:
    async with sending(invalid) as (url, _), transport() as client:
        with pytest.raises(TransportError) as failed:
            await client.send("GET", url, {}, None, 5.0)
        assert failed.value.kind == "broken"


SURPLUS = [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", OK, b"HTTP/1.1 100 Continue\r\n\r\n", b"nonsense",
           b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]  # fmt: skip


@pytest.mark.parametrize("surplus", SURPLUS)
async def test_bytes_after_a_response_are_discarded(surplus: bytes) -> None:
    async with sending(OK + surplus, OK) as (url, connections), transport() as client:
        for _ in range(2):
            response = await client.send("GET", url, {}, None, 5.0)
            assert (response.status, await whole_body(response)) == (200, b"ok")
        assert connections == [2]


@pytest.mark.parametrize("surplus", SURPLUS)
async def test_bytes_that_arrive_just_before_the_next_request_are_not_its_response(surplus: bytes) -> None:
    connections: list[socket.socket] = []
    loop = asyncio.get_running_loop()

    async def answer(listening: socket.socket) -> None:
        while True:
            connection, _ = await loop.sock_accept(listening)
            connections.append(connection)
            await loop.sock_recv(connection, 65_536)
            await loop.sock_sendall(connection, OK)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        answering = asyncio.create_task(answer(listening))
        async with transport() as client:
            for expected in (1, 2):
                response = await client.send("GET", f"http://127.0.0.1:{listening.getsockname()[1]}/", {}, None, 5.0)
                assert (response.status, await whole_body(response), len(connections)) == (200, b"ok", expected)
                # The event loop does not run between these bytes and the next request.
                connections[-1].send(surplus)
        answering.cancel()
        for connection in connections:
            connection.close()


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(("begun", "more"), ENDLESS_FRAMING.values(), ids=ENDLESS_FRAMING)
async def test_the_framing_of_a_body_may_have_64_kib(begun: bytes, more: bytes) -> None:
    sent = [0]

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"4\r\nbody\r\n" + begun)
        while True:
            writer.write(more)
            sent[0] += len(more)
            await writer.drain()
            await asyncio.sleep(0)

    async with raw_server(endless) as url, transport() as client:
        response = await client.send("GET", url, {}, None, 5.0)
        with pytest.raises(TransportError, match="more than 65536 bytes of chunk sizes") as failed:
            await whole_body(response)
        assert failed.value.kind == "broken"
        response.close()
    assert sent[0] < 8_000_000


async def test_endless_interim_responses_are_refused() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with sending(early * 4_000) as (url, _), transport() as client:
        with pytest.raises(TransportError, match="more than 65536 bytes of headers"):
            await client.send("GET", url, {}, None, 5.0)


async def test_trailers_of_a_response_are_dropped() -> None:
    async with sending(HEAD + b"2\r\nok\r\n0\r\nRetry-After: 9\r\n\r\n") as (url, _), transport() as client:
        response = await client.send("GET", url, {}, None, 5.0)
        assert await whole_body(response) == b"ok"
        assert response.headers == {"transfer-encoding": "chunked"}


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"nonsense\r\n\r\n"])
async def test_a_closed_connection_is_freed_without_the_garbage_collector(answer: bytes) -> None:
    def left() -> list[object]:
        return [candidate for candidate in gc.get_objects() if isinstance(candidate, Connection)]

    gc.collect()  # frees the connections of earlier tests
    gc.disable()
    try:
        async with sending(answer, then_close=True) as (url, _), transport() as client:
            with contextlib.suppress(TransportError):
                await whole_body(await client.send("GET", url, {}, None, 5.0))
        await until(lambda: not left(), "the end of the connection's memory")
    finally:
        gc.enable()


async def test_the_idle_timeout_begins_again_after_every_byte() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK.replace(b"2\r\n\r\nok", b"9\r\n\r\n"))
        for _ in range(8):
            writer.write(b"x")
            await asyncio.sleep(0.1)
        await reader.read()

    async with raw_server(trickle) as url, transport() as client:
        response = await client.send("GET", url, {}, None, 0.4)
        received = b""
        with pytest.raises(TransportError) as failed:
            while True:
                received += await response.read()
        assert (received, failed.value.kind) == (b"x" * 8, "timeout")


async def test_a_response_is_received_only_as_fast_as_it_is_read() -> None:
    sent = [0]

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            sent[0] += 65_536
            await writer.drain()

    async with raw_server(endless) as url, transport() as client:
        response = await client.send("GET", url, {}, None, 5.0)
        before = -1
        while before < sent[0]:
            # While buffers have space, the server sends without a pause.
            before = sent[0]
            await asyncio.sleep(0.2)
        # The kernel's buffers at both ends hold some megabytes.
        assert sent[0] < 20_000_000
        response.close()


async def test_a_large_request_body_is_not_copied_while_the_response_is_awaited() -> None:
    received, answered = 0, asyncio.Event()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        while not answered.is_set() and (part := await reader.read(64 * 1024)):
            received += len(part)
        writer.close()

    body = bytes(8 * 1024 * 1024)
    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        transport, url = HttpTransport(), f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        tracemalloc.start()
        try:
            request = asyncio.create_task(transport.send("POST", url, {}, body, 5.0))
            await until(lambda: received >= len(body), "the body")
            assert tracemalloc.get_traced_memory()[0] < len(body) / 2
        finally:
            tracemalloc.stop()
        answered.set()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        await transport.close()


async def test_a_header_with_a_line_break_is_refused() -> None:
    async with sending(OK) as (url, connections), transport() as client:
        with pytest.raises(TransportError, match="line break"):
            await client.send("GET", url, {"X-Team": "seven\r\nX-Admin: yes"}, None, 5.0)
        assert connections == [0]


async def test_credentials_in_an_address_are_sent_as_basic_authorization() -> None:
    async with recording_heads() as (url, heads), transport() as client:
        port = urlsplit(url).port
        await whole_body(await client.send("GET", f"http://me:secret@127.0.0.1:{port}/a?b=1", {}, None, 5.0))
    lines = heads[0].split(b"\r\n")
    assert lines[0] == b"GET /a?b=1 HTTP/1.1"
    assert b"Host: 127.0.0.1:%d" % port in lines
    assert b"Authorization: Basic bWU6c2VjcmV0" in lines


async def test_a_proxy_receives_the_full_url_of_a_plain_http_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async with recording_heads() as (url, heads), transport() as client:
        port = urlsplit(url).port
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{port}")
        assert await whole_body(await client.send("GET", "http://upstream.invalid/a", {}, None, 5.0)) == b"ok"
    assert heads[0].startswith(b"GET http://upstream.invalid/a HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in heads[0]


def ending(begun: bytes, received: list[bytes]) -> Handler:
    """Returns a server that answers one request of a connection, and ends the connection when it reads another.

    Before the end, it sends the bytes `begun`.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for response in (OK, begun):
            if request := await reader.read(65_536):
                received.append(request)
                writer.write(response)
        writer.close()

    return answer


async def test_a_request_on_a_connection_that_the_server_has_closed_is_sent_once_more() -> None:
    received: list[bytes] = []
    async with raw_server(ending(b"", received)) as url, transport() as client:
        for _ in range(2):
            assert await whole_body(await client.send("GET", url, {}, None, 5.0)) == b"ok"
        assert len(received) == 3


@pytest.mark.parametrize("begun", [b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal"])
async def test_a_request_whose_response_has_begun_is_not_sent_again(begun: bytes) -> None:
    received: list[bytes] = []
    async with raw_server(ending(begun, received)) as url, transport() as client:
        await whole_body(await client.send("GET", url, {}, None, 5.0))
        with pytest.raises(TransportError):
            await whole_body(await client.send("GET", url, {}, None, 5.0))
        assert len(received) == 2


async def test_a_request_on_a_new_connection_is_not_sent_again() -> None:
    async with sending(b"", then_close=True) as (url, connections), transport() as client:
        with pytest.raises(TransportError) as failed:
            await client.send("GET", url, {}, None, 5.0)
        assert (failed.value.kind, connections) == ("reset", [1])


async def test_an_old_connection_is_not_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl_router_api.upstreams.transport._MAX_AGE", -1.0)
    async with sending(OK, OK) as (url, connections), transport() as client:
        for _ in range(2):
            await whole_body(await client.send("GET", url, {}, None, 5.0))
        assert connections == [2]


def test_certificate_authorities_are_read_again_when_their_file_changes(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(certificate[0].read_text())
    trust = Trust({"SSL_CERT_FILE": str(bundle)})
    first = trust.context()
    assert trust.context() is first
    bundle.write_text(bundle.read_text() * 2)
    second = trust.context()
    assert second is not first


def test_an_invalid_file_of_certificates_leaves_the_earlier_authorities_in_use(
    certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(certificate[0].read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    trust = Trust()
    first = trust.context()
    bundle.write_text("not a certificate")
    assert trust.context() is first
    bundle.unlink()
    assert trust.context() is first


async def test_a_proxy_of_an_unsupported_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(TransportError, match="unsupported socks5 proxy"):
        await fetched("http://upstream.invalid/")


@pytest.mark.parametrize(
    "proxy",
    ["http://127.0.0.1:notaport", "http://127.0.0.1:99999", "http://127.0.0.1:0", "http://[::1", "http://", "http://:80",
     "127.0.0.1:x", "http://127.0.0.1: 9"],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_with_an_invalid_url_is_a_refused_connection(
    monkeypatch: pytest.MonkeyPatch, scheme: str, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(TransportError, match=f"proxy's URL in {scheme.upper()}_PROXY or ALL_PROXY") as failed:
        await fetched(f"{scheme}://upstream.invalid/")
    assert failed.value.kind == "refused"


@pytest.mark.parametrize("host", [f"{'a' * 64}.invalid", "a..invalid"], ids=["long label", "empty label"])
@pytest.mark.parametrize("is_proxy", [False, True], ids=["upstream", "proxy"])
async def test_an_invalid_host_name_is_a_refused_connection(
    monkeypatch: pytest.MonkeyPatch, host: str, is_proxy: bool
) -> None:
    if is_proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{host}:3128")
    with pytest.raises(TransportError, match="cannot connect") as failed:
        await fetched("http://upstream.invalid/" if is_proxy else f"http://{host}/")
    assert failed.value.kind == "refused"


async def test_a_target_without_a_proxy_answers_if_the_proxy_of_another_target_is_invalid(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:notaport")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    changes = {"alpha": {"base_url": "http://alpha.invalid/v1"}}
    setup = await testbed.start(None, None, text("from beta"), routing={"policy": "fixed"}, changes=changes)
    assert (await setup.answer())["choices"][0]["message"]["content"] == "from beta"
    response = await setup.send(model="alpha")
    assert response.status_code in (502, 503)
    assert "HTTP_PROXY" in response.json()["error"]["message"]
