"""The HTTP client for upstreams: the interface `Transport`, and an implementation with a pool of connections.

The implementation is the router's own code and uses the library httptools. The page docs/performance.md compares
this implementation with the library aiohttp. Tests may replace this implementation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from ..errors import ProxyRefusedError, TransportError, UnusableAnswerError
from ..timing import Until
from .connection import Connection
from .decompression import decompressed
from .dialing import Endpoint, basic_authorization, dial, endpoint_of
from .trust import Trust

_KEEP_ALIVE = 4.0
"""The number of seconds after which an idle connection expires. The router closes expired connections within 1 s.
Common servers (uvicorn, vLLM) close idle connections after 5 s. Because the router closes idle connections earlier than
these servers, a request is seldom sent over a connection that the server is closing."""
_MAX_AGE = 300.0
"""The maximum age, in seconds, of a connection that is kept for the next request. Older connections are closed, so that
the host names of upstreams are resolved again."""
_MAX_RESEND = 1.0
"""The maximum age, in seconds, of a request that is sent again after a reused connection has failed. An older request
is not sent again, because the upstream may have billed the request."""
_CONNECT_TIMEOUT = 10.0


class Response(Protocol):
    """A response of an upstream, after the response headers have arrived and before the response body is read."""

    status: int

    @property
    def headers(self) -> Mapping[str, str]:
        """A mapping from the lower-case names of the response headers to the values of the headers."""

    async def read(self) -> bytes:
        """Returns the next bytes of the response body, or b"" at the end of the body.

        Raises TransportError if the connection fails or the body is invalid.
        """

    def close(self) -> None:
        """Gives the connection back to the pool if the connection can be reused, else closes the connection."""


class Transport(Protocol):
    """An HTTP client. The parameter `idle_timeout` is the maximum time without data, in seconds."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, idle_timeout: float
    ) -> Response:
        """Sends a request, and returns the response after the response headers have arrived.

        Raises TransportError if the request cannot be sent or no valid headers arrive.
        """

    async def close(self) -> None:
        """Closes every connection."""


async def read_whole(
    response: Response,
    limit: int,
    count: Callable[[int, bytes], None] | None = None,
    parts: list[bytes] | None = None,
) -> bytes:
    """Returns the whole body of a response.

    After each received piece of the body, the function `count`, if given, is called with the number of bytes received
    so far, and with the piece. The received pieces are appended to the list `parts`, so that the caller has
    the received pieces if the body cannot be read to the end. If the list is not empty, the body begins with the
    entries of the list.

    Raises UnusableAnswerError if more than `limit` bytes arrive, and TransportError if the body cannot be read.
    """
    parts = [] if parts is None else parts
    size = 0
    while part := await response.read():
        parts.append(part)
        size += len(part)
        if count is not None:
            count(size, part)
        if size > limit:
            raise UnusableAnswerError(f"the response body exceeds the limit of {limit} bytes")
    return b"".join(parts)


