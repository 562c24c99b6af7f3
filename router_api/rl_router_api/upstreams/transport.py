"""The HTTP client for upstreams: a pool of connections behind the one seam, `Transport`.

The connections are our own, over httptools: aiohttp costs three times the CPU there and httpx thirty times
(docs/performance.md). A test may put a function in its place.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from ..errors import BrokenAnswerError, ProxyRefusedError, TransportError
from ..timing import Until
from .connection import Connection
from .dialing import Place, basic, dial, place_of

# Shorter than the five seconds after which common servers (uvicorn, vLLM) drop an idle connection, so that a
# request is seldom sent into a connection that is just being closed.
_KEEP_ALIVE = 4.0
_CONNECT_TIMEOUT = 10.0


class Response(Protocol):
    """An upstream's answer, its body still to be read; `headers` are by lower-case name."""

    status: int

    @property
    def headers(self) -> Mapping[str, str]:
        """What stands above the body."""

    async def read(self) -> bytes:
        """The next bytes of the body as they come; none at its end. Raises TransportError."""

    def close(self) -> None:
        """Drops the connection unless the body was read to its end."""


class Transport(Protocol):
    """Sends requests; `idle_timeout` is how many seconds may pass without a byte."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, idle_timeout: float
    ) -> Response:
        """Raises TransportError."""

    async def close(self) -> None:
        """Closes every connection."""


async def read_whole(response: Response, limit: int, count: Callable[[int], None] | None = None) -> bytes:
    """Returns the body; `count` hears how many bytes are here so far.

    Raises BrokenAnswerError if it is longer than `limit` bytes, TransportError.
    """
    parts: list[bytes] = []
    size = 0
    while part := await response.read():
        parts.append(part)
        size += len(part)
        if count is not None:
            count(size)
        if size > limit:
            raise BrokenAnswerError(f"more than {limit} bytes")
    return b"".join(parts)


class HttpTransport:
    """Pooled connections, no redirects, no cookies; proxies by HTTPS_PROXY and NO_PROXY, CAs by SSL_CERT_FILE."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._trust = ssl.create_default_context()
        self._places: dict[str, Place] = {}
        self._idle: dict[str, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, idle_timeout: float
    ) -> Response:
        try:
            place = self._place(url)
            request = _request(method, url, place.proxy, headers, body)
        except ValueError as error:
            raise TransportError("broken", f"the request cannot be sent: {error}") from error
        connection = self._take(place) or await self._dial(place, idle_timeout)
        try:
            await connection.ask(request, idle_timeout)
        except BaseException:
            self._drop(connection)
            raise
        return _Answer(self, place.origin, connection)

    async def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        self._idle.clear()
        dropped = list(self._open)
        for connection in dropped:
            self._drop(connection)
        if dropped:
            await asyncio.wait([connection.lost for connection in dropped], timeout=1.0)

    def give_back(self, origin: str, connection: Connection) -> None:
        """Keeps a connection for the next request where it can take one."""
        if not connection.reusable:
            self._drop(connection)
            return
        connection.idle_since = self._loop.time()
        self._idle.setdefault(origin, []).append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_KEEP_ALIVE, self._drop_stale)

    def _place(self, url: str) -> Place:
        # Looked up once for each URL of the configuration: reading the environment costs more than the request.
        place = self._places.get(url)
        if place is None:
            place = self._places[url] = place_of(url)
        return place

    def _take(self, place: Place) -> Connection | None:
        """The connection that was used last, so that those beyond the need grow old."""
        idle = self._idle.get(place.origin)
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
            self._drop(connection)
        return None

    async def _dial(self, place: Place, idle_timeout: float) -> Connection:
        try:
            with Until(self._loop.time() + min(idle_timeout, _CONNECT_TIMEOUT)):
                connection = await dial(place, self._trust, idle_timeout)
        except TimeoutError as error:
            raise TransportError("timeout", "no connection in time") from error
        except (OSError, ProxyRefusedError) as error:
            why = getattr(error, "strerror", None) or (
                str(error) if isinstance(error, ProxyRefusedError) else type(error).__name__
            )
            raise TransportError("refused", f"cannot connect: {why}") from error
        self._open.add(connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.abort()

    def _drop_stale(self) -> None:
        self._sweep = None
        now = self._loop.time()
        for origin, idle in list(self._idle.items()):
            fresh = [each for each in idle if not each.closed and now - each.idle_since < _KEEP_ALIVE]
            for connection in set(idle) - set(fresh):
                self._drop(connection)
            self._idle[origin] = fresh
            if not fresh:
                del self._idle[origin]
        if self._idle:
            self._sweep = self._loop.call_later(_KEEP_ALIVE / 4, self._drop_stale)


class _Answer:
    def __init__(self, transport: HttpTransport, origin: str, connection: Connection) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: Connection | None = connection
        self.status = connection.status
        self._headers = connection.headers

    @property
    def headers(self) -> Mapping[str, str]:
        # Few are ever looked at.
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}

    def read(self) -> Coroutine[Any, Any, bytes]:
        return self._connection.read() if self._connection is not None else _nothing()

    def close(self) -> None:
        if self._connection is not None:
            self._transport.give_back(self._origin, self._connection)
            self._connection = None


async def _nothing() -> bytes:
    return b""


def _request(method: str, url: str, proxy: str | None, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """The request's bytes. Raises ValueError where a header would break out of its line."""
    head = _head(method, url, proxy, tuple(headers.items()))
    return head + b"\r\n" if body is None else b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


@lru_cache(maxsize=256)
def _head(method: str, url: str, proxy: str | None, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The request line and the headers but the length, which differ little from one request to the next."""
    lines = [*_start(method, url, proxy), *(f"{name}: {value}" for name, value in headers)]
    head = "\r\n".join([*lines, ""])
    if head.count("\n") != len(lines) or head.count("\r") != len(lines):
        raise ValueError("a header holds a line break")
    return head.encode()


def _start(method: str, url: str, proxy: str | None) -> list[str]:
    """The request line, and the headers that follow from the address."""
    parts = urlsplit(url)
    authority = parts.netloc.rpartition("@")[2]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"Host: {authority}", "Accept-Encoding: identity"]
    if own := basic(parts):
        lines.append(f"Authorization: {own}")
    if proxy is not None and parts.scheme == "http":
        # A proxy that is asked for a plain address fetches it itself.
        path = f"http://{authority}{path}"
        through = basic(urlsplit(proxy))
        lines += [f"Proxy-Authorization: {through}"] if through else []
    return [f"{method} {path} HTTP/1.1", *lines]
