"""Sends requests to the API server as a cluster administrator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
from rl_router_operator.objects.kinds import BY_NAME, ROUTER, Kind

from .conditions import condition_of

_BODY = dict[str, Any]
_KINDS = {
    **BY_NAME,
    "RouterDeployment": ROUTER,
    "Event": Kind("v1", "Event", "events"),
    "ReplicaSet": Kind("apps/v1", "ReplicaSet", "replicasets"),
    "Lease": Kind("coordination.k8s.io/v1", "Lease", "leases"),
}


@dataclass
class Kube:
    """A client that sends requests for one namespace to the API server as the administrator.

    The methods of the client raise AssertionError if the API server returns an error.

    However, `get` and `delete` accept the status 404.
    """

    client: httpx.AsyncClient
    namespace: str

    async def get(self, kind: str, name: str) -> _BODY | None:
        """Returns an object, or None if the object does not exist."""
        response = await self.client.get(self.path(kind, name))
        return None if response.status_code == 404 else self._body(response)

    async def existing(self, kind: str, name: str) -> _BODY:
        """Returns an object. Raises AssertionError if the object does not exist."""
        body = await self.get(kind, name)
        assert body, f"{kind} {name} does not exist"
        return body

    async def condition(self, type_: str, name: str = "demo") -> _BODY:
        """Returns the condition of the type `type_` of a RouterDeployment.

        Raises LookupError if the RouterDeployment has no status yet.
        """
        return condition_of((await self.existing("RouterDeployment", name))["status"], type_)

    async def list(self, kind: str, selector: str = "") -> list[_BODY]:
        """Returns all objects of a kind, or only the objects that the label selector `selector` matches."""
        response = await self.client.get(self.path(kind), params={"labelSelector": selector})
        return list(self._body(response)["items"])

    async def create(self, body: _BODY) -> _BODY:
        """Creates an object and returns the stored object."""
        return self._body(await self.client.post(self.path(body["kind"]), json=body))

    async def replace(self, body: _BODY) -> _BODY:
        """Replaces an object and returns the stored object."""
        path = self.path(body["kind"], body["metadata"]["name"])
        return self._body(await self.client.put(path, params={"fieldManager": "somebody"}, json=body))

    async def merge(self, kind: str, name: str, patch: _BODY, subresource: str = "") -> _BODY:
        """Applies a JSON merge patch to an object, or to the subresource `subresource` of the object."""
        return await self._patch(self.path(kind, name, subresource), "application/merge-patch+json", patch)

    async def patch(self, kind: str, name: str, operations: list[_BODY]) -> _BODY:
        """Applies the operations of a JSON patch to an object."""
        return await self._patch(self.path(kind, name), "application/json-patch+json", operations)

    async def annotate(self, name: str, value: str | None, kind: str = "RouterDeployment", of: str = "demo") -> None:
        """Sets the annotation `rlrouter.dev/NAME` of an object, or removes the annotation if the value is None."""
        await self.merge(kind, of, {"metadata": {"annotations": {f"rlrouter.dev/{name}": value}}})

    async def edit_spec(self, **spec: Any) -> None:
        """Merges fields into the spec of the RouterDeployment `demo`."""
        await self.merge("RouterDeployment", "demo", {"spec": spec})

    async def delete(self, kind: str, name: str, policy: str = "Background") -> None:
        """Deletes an object if the object exists."""
        response = await self.client.request("DELETE", self.path(kind, name), params={"propagationPolicy": policy})
        if response.status_code != 404:
            self._body(response)

    @staticmethod
    def api_version(kind: str) -> str:
        """Returns the apiVersion of a kind."""
        return _KINDS[kind].api_version

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        """Returns the URL path of a collection of objects, of an object, or of a subresource of an object."""
        known = _KINDS[kind]
        group = "apis" if "/" in known.api_version else "api"
        parts = [group, known.api_version, "namespaces", self.namespace, known.plural, name, subresource]
        return "/" + "/".join(part for part in parts if part)

    async def _patch(self, path: str, content_type: str, body: Any) -> _BODY:
        headers, query = {"Content-Type": content_type}, {"fieldManager": "somebody"}
        return self._body(await self.client.patch(path, params=query, content=json.dumps(body), headers=headers))

    @staticmethod
    def _body(response: httpx.Response) -> _BODY:
        assert response.is_success, response.text
        return dict(response.json())
