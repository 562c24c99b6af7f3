"""Opens connections to upstreams: directly or through a proxy, with TLS or without."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from urllib.parse import SplitResult, unquote, urlsplit

import aiohappyeyeballs

from ..errors import ProxyRefusedError
from .connection import Connection

_STAGGER = 0.25
"""Seconds after which a further address of a host is tried beside one that does not answer (RFC 8305)."""


@dataclass(frozen=True)
class Place:
    """Where requests for a URL go: the server at `host` and `port`, by TLS or not, and through which proxy.

    `origin` is the scheme and authority that connections are shared by.
    """

    origin: str
    host: str
    port: int
    secure: bool
    proxy: str | None


def place_of(url: str) -> Place:
    """The place; proxies are looked up in the environment (HTTPS_PROXY, NO_PROXY). Raises ValueError."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    bypassed = urllib.request.proxy_bypass(host)
    proxy = None if bypassed else urllib.request.getproxies().get(parts.scheme)
    return Place(f"{parts.scheme}://{parts.netloc}", host, port, secure, proxy)


async def dial(place: Place, trust: ssl.SSLContext, idle_timeout: float) -> Connection:
    """A new connection. Raises OSError (ssl.SSLError is one), ProxyRefusedError, TransportError, ValueError."""
    if place.proxy is None:
        return await _open(place.host, place.port, trust if place.secure else None)
    proxy = urlsplit(place.proxy if "://" in place.proxy else f"http://{place.proxy}")
    secure_proxy = proxy.scheme == "https"
    port = proxy.port or (443 if secure_proxy else 80)
    made = await _open(proxy.hostname or "", port, trust if secure_proxy else None)
    if place.secure:
        try:
            await _tunnel(made, place, basic(proxy), trust, idle_timeout)
        except BaseException:
            made.abort()
            raise
    return made


async def _open(host: str, port: int, trust: ssl.SSLContext | None) -> Connection:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    opened = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_STAGGER, interleave=1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _, made = await loop.create_connection(
        Connection, sock=opened, ssl=trust, server_hostname=host if trust else None
    )  # fmt: skip
    return made


async def _tunnel(
    made: Connection, place: Place, authorization: str | None, trust: ssl.SSLContext, idle_timeout: float
) -> None:
    """Has the proxy at the other end connect to the upstream, and speaks TLS with that from then on."""
    where = f"[{place.host}]:{place.port}" if ":" in place.host else f"{place.host}:{place.port}"
    proof = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    await made.ask(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{proof}\r\n".encode(), idle_timeout)
    made.forget_parser()
    status = made.status
    if not 200 <= status < 300:
        raise ProxyRefusedError(f"the proxy answered {status}")
    loop = asyncio.get_running_loop()
    inner = await loop.start_tls(made.transport, made, trust, server_hostname=place.host)
    made.over(cast(asyncio.Transport, inner))


@lru_cache(maxsize=1024)
def basic(parts: SplitResult) -> str | None:
    """The Authorization that a URL's user and password make, if it has any."""
    if parts.username is None:
        return None
    said = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(said.encode()).decode()
