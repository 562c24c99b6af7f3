"""What leaves the process: through which proxy, trusting whom, and what is made of a connection that fails."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rl_router_api.transport import HttpTransport, TransportError

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
