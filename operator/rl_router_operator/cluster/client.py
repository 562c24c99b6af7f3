"""Defines the operator's Kubernetes client, which reads, writes and watches objects on the API server."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from kubernetes import aio

from ..objects.kinds import Kind
from ..objects.manifest import Manifest
from ..objects.naming import FIELD_MANAGER
from ..objects.refusal import RefusedError
from .transport import Transport, UnreachableError

PAGE = 500
_WATCH_SECONDS = 290


class NotLeadingError(Exception):
    """Raised if this process of the operator may not write in a namespace.

    A process of the operator may not write if the process is not the leader, or if the release of the process does not
    act in the namespace.
    """


def path_of(kind: Kind, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """Returns the URL path of all objects of a kind, of one object, or of a subresource of an object."""
    parts = ["/apis" if "/" in kind.api_version else "/api", kind.api_version]
    parts += [f"namespaces/{namespace}"] if namespace else []
    parts += [part for part in (kind.plural, name, subresource) if part]
    return "/".join(parts)


class KubernetesClient:
    """A client of the Kubernetes API server.

    The function `write_seconds` returns the maximum number of seconds that a write in a namespace may take. If
    `write_seconds` returns 0 for a namespace, the client sends no write to the namespace and raises NotLeadingError.
    The function `write_seconds` limits neither reads nor the writes of Leases. No request except a watch may take more
    than 10 s. The client calls the function `on_write` with the verb and the kind of each successful write, except for
    writes of Leases. A watch ends after `idle_timeout` seconds without data. Every request raises RefusedError if the
    API server rejects the request, and UnreachableError if the API server returns no valid response.
    """

    def __init__(
        self,
        configuration: aio.client.Configuration,
        write_seconds: Callable[[str], float] = lambda _namespace: math.inf,
        on_write: Callable[[str, str], None] = lambda _verb, _kind: None,
        idle_timeout: float = 90.0,
    ) -> None:
        self._transport = Transport(configuration)
        self._write_seconds = write_seconds
        self._on_write = on_write
        self._idle_timeout = idle_timeout

    async def close(self) -> None:
        """Closes the connections to the API server."""
        await self._transport.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Returns the current state of an object from the API server, or None if the object does not exist."""
        try:
            return _object(await self._request("GET", path_of(kind, namespace, name)), kind)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    async def list_all(
        self, kind: Kind, namespace: str | None, selectors: Mapping[str, str]
    ) -> tuple[list[Manifest], str]:
        """Returns all objects of a kind that match `selectors`, and the resourceVersion of the list of objects.

        A watch can start from the resourceVersion of the list.
        """
        items: list[Manifest] = []
        continuation: dict[str, str] = {}
        while True:
            query = {**selectors, "limit": str(PAGE), **continuation}
            page = await self._request("GET", path_of(kind, namespace), query)
            if "resourceVersion" not in (page.get("metadata") or {}):
                message = f"the response is not a list of {kind.plural}, because metadata.resourceVersion is missing"
                raise UnreachableError(f"{message}. Check the address of the API server")
            # The items of a list have neither apiVersion nor kind.
            items += [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page.get("items") or ()]
            if not (token := page["metadata"].get("continue")):
                return items, str(page["metadata"]["resourceVersion"])
            continuation = {"continue": token}

    def watch(
        self,
        kind: Kind,
        namespace: str | None,
        selectors: Mapping[str, str],
        version: str,
        idle_timeout: float | None = None,
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Yields (OPENED, {}), and then the type and the object of every event after the resourceVersion `version`.

        The watch ends when the API server ends the stream, or after `idle_timeout` seconds without data. If
        `idle_timeout` is None, the idle timeout of the client applies. The idle timeout expires if the connection
        is broken. The idle timeout also expires if the kind has no objects, because the API server then sends no
        bookmarks.
        """
        query = {
            **selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        path = path_of(kind, namespace)
        return self._transport.watch(kind.plural, path, query, idle_timeout or self._idle_timeout)

    async def apply(
        self, kind: Kind, manifest: Manifest, *, force: bool, subresource: str = "", manager: str = FIELD_MANAGER
    ) -> tuple[Manifest, bool]:
        """Applies a manifest with a server-side apply.

        Returns the object that results from the apply, and whether the apply created the object.
        """
        metadata = manifest["metadata"]
        path = path_of(kind, metadata.get("namespace"), metadata["name"], subresource)
        query, content = {"fieldManager": manager, "force": str(force).lower()}, "application/apply-patch+yaml"
        seconds = self._write_seconds(metadata.get("namespace", ""))
        result, status = await self._write("apply", kind, seconds, "PATCH", path, query, manifest, content)
        return result, status == 201

    async def patch(self, kind: Kind, live: Manifest, operations: list[dict[str, Any]], manager: str) -> Manifest:
        """Applies a JSON patch to an object and returns the resulting object.

        Raises RefusedError if the object's resourceVersion differs from the resourceVersion in the manifest `live`.
        """
        metadata = live["metadata"]
        same_version = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
        path, query = path_of(kind, metadata["namespace"], metadata["name"]), {"fieldManager": manager}
        body, content = [same_version, *operations], "application/json-patch+json"
        seconds = self._write_seconds(metadata["namespace"])
        result, _ = await self._write("patch", kind, seconds, "PATCH", path, query, body, content)
        return result

    async def create(self, kind: Kind, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Creates an object on the API server and returns the created object.

        If `dry_run` is true, the API server creates no object, and only checks whether the creation of the object would
        succeed.
        """
        query = {"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
        namespace = manifest["metadata"]["namespace"]
        path, seconds = path_of(kind, namespace), self._write_seconds(namespace)
        result, _ = await self._write("create", kind, seconds, "POST", path, query, manifest)
        return result

    async def replace_lease(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Replaces a Lease if the Lease still has the resourceVersion in `manifest`.

        The function `write_seconds` does not limit writes of Leases, because the result of `write_seconds` depends on
        the Lease.
        """
        metadata = manifest["metadata"]
        path = path_of(kind, metadata["namespace"], metadata["name"])
        return _object(await self._request("PUT", path, {}, manifest), kind)

    async def create_lease(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Creates a Lease on the API server.

        The function `write_seconds` does not limit the creation of a Lease, because `write_seconds` returns 0 until the
        Lease exists.
        """
        path = path_of(kind, manifest["metadata"]["namespace"])
        return _object(await self._request("POST", path, {}, manifest), kind)

    async def delete(self, kind: Kind, manifest: Manifest, *, orphan: bool = False) -> None:
        """Deletes the object that has the name and the uid in `manifest`, if the object still exists.

        If `orphan` is true, the API server keeps the objects that the deleted object owns.
        """
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
        result, status = await self._transport.exchange(method, path, query, body, content, seconds)
        if method != "DELETE":
            _object(result, kind)
        self._on_write(verb, kind.kind)
        return result, status

    async def _request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> Manifest:
        result, _ = await self._transport.exchange(method, path, query or {}, body)
        return result


def _object(result: Manifest, kind: Kind) -> Manifest:
    """Returns the response to a request for an object. Raises UnreachableError if the response is not an object."""
    metadata = result.get("metadata")
    if "kind" not in result or not isinstance(metadata, dict) or not {"name", "uid"} <= metadata.keys():
        problem = f"the response to a request about {kind.plural} is not an object with a name and a uid"
        raise UnreachableError(f"{problem}. Check the address of the API server")
    return result
