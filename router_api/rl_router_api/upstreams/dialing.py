"""Opens connections to upstreams, directly or through a proxy, and with or without TLS."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from urllib.parse import SplitResult, unquote, urlsplit

import aiohappyeyeballs

from ..config.proxies import proxy_for
from ..errors import ProxyRefusedError
from .connection import Connection

_STAGGER = 0.25
"""The number of seconds to wait for a connection to one address of a host before the next address is tried in parallel
(RFC 8305)."""


@dataclass(frozen=True)
class Endpoint:
    """The server that a URL names.

    The attribute `secure` says whether the server uses TLS. The attribute `proxy` is the proxy's URL, or None if no
    proxy is used. The attribute `origin` is the scheme and the authority of the URL. URLs with the same origin share
    connections.
    """

    origin: str
    host: str
    port: int
    secure: bool
    proxy: str | None


def endpoint_of(url: str) -> Endpoint:
    """Returns the endpoint of a URL, with the proxy that the environment variables select.

    Raises ValueError if the URL is invalid, and ProxyRefusedError if the proxy's URL is invalid or unsupported.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    proxy = proxy_for(parts.scheme, host, port)
    if proxy is not None:
        _check_proxy(proxy, f"{parts.scheme.upper()}_PROXY or ALL_PROXY")
    return Endpoint(f"{parts.scheme}://{parts.netloc}", host, port, secure, proxy)


def _check_proxy(proxy: str, variables: str) -> None:
    """Raises ProxyRefusedError if the URL of a proxy has an invalid host or port, or an unsupported scheme.

    The error does not contain the proxy's URL, because the URL may contain a password.
    """
    try:
        parts = urlsplit(proxy)
        is_valid = bool(parts.hostname) and parts.port != 0  # urlsplit raises ValueError for every other invalid port
    except ValueError:
        is_valid = False
    if not is_valid:
        example = "Use a URL such as http://proxy.example:3128, or add the upstream to NO_PROXY"
        raise ProxyRefusedError(f"the proxy's URL in {variables} has an invalid host or port. {example}")
    if parts.scheme not in ("http", "https"):
        raise ProxyRefusedError(f"unsupported {parts.scheme} proxy. Use an HTTP proxy, or add the upstream to NO_PROXY")


async def dial(endpoint: Endpoint, trust: ssl.SSLContext, idle_timeout: float) -> Connection:
    """Returns a new connection to an endpoint, directly or through the endpoint's proxy.

    Raises OSError (or its subclass ssl.SSLError), ProxyRefusedError, TransportError or UnicodeError if the connection
    cannot be opened.
    """
    if endpoint.proxy is None:
        return await _open(endpoint.host, endpoint.port, trust if endpoint.secure else None)
    proxy = urlsplit(endpoint.proxy)
    secure_proxy = proxy.scheme == "https"
    port = proxy.port or (443 if secure_proxy else 80)
    connection = await _open(proxy.hostname or "", port, trust if secure_proxy else None)
    if endpoint.secure:
        try:
            await _tunnel(connection, endpoint, basic_authorization(proxy), trust, idle_timeout)
        except BaseException:
            connection.abort()
            raise
    return connection


async def _open(host: str, port: int, trust: ssl.SSLContext | None) -> Connection:
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    connected = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_STAGGER, interleave=1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _, connection = await loop.create_connection(
        Connection, sock=connected, ssl=trust, server_hostname=host if trust else None
    )  # fmt: skip
    return connection


async def _tunnel(
    connection: Connection, endpoint: Endpoint, authorization: str | None, trust: ssl.SSLContext, idle_timeout: float
) -> None:
    """Makes the proxy connect to the upstream, and starts TLS with the upstream through the proxy.

    Raises ProxyRefusedError if the proxy refuses to connect, and OSError or TransportError if the tunnel fails.
    """
    authority = f"[{endpoint.host}]:{endpoint.port}" if ":" in endpoint.host else f"{endpoint.host}:{endpoint.port}"
    header = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    await connection.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{header}\r\n".encode(), idle_timeout)
    connection.reset_parser()
    status = connection.status
    if not 200 <= status < 300:
        raise ProxyRefusedError(f"the proxy answered CONNECT with status {status}. Check the proxy's URL and rules")
    loop = asyncio.get_running_loop()
    inner = await loop.start_tls(connection.transport, connection, trust, server_hostname=endpoint.host)
    connection.set_transport(cast(asyncio.Transport, inner))


@lru_cache(maxsize=1024)
def basic_authorization(parts: SplitResult) -> str | None:
    """Returns the Authorization header's value for the user and password of a URL, or None if the URL has no user."""
    if parts.username is None:
        return None
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(credentials.encode()).decode()
