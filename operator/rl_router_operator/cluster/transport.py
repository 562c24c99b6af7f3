"""Sends HTTP requests to the API server, and raises an error for each response that is not valid."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from kubernetes import aio
from pydantic_core import from_json
from rl_router_api.config.proxies import proxy_for

from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..objects.refusal import RefusedError

OPENED = "OPENED"
"""The type of the first event of a watch. The event means that the API server has accepted the watch."""
_RESPONSE_SECONDS = 10.0
_MAXIMUM_ERROR_BYTES = 65_536
_IO_ERRORS = (
    aiohttp.ClientError,
    aio.config.ConfigException,
    TimeoutError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
)
"""The exceptions that a request raises if it cannot be sent or gets no complete response."""


class UnreachableError(Exception):
    """The API server returned no valid response, for example because the connection was refused or timed out."""


async def connection(kubeconfig: str | None, context: str | None = None) -> aio.client.Configuration:
    """Returns the configuration of the connection to the API server.

    It comes from `kubeconfig`, or from the pod's service account if `kubeconfig` is not set. Raises ConfigException.
    """
    configuration = aio.client.Configuration()
    if kubeconfig:
        await aio.config.load_kube_config(kubeconfig, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
    else:
        aio.config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    # 0 means no limit. Each watch keeps a connection open.
    configuration.connection_pool_maxsize = 0
    # By default, aiohttp looks up the proxy and a .netrc file in a thread before every request.
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.proxy = configuration.proxy or _proxy_of(configuration.host)
    return configuration


def _proxy_of(url: str) -> str | None:
    """Returns the proxy that the environment configures for a URL; None without a proxy."""
    server = urlsplit(url)
    return proxy_for(server.scheme, server.hostname or "", server.port or (443 if server.scheme == "https" else 80))


class Transport:
    """Sends HTTP requests with the operator's credentials.

    Raises RefusedError if the API server rejects a request, and UnreachableError if it returns no valid response.
    """

    def __init__(self, configuration: aio.client.Configuration) -> None:
        self._configuration = configuration
        self._rest = aio.client.rest.RESTClientObject(configuration)

    async def close(self) -> None:
        """Closes the connections to the API server."""
        await self._rest.close()

    async def exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        content: str = "",
        seconds: float = math.inf,
    ) -> tuple[Manifest, int]:
        """Sends a request, and returns the JSON object in the response and the response's status.

        The request fails after `seconds`, and after at most 10 s.
        """
        # By default, aiohttp rounds a timeout up to a whole second. Then a write could end after the Lease.
        timeout = aiohttp.ClientTimeout(total=min(seconds, _RESPONSE_SECONDS), ceil_threshold=math.inf)
        try:
            response = await self._send(method, path, query, body, content, timeout)
            async with response:
                await _check(response)
                result = from_json(await response.read())
                if not isinstance(result, dict):
                    raise UnreachableError(f"{method} {path}: the response is not a JSON object. Check the address")
                return result, response.status
        except _IO_ERRORS as error:
            raise UnreachableError(f"{method} {path}: {error or type(error).__name__}") from error

    async def watch(
        self, plural: str, path: str, query: Mapping[str, str], idle_timeout: float
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Yields (OPENED, {}), and then the type and the object of each event of a watch.

        Ends when the API server ends the stream, or after `idle_timeout` seconds without data. `plural` is the name of
        the watched kind in the message of an UnreachableError.
        """
        timeout = aiohttp.ClientTimeout(sock_connect=_RESPONSE_SECONDS, sock_read=idle_timeout)
        try:
            response = await self._send("GET", path, query, None, "", timeout)
            async with response:
                await _check(response)
                yield OPENED, {}
                async for event in _events(response):
                    yield event["type"], event["object"]
        except _IO_ERRORS as error:
            raise UnreachableError(f"the watch of {plural} failed: {error or type(error).__name__}") from error

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        content: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own
    ) -> aiohttp.ClientResponse:
        headers = {
            "Accept": "application/json",
            "Content-Type": content or "application/json",
            "User-Agent": FIELD_MANAGER,
        }
        if token := await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization"):
            headers["Authorization"] = token
        url = f"{self._configuration.host}{path}{'?' if query else ''}{urlencode(query)}"
        # ApiClient is not used, because it converts every body into its own models first.
        response = await self._rest.request(method, url, headers, body, _request_timeout=timeout)  # type: ignore[no-untyped-call]
        raw: aiohttp.ClientResponse = response.response
        return raw


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Manifest]:
    """Yields the events of a watch until it ends or the idle timeout passes. Raises RefusedError for an error event."""
    try:
        async for line in response.content:
            event: Manifest = from_json(line)
            if event["type"] == "ERROR":
                raise RefusedError(int(event["object"].get("code") or 500), event["object"])
            yield event
    except aiohttp.SocketTimeoutError:
        return


async def _check(response: aiohttp.ClientResponse) -> None:
    """Raises RefusedError if the status is an error."""
    if response.status < 400:
        return
    text = await response.content.read(_MAXIMUM_ERROR_BYTES)
    try:
        body = from_json(text)
    except ValueError:
        body = {"message": text.decode(errors="replace")[:512]}
    raise RefusedError(response.status, body if isinstance(body, dict) else {})
