"""Sends HTTP requests to the Kubernetes API server, and raises an error if a request is rejected or fails."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import yaml
from kubernetes import aio
from pydantic_core import from_json
from rl_router_api.config.proxies import proxy_for

from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..objects.refusal import RefusedError

OPENED = "OPENED"
"""The type of the event that a watch yields first, as soon as the API server has accepted the watch."""
_RESPONSE_SECONDS = 10.0
_MAXIMUM_ERROR_BYTES = 65_536
_READ_ERRORS = (ValueError, LookupError, TypeError, AttributeError)
"""The exceptions that are raised if a response is not JSON, lacks a field or has a field of an unexpected type."""
_IO_ERRORS = (aiohttp.ClientError, aio.config.ConfigException, TimeoutError, OSError, *_READ_ERRORS)
"""The exceptions that are raised if a request cannot be sent, or if the response is incomplete or not valid."""


class UnreachableError(Exception):
    """Raised if the API server returns no valid response, for example because the API server refuses the connection."""


@contextmanager
def reading(part: str) -> Iterator[None]:
    """Raises UnreachableError if the `with` block cannot read the part `part` of a response."""
    try:
        yield
    except _READ_ERRORS as error:
        reason = f"{type(error).__name__}: {error}"
        raise UnreachableError(f"{part} is not valid ({reason}). Check the address of the API server") from error


async def connection(kubeconfig: str | None, context: str | None = None) -> aio.client.Configuration:
    """Returns the configuration of a connection to the API server.

    The configuration comes from the file `kubeconfig`, or from the pod's service account if `kubeconfig` is not set.
    Raises ConfigException if the configuration is missing or not valid, and OSError if the kubeconfig cannot be
    read.
    """
    configuration = aio.client.Configuration()
    if kubeconfig:
        await _load(kubeconfig, context, configuration)
    else:
        aio.config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    # The value 0 allows any number of connections, because each watch keeps one connection open.
    configuration.connection_pool_maxsize = 0
    # Without this setting, aiohttp looks up the proxy and a .netrc file in a thread before every request.
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.proxy = configuration.proxy or _proxy_of(configuration.host)
    return configuration


async def _load(kubeconfig: str, context: str | None, configuration: aio.client.Configuration) -> None:
    """Reads the file `kubeconfig`. Raises ConfigException or OSError if the file is not valid or cannot be read."""
    try:
        await aio.config.load_kube_config(kubeconfig, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
    except (yaml.YAMLError, *_READ_ERRORS) as error:
        reason = " ".join(str(error).split())
        raise aio.config.ConfigException(f"{kubeconfig} is not a valid kubeconfig file ({reason})") from error


def _proxy_of(url: str) -> str | None:
    """Returns the proxy that the environment variables configure for a URL, or None if the URL needs no proxy.

    Raises ConfigException if the URL is not valid.
    """
    try:
        server = urlsplit(url)
        port = server.port or (443 if server.scheme == "https" else 80)
    except ValueError as error:
        remedy = "Fix the field `server` of the cluster in the kubeconfig"
        raise aio.config.ConfigException(f"the API server's address {url} is not valid ({error}). {remedy}") from error
    return proxy_for(server.scheme, server.hostname or "", port)


class Transport:
    """Sends HTTP requests with the configured credentials to the API server.

    Every request raises RefusedError if the API server rejects the request, and UnreachableError if the API server
    returns no valid response.
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
        """Sends a request, and returns the JSON object in the response and the HTTP status of the response.

        Raises UnreachableError if the response is not complete after `seconds` seconds, or after 10 s if `seconds` is
        larger than 10.
        """
        # By default, aiohttp rounds a timeout up to a whole second, so that a write could end after the Lease expires.
        timeout = aiohttp.ClientTimeout(total=min(seconds, _RESPONSE_SECONDS), ceil_threshold=math.inf)
        try:
            response = await self._send(method, path, query, body, content, timeout)
            async with response:
                await _check(response)
                result = from_json(await response.read())
                if not isinstance(result, dict):
                    advice = f"Check the API server's address {self._configuration.host}"
                    raise UnreachableError(f"the response to {method} {path} is not a JSON object. {advice}")
                return result, response.status
        except _IO_ERRORS as error:
            reason = str(error) or type(error).__name__
            raise UnreachableError(f"the request {method} {path} failed: {reason}") from error

    async def watch(
        self, plural: str, path: str, query: Mapping[str, str], idle_timeout: float
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Yields (OPENED, {}), and then the type and the object of each event of a watch.

        The watch ends when the API server ends the stream, or after `idle_timeout` seconds without data. The message of
        an UnreachableError contains `plural`, the plural name of the watched kind.
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
            reason = str(error) or type(error).__name__
            raise UnreachableError(f"the operator cannot watch {plural} and tries again: {reason}") from error

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        content: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp itself applies this timeout
    ) -> aiohttp.ClientResponse:
        headers = {
            "Accept": "application/json",
            "Content-Type": content or "application/json",
            "User-Agent": FIELD_MANAGER,
        }
        if token := await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization"):
            headers["Authorization"] = token
        url = f"{self._configuration.host}{path}{'?' if query else ''}{urlencode(query)}"
        # The request does not use ApiClient, because ApiClient first converts every body into models of its own.
        response = await self._rest.request(method, url, headers, body, _request_timeout=timeout)  # type: ignore[no-untyped-call]
        raw: aiohttp.ClientResponse = response.response
        return raw


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Manifest]:
    """Yields the events of a watch until the API server ends the watch or the idle timeout expires.

    Raises RefusedError if the API server sends an event of the type ERROR.
    """
    try:
        async for line in response.content:
            event: Manifest = from_json(line)
            if event["type"] == "ERROR":
                raise RefusedError(int(event["object"].get("code") or 500), event["object"])
            yield event
    except aiohttp.SocketTimeoutError:
        return


async def _check(response: aiohttp.ClientResponse) -> None:
    """Raises RefusedError if the HTTP status of a response is 400 or higher."""
    if response.status < 400:
        return
    text = await response.content.read(_MAXIMUM_ERROR_BYTES)
    try:
        body = from_json(text)
    except ValueError:
        body = {"message": text.decode(errors="replace")[:512]}
    raise RefusedError(response.status, body if isinstance(body, dict) else {})
