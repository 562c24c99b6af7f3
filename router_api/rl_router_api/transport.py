"""The one seam to upstreams: everything that leaves the process goes through a `Transport`.

aiohttp stands behind it (httpx costs ten times the CPU there); a test may put a function in its place.
"""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Mapping
from typing import Literal, Protocol
from urllib.parse import urlsplit

import aiohttp

# Shorter than the five seconds after which common servers (uvicorn, vLLM) drop an idle connection, so that a
# request is seldom sent into a connection that is just being closed.
_KEEP_ALIVE = 4.0
_CONNECT_TIMEOUT = 10.0

FaultKind = Literal["refused", "reset", "timeout", "broken"]


class TransportError(Exception):
    """No whole answer: `kind` says whether the connection was refused, reset, silent too long, or its bytes broken."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Response(Protocol):
    """An upstream's answer, its body still to be read."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """The next bytes of the body as they come; none at its end. Raises TransportError."""

    def close(self) -> None:
        """Drops the connection unless the body was read to its end."""


class Transport(Protocol):
    """Sends requests; `silence` is how many seconds may pass without a byte."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, silence: float
    ) -> Response:
        """Raises TransportError."""

    async def close(self) -> None:
        """Closes every connection."""


class AiohttpTransport:
    """Pooled connections, no redirects, no cookies; proxies by HTTPS_PROXY and NO_PROXY, CAs by SSL_CERT_FILE."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=_KEEP_ALIVE, ssl=ssl.create_default_context(), ttl_dns_cache=10
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT),
            auto_decompress=True,
        )
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._proxies: dict[str, str | None] = {}

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, silence: float
    ) -> Response:
        try:
            response = await self._session.request(
                method, url, headers=headers, data=body, allow_redirects=False,
                timeout=self._timeout(silence), proxy=self._proxy(url),
            )  # fmt: skip
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _fault(error) from error
        return _AiohttpResponse(response)

    async def close(self) -> None:
        await self._session.close()

    def _timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        made = self._timeouts.get(seconds)
        if made is None:
            made = self._timeouts[seconds] = aiohttp.ClientTimeout(
                total=None, sock_connect=min(seconds, _CONNECT_TIMEOUT), sock_read=seconds
            )
        return made

    def _proxy(self, url: str) -> str | None:
        # Looked up once a host: aiohttp's own trust_env reads the whole environment, and ~/.netrc, at every request.
        parts = urlsplit(url)
        key = f"{parts.scheme}://{parts.netloc}"
        if key not in self._proxies:
            bypassed = urllib.request.proxy_bypass(parts.hostname or "")
            self._proxies[key] = None if bypassed else urllib.request.getproxies().get(parts.scheme)
        return self._proxies[key]


class _AiohttpResponse:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _fault(error) from error

    def close(self) -> None:
        self._response.close()


def _fault(error: BaseException) -> TransportError:
    if isinstance(error, (aiohttp.ConnectionTimeoutError, aiohttp.ServerTimeoutError, TimeoutError)):
        return TransportError("timeout", "no byte in time")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return TransportError("refused", f"cannot connect: the proxy answered {error.status}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransportError("refused", f"cannot connect: {error.os_error.strerror or type(error.os_error).__name__}")
    if isinstance(error, (aiohttp.ClientPayloadError, aiohttp.ClientResponseError, ValueError)):
        return TransportError("broken", f"the answer cannot be read: {type(error).__name__}")
    return TransportError("reset", f"the connection was lost: {type(error).__name__}")
