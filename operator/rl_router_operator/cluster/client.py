"""The client of the API server. It sends all of the operator's requests."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from kubernetes import aio
from pydantic_core import from_json
from rl_router_api.config.proxies import proxy_for

from ..objects.kinds import Kind
from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..objects.refusal import RefusedError

PAGE = 500
OPENED = "OPENED"
"""The type of the first event of a watch. The event means that the API server has accepted the watch."""
_RESPONSE_SECONDS = 10.0
_WATCH_SECONDS = 290
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


class NotLeadingError(Exception):
    """The operator may not write in the namespace now: it is not the leader, or another operator acts there."""


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


def path_of(kind: Kind, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """Returns the URL path of a collection, an object or a subresource."""
    parts = ["/apis" if "/" in kind.api_version else "/api", kind.api_version]
    parts += [f"namespaces/{namespace}"] if namespace else []
    parts += [part for part in (kind.plural, name, subresource) if part]
    return "/".join(parts)


class KubernetesClient:
    """A client of the API server.

    A write in a namespace may take at most `write_seconds(namespace)` seconds and at most 10 s. If `write_seconds`
    returns 0, the client sends no write and raises NotLeadingError. Reads do not depend on `write_seconds`. `on_write`
    is called with the verb and the kind of each successful write. A watch ends after `idle_timeout` seconds without
    data. Requests raise RefusedError if the API server rejects them, and UnreachableError if the API server does not
    respond.
    """

    def __init__(
        self,
        configuration: aio.client.Configuration,
        write_seconds: Callable[[str], float] = lambda _namespace: _RESPONSE_SECONDS,
        on_write: Callable[[str, str], None] = lambda _verb, _kind: None,
        idle_timeout: float = 90.0,
    ) -> None:
        self._configuration = configuration
        self._rest = aio.client.rest.RESTClientObject(configuration)
        self._write_seconds = write_seconds
        self._on_write = on_write
        self._idle_timeout = idle_timeout

    async def close(self) -> None:
        """Closes the connections."""
        await self._rest.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Returns the current object; None if it does not exist."""
        try:
            return await self._request("GET", path_of(kind, namespace, name))
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    async def list_all(
        self, kind: Kind, namespace: str | None, selectors: Mapping[str, str]
    ) -> tuple[list[Manifest], str]:
        """Returns all objects of a kind, and the resourceVersion from which to watch."""
        items: list[Manifest] = []
        continuation: dict[str, str] = {}
        while True:
            query = {**selectors, "limit": str(PAGE), **continuation}
            page = await self._request("GET", path_of(kind, namespace), query)
            if "resourceVersion" not in page.get("metadata", {}):
                raise UnreachableError(f"the response is not a list of {kind.plural}. Check the address")
            # The items of a list have neither apiVersion nor kind.
            items += [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page.get("items") or ()]
            if not (token := page["metadata"].get("continue")):
                return items, str(page["metadata"]["resourceVersion"])
            continuation = {"continue": token}

    async def watch(
        self,
        kind: Kind,
        namespace: str | None,
        selectors: Mapping[str, str],
        version: str,
        idle_timeout: float | None = None,
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Yields (OPENED, {}), and then (type, object) for every change since `version`.

        Ends when the API server ends the stream, or after `idle_timeout` seconds without data; None means the client's
        idle timeout. After the idle timeout, the connection may be dead, or the kind may have no objects and so no
        bookmarks.
        """
        query = {
            **selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(sock_connect=_RESPONSE_SECONDS, sock_read=idle_timeout or self._idle_timeout)
        try:
            response = await self._send("GET", path_of(kind, namespace), query, None, "", timeout)
            async with response:
                await _check(response)
                yield OPENED, {}
                async for event in _events(response):
                    yield event["type"], event["object"]
        except _IO_ERRORS as error:
            raise UnreachableError(f"the watch of {kind.plural} failed: {error or type(error).__name__}") from error

    async def apply(
        self, kind: Kind, manifest: Manifest, *, force: bool, subresource: str = "", manager: str = FIELD_MANAGER
    ) -> tuple[Manifest, bool]:
        """Applies a manifest server-side. Returns the resulting object, and whether the apply created the object."""
        metadata = manifest["metadata"]
        path = path_of(kind, metadata.get("namespace"), metadata["name"], subresource)
        query, content = {"fieldManager": manager, "force": str(force).lower()}, "application/apply-patch+yaml"
        seconds = self._write_seconds(metadata.get("namespace", ""))
        result, status = await self._write("apply", kind, seconds, "PATCH", path, query, manifest, content)
        return result, status == 201

    async def patch(self, kind: Kind, live: Manifest, operations: list[dict[str, Any]], manager: str) -> Manifest:
        """Applies a JSON patch to an object and returns the resulting object.

        Raises RefusedError if the resourceVersion is not the one in `live`.
        """
        metadata = live["metadata"]
        same_version = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
        path, query = path_of(kind, metadata["namespace"], metadata["name"]), {"fieldManager": manager}
        body, content = [same_version, *operations], "application/json-patch+json"
        seconds = self._write_seconds(metadata["namespace"])
        result, _ = await self._write("patch", kind, seconds, "PATCH", path, query, body, content)
        return result

    async def create(self, kind: Kind, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Creates an object and returns it. A dry run only checks whether the object could be created."""
        query = {"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
        namespace = manifest["metadata"]["namespace"]
        path, seconds = path_of(kind, namespace), self._write_seconds(namespace)
        result, _ = await self._write("create", kind, seconds, "POST", path, query, manifest)
        return result

    async def replace_lease(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Replaces the Lease if its resourceVersion is unchanged.

        `write_seconds` does not apply, because it depends on the Lease.
        """
        metadata = manifest["metadata"]
        return await self._request("PUT", path_of(kind, metadata["namespace"], metadata["name"]), {}, manifest)

    async def create_lease(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Creates the Lease. `write_seconds` does not apply, because it is 0 without the Lease."""
        return await self._request("POST", path_of(kind, manifest["metadata"]["namespace"]), {}, manifest)

    async def delete(self, kind: Kind, manifest: Manifest, *, orphan: bool = False) -> None:
        """Deletes the object with the uid of `manifest`, if it exists. `orphan` keeps the objects that it owns."""
        metadata = manifest["metadata"]
        options = {
            "propagationPolicy": "Orphan" if orphan else "Background",
            "preconditions": {"uid": metadata["uid"]},
        }
        try:
            path = path_of(kind, metadata["namespace"], metadata["name"])
            seconds = self._write_seconds(metadata["namespace"])
            await self._write("delete", kind, seconds, "DELETE", path, {}, options)
        except RefusedError as error:
            if error.status != 404:
                raise

    async def _write(
        self,
        verb: str,
        kind: Kind,
        seconds: float,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        content: str = "",
    ) -> tuple[Manifest, int]:
        if seconds <= 0:
            raise NotLeadingError
        result = await self._exchange(method, path, query, body, content, min(seconds, _RESPONSE_SECONDS))
        self._on_write(verb, kind.kind)
        return result

    async def _request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> Manifest:
        result, _ = await self._exchange(method, path, query or {}, body)
        return result

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        content: str = "",
        seconds: float = _RESPONSE_SECONDS,
    ) -> tuple[Manifest, int]:
        # By default, aiohttp rounds a timeout up to a whole second. Then a write could end after the Lease.
        timeout = aiohttp.ClientTimeout(total=seconds, ceil_threshold=math.inf)
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
