"""The client of the API server: reads, writes and watches objects of the kinds that the operator uses."""

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
    """The operator may not write in the namespace now: it is not the leader, or another operator acts there."""


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
        write_seconds: Callable[[str], float] = lambda _namespace: math.inf,
        on_write: Callable[[str, str], None] = lambda _verb, _kind: None,
        idle_timeout: float = 90.0,
    ) -> None:
        self._transport = Transport(configuration)
        self._write_seconds = write_seconds
        self._on_write = on_write
        self._idle_timeout = idle_timeout

    async def close(self) -> None:
        """Closes the connections."""
        await self._transport.close()

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

    def watch(
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
        path = path_of(kind, namespace)
        return self._transport.watch(kind.plural, path, query, idle_timeout or self._idle_timeout)

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
        result = await self._transport.exchange(method, path, query, body, content, seconds)
        self._on_write(verb, kind.kind)
        return result

    async def _request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> Manifest:
        result, _ = await self._transport.exchange(method, path, query or {}, body)
        return result
