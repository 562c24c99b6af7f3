"""The client of the API server: every request that the operator sends to it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes import aio
from pydantic_core import from_json

from ..objects.kinds import Kind
from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..objects.refusal import RefusedError

PAGE = 500
OPENED = "OPENED"
"""The first event of a watch that the API server has accepted."""
_ANSWER_SECONDS = 10.0
_WATCH_SECONDS = 290
_LONGEST_ERROR = 65_536
_BROKEN = (aiohttp.ClientError, aio.config.ConfigException, TimeoutError, OSError, ValueError, LookupError, TypeError)
"""What a request ends with that got no whole answer, or could not be sent."""


class UnreachableError(Exception):
    """The API server did not answer: the connection was refused or reset, or timed out."""


class NotLeadingError(Exception):
    """This operator may not write now, because it does not hold the Lease."""


async def connection(kubeconfig: str | None, context: str | None = None) -> aio.client.Configuration:
    """Returns how to reach the API server: by a kubeconfig if one is named, otherwise by the pod's service account."""
    configuration = aio.client.Configuration()
    if kubeconfig:
        await aio.config.load_kube_config(kubeconfig, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
    else:
        aio.config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    # Each watch keeps a connection open.
    configuration.connection_pool_maxsize = 0
    # Otherwise aiohttp looks for the proxy and for a .netrc file before every request, in a thread.
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.proxy = configuration.proxy or _proxy_of(configuration.host)
    return configuration


def _proxy_of(url: str) -> str | None:
    """Returns the proxy that the environment names for a URL."""
    target = urlsplit(url)
    return None if proxy_bypass(target.netloc) else getproxies().get(target.scheme)


def path_of(kind: Kind, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """Returns the path of a collection, of an object or of its subresource."""
    parts = ["/apis" if "/" in kind.api_version else "/api", kind.api_version]
    parts += [f"namespaces/{namespace}"] if namespace else []
    parts += [each for each in (kind.plural, name, subresource) if each]
    return "/".join(parts)


class Api:
    """Reads are always sent. A write may take `write_seconds`, and is not sent if those are 0; `wrote` gets the verb
    and the kind of each write."""

    def __init__(
        self,
        configuration: aio.client.Configuration,
        write_seconds: Callable[[], float] = lambda: _ANSWER_SECONDS,
        wrote: Callable[[str, str], None] = lambda _verb, _kind: None,
        idle_timeout: float = 90.0,
    ) -> None:
        self._configuration = configuration
        self._client = aio.client.rest.RESTClientObject(configuration)
        self._write_seconds = write_seconds
        self._wrote = wrote
        self._idle_timeout = idle_timeout

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Returns an object as it is now; None if there is none."""
        try:
            return await self._ask("GET", path_of(kind, namespace, name))
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    async def list_all(
        self, kind: Kind, namespace: str | None, selectors: Mapping[str, str]
    ) -> tuple[list[Manifest], str]:
        """Returns every object of a kind, and the version from which to watch."""
        items: list[Manifest] = []
        more: dict[str, str] = {}
        while True:
            query = {**selectors, "limit": str(PAGE), **more}
            page = await self._ask("GET", path_of(kind, namespace), query)
            if "resourceVersion" not in page.get("metadata", {}):
                raise UnreachableError(f"the answer is not a list of {kind.plural}")
            # The items of a list have neither apiVersion nor kind.
            items += [{"apiVersion": kind.api_version, "kind": kind.kind, **each} for each in page.get("items") or ()]
            if not (token := page["metadata"].get("continue")):
                return items, str(page["metadata"]["resourceVersion"])
            more = {"continue": token}

    async def watch(
        self, kind: Kind, namespace: str | None, selectors: Mapping[str, str], version: str
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Yields (OPENED, {}), and then (type, object) for every change since `version`.

        Ends when the API server ends the stream, or after the idle timeout: the connection may be dead then, or the
        kind has no objects and so no bookmarks.
        """
        query = {
            **selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(sock_connect=_ANSWER_SECONDS, sock_read=self._idle_timeout)
        try:
            answer = await self._send("GET", path_of(kind, namespace), query, None, "", timeout)
            async with answer:
                await _check(answer)
                yield OPENED, {}
                async for event in _events(answer):
                    yield event["type"], event["object"]
        except _BROKEN as error:
            raise UnreachableError(f"the watch on {kind.plural} broke: {error or type(error).__name__}") from error

    async def apply(
        self, kind: Kind, manifest: Manifest, *, force: bool, subresource: str = "", manager: str = FIELD_MANAGER
    ) -> tuple[Manifest, bool]:
        """Applies a manifest server-side and returns the object after it, and whether that created it."""
        metadata = manifest["metadata"]
        path = path_of(kind, metadata.get("namespace"), metadata["name"], subresource)
        query = {"fieldManager": manager, "force": str(force).lower()}
        answer, status = await self._write(
            "apply", kind, "PATCH", path, query, manifest, "application/apply-patch+yaml"
        )
        return answer, status == 201

    async def patch(self, kind: Kind, live: Manifest, operations: list[dict[str, Any]], manager: str) -> Manifest:
        """Applies a JSON patch to the object in the version of `live`; another version is a conflict."""
        metadata = live["metadata"]
        seen = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
        path, query = path_of(kind, metadata["namespace"], metadata["name"]), {"fieldManager": manager}
        answer, _ = await self._write(
            "patch", kind, "PATCH", path, query, [seen, *operations], "application/json-patch+json"
        )
        return answer

    async def create(self, kind: Kind, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Creates an object; a dry run only checks whether it could be created."""
        query = {"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
        path = path_of(kind, manifest["metadata"]["namespace"])
        answer, _ = await self._write("create", kind, "POST", path, query, manifest)
        return answer

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Replaces the object of the same resourceVersion, without regard to `write_seconds`: this is how the Lease is
        taken."""
        metadata = manifest["metadata"]
        return await self._ask("PUT", path_of(kind, metadata["namespace"], metadata["name"]), {}, manifest)

    async def make(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Creates an object without regard to `write_seconds`: the Lease."""
        return await self._ask("POST", path_of(kind, manifest["metadata"]["namespace"]), {}, manifest)

    async def delete(self, kind: Kind, manifest: Manifest, *, orphan: bool = False) -> None:
        """Deletes the object with the uid of `manifest`; it is no error if it is gone already."""
        metadata = manifest["metadata"]
        options = {
            "propagationPolicy": "Orphan" if orphan else "Background",
            "preconditions": {"uid": metadata["uid"]},
        }
        try:
            path = path_of(kind, metadata["namespace"], metadata["name"])
            await self._write("delete", kind, "DELETE", path, {}, options)
        except RefusedError as error:
            if error.status != 404:
                raise

    async def _write(
        self, verb: str, kind: Kind, method: str, path: str, query: Mapping[str, str], body: Any, content: str = ""
    ) -> tuple[Manifest, int]:
        seconds = min(self._write_seconds(), _ANSWER_SECONDS)
        if seconds <= 0:
            raise NotLeadingError
        answer = await self._exchange(method, path, query, body, content, seconds)
        self._wrote(verb, kind.kind)
        return answer

    async def _ask(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Manifest:
        answer, _ = await self._exchange(method, path, query or {}, body)
        return answer

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        content: str = "",
        seconds: float = _ANSWER_SECONDS,
    ) -> tuple[Manifest, int]:
        # Not rounded up to a whole second, so that a write ends before the Lease does.
        timeout = aiohttp.ClientTimeout(total=seconds, ceil_threshold=math.inf)
        try:
            answer = await self._send(method, path, query, body, content, timeout)
            async with answer:
                await _check(answer)
                found = from_json(await answer.read())
                if not isinstance(found, dict):
                    raise UnreachableError(f"{method} {path}: the answer is no object")
                return found, answer.status
        except _BROKEN as error:
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
        # Not through ApiClient, which copies every body for models of its own before it sends it.
        answer = await self._client.request(method, url, headers, body, _request_timeout=timeout)  # type: ignore[no-untyped-call]
        response: aiohttp.ClientResponse = answer.response
        return response


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[Manifest]:
    """Yields the events of a watch until it ends or the idle timeout passes."""
    try:
        async for line in answer.content:
            event: Manifest = from_json(line)
            if event["type"] == "ERROR":
                raise RefusedError(int(event["object"].get("code") or 500), event["object"])
            yield event
    except aiohttp.SocketTimeoutError:
        return


async def _check(answer: aiohttp.ClientResponse) -> None:
    """Raises RefusedError unless the request succeeded."""
    if answer.status < 400:
        return
    text = await answer.content.read(_LONGEST_ERROR)
    try:
        body = from_json(text)
    except ValueError:
        body = {"message": text.decode(errors="replace")[:512]}
    raise RefusedError(answer.status, body if isinstance(body, dict) else {})