class HttpTransport:
    """A transport that keeps a pool of connections, and that neither follows redirects nor keeps cookies.

    The environment variables HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY determine the proxy for each
    upstream. The class `Trust` determines which certificate authorities are trusted.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._trust = Trust()
        self._endpoints: dict[str, Endpoint] = {}
        self._idle: dict[str, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, idle_timeout: float
    ) -> Response:
        try:
            endpoint = self._endpoint(url)
            head = _whole_head(method, url, endpoint.proxy, headers, body)
        except ValueError as error:
            raise TransportError("broken", f"the request cannot be sent: {error}") from error
        except ProxyRefusedError as error:
            raise TransportError("refused", f"cannot connect: {error}") from error
        reused = self._take(endpoint)
        connection = reused or await self._dial(endpoint, idle_timeout)
        sent = self._loop.time()
        try:
            await connection.send(head, idle_timeout, body or b"")
        except BaseException as error:
            self._drop(connection)
            if reused is None or not self._was_closed(reused, error, sent):
                raise
            connection = await self._send_anew(endpoint, head, body or b"", idle_timeout)
        return _HttpResponse(self, endpoint.origin, connection)

    def _was_closed(self, connection: Connection, error: BaseException, sent: float) -> bool:
        """Returns whether the server probably closed a reused connection before the server read the request.

        In this case, the connection ends within a second and without a response.
        """
        is_reset = isinstance(error, TransportError) and error.kind == "reset" and not connection.has_received
        return is_reset and self._loop.time() - sent <= _MAX_RESEND

    async def _send_anew(self, endpoint: Endpoint, head: bytes, body: bytes, idle_timeout: float) -> Connection:
        connection = await self._dial(endpoint, idle_timeout)
        try:
            await connection.send(head, idle_timeout, body)
        except BaseException:
            self._drop(connection)
            raise
        return connection

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
        """Keeps a connection for the next request, or closes a connection that is too old or not reusable."""
        now = self._loop.time()
        if not connection.reusable or now - connection.opened > _MAX_AGE:
            self._drop(connection)
            return
        connection.idle_since = now
        self._idle.setdefault(origin, []).append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_KEEP_ALIVE, self._drop_stale)

    def _endpoint(self, url: str) -> Endpoint:
        # The endpoint of each URL is cached, because reading the environment takes more CPU time than the request.
        endpoint = self._endpoints.get(url)
        if endpoint is None:
            endpoint = self._endpoints[url] = endpoint_of(url)
        return endpoint

    def _take(self, endpoint: Endpoint) -> Connection | None:
        """Returns the most recently used idle connection to an endpoint, or None if no idle connection is usable.

        The most recently used connection is preferred, so that connections that are not needed for a while expire.
        """
        idle = self._idle.get(endpoint.origin)
        while idle:
            connection = idle.pop()
            # Bytes that the server sent after its response must not become the response to this request.
            if not connection.closed and not connection.unread.poll(0):
                return connection
            self._drop(connection)
        return None

    async def _dial(self, endpoint: Endpoint, idle_timeout: float) -> Connection:
        timeout = min(idle_timeout, _CONNECT_TIMEOUT)
        try:
            with Until(self._loop.time() + timeout):
                connection = await dial(endpoint, self._trust.context(), idle_timeout)
        except TimeoutError as error:
            raise TransportError("timeout", f"the connection was not opened within {timeout:g} s") from error
        except (OSError, ProxyRefusedError, UnicodeError) as error:
            # A host name that has an empty or very long label raises UnicodeError.
            reason = getattr(error, "strerror", None) or (
                type(error).__name__ if isinstance(error, OSError) else str(error)
            )
            raise TransportError("refused", f"cannot connect: {reason}") from error
        self._open.add(connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.abort()

    def _drop_stale(self) -> None:
        self._sweep = None
        now = self._loop.time()
        for origin, idle in list(self._idle.items()):
            fresh = [kept for kept in idle if not kept.closed and now - kept.idle_since < _KEEP_ALIVE]
            for connection in set(idle) - set(fresh):
                self._drop(connection)
            self._idle[origin] = fresh
            if not fresh:
                del self._idle[origin]
        if self._idle:
            self._sweep = self._loop.call_later(_KEEP_ALIVE / 4, self._drop_stale)


class _HttpResponse:
    def __init__(self, transport: HttpTransport, origin: str, connection: Connection) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: Connection | None = connection
        self.status = connection.status
        self._headers = connection.headers
        codings = connection.compressions
        self._decompressed = decompressed(codings, connection.read) if codings else None

    @property
    def headers(self) -> Mapping[str, str]:
        # Headers are decoded only on demand, because headers are rarely read. NUL becomes a space (RFC 9110, 5.5).
        return {
            name.decode("latin-1"): value.decode("latin-1").replace("\0", " ").strip(" \t")
            for name, value in self._headers
        }

    def read(self) -> Coroutine[Any, Any, bytes]:
        if self._decompressed is not None:
            return self._decompressed.read()
        return self._connection.read() if self._connection is not None else _nothing()

    def close(self) -> None:
        if self._connection is not None:
            self._transport.give_back(self._origin, self._connection)
            self._connection = self._decompressed = None


async def _nothing() -> bytes:
    return b""


def _whole_head(method: str, url: str, proxy: str | None, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Returns the bytes of an HTTP request before the body. Raises ValueError if a header contains a line break."""
    head = _head(method, url, proxy, tuple(headers.items()))
    return head + b"\r\n" if body is None else b"%bContent-Length: %d\r\n\r\n" % (head, len(body))


@lru_cache(maxsize=256)
def _head(method: str, url: str, proxy: str | None, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Returns the request line and the headers of an HTTP request, except the header `Content-Length`.

    The returned bytes are cached, because calls to an upstream without the header `traceparent` usually differ only in
    the body.
    """
    lines = [*_start(method, url, proxy), *(f"{name}: {value}" for name, value in headers)]
    head = "\r\n".join([*lines, ""])
    if head.count("\n") != len(lines) or head.count("\r") != len(lines):
        raise ValueError("a request header contains a line break. Remove the line break from the API key or header")
    return head.encode()


def _start(method: str, url: str, proxy: str | None) -> list[str]:
    """Returns the request line, `Accept-Encoding`, and the headers that depend on the upstream's and proxy's URLs."""
    parts = urlsplit(url)
    authority = parts.netloc.rpartition("@")[2]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"Host: {authority}", "Accept-Encoding: identity"]
    if authorization := basic_authorization(parts):
        lines.append(f"Authorization: {authorization}")
    if proxy is not None and parts.scheme == "http":
        # For plain HTTP, the proxy itself sends the request to the upstream, so the proxy needs the absolute URL.
        path = f"http://{authority}{path}"
        authorization = basic_authorization(urlsplit(proxy))
        lines += [f"Proxy-Authorization: {authorization}"] if authorization else []
    return [f"{method} {path} HTTP/1.1", *lines]
