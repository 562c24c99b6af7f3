"""Runs a TLS server with a self-signed certificate, and a proxy that connects to the TLS server."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fakes.upstreams.raw import OK


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Creates a self-signed certificate with openssl, for 127.0.0.1, ::1 and the host `upstream.invalid`.

    Returns the paths of the certificate file and of the private key's file.
    """
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,IP:::1,DNS:upstream.invalid"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", *curve, "-nodes", "-days", "2", *names, *files], check=True, capture_output=True
    )
    return certificate, key


@asynccontextmanager
async def tls_server(certificate: tuple[Path, Path], host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Runs a TLS server on the address `host`. Yields the port of the TLS server.

    The TLS server answers one request on each connection.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, host, 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


class Proxy:
    """A proxy that accepts CONNECT requests for any host, and connects all clients to one port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.requests: list[str] = []
        """The request lines that the proxy received."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.decode().split("\r\n")[0])
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[tuple[Proxy, str]]:
    """Runs a proxy that connects all clients to the port `port` of this machine.

    Yields the proxy and the proxy's URL.
    """
    proxy = Proxy(port)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        yield proxy, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
