"""An operator in this process, and a person beside it: what the tests against a real API server act with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from rl_router_api.health import HealthDocument
from rl_router_operator.cluster.client import connection
from rl_router_operator.controller.operator import Operator
from rl_router_operator.controller.settings import Settings
from rl_router_operator.objects.kinds import BY_NAME, ROUTER, Kind
from rl_router_operator.objects.observed import Health

WELL = HealthDocument.model_validate(
    {"status": "ok", "configuration": {"state": "ok"}, "router_model": {"state": "ok"}, "targets": {}}
)
_BODY = dict[str, Any]


async def eventually(check: Callable[[], Any], within: float = 10.0) -> Any:
    """Calls `check`, a coroutine function or not, until it neither fails nor lacks what it looks for; its result."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        try:
            found = check()
            return await found if isinstance(found, Awaitable) else found
        except (AssertionError, LookupError, TypeError, ValueError):
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.05)


@dataclass
class Kube:
    """What a person does, as the cluster's administrator, in one namespace."""

    client: httpx.AsyncClient
    namespace: str

    async def get(self, kind: str, name: str) -> _BODY | None:
        answer = await self.client.get(self.path(kind, name))
        return None if answer.status_code == 404 else self._body(answer)

    async def list(self, kind: str, selector: str = "") -> list[_BODY]:
        answer = await self.client.get(self.path(kind), params={"labelSelector": selector})
        return list(self._body(answer)["items"])

    async def create(self, body: _BODY) -> _BODY:
        return self._body(await self.client.post(self.path(body["kind"]), json=body))

    async def replace(self, body: _BODY) -> _BODY:
        path = self.path(body["kind"], body["metadata"]["name"])
        return self._body(await self.client.put(path, params={"fieldManager": "somebody"}, json=body))

    async def merge(self, kind: str, name: str, patch: _BODY, subresource: str = "") -> _BODY:
        headers = {"Content-Type": "application/merge-patch+json"}
        path = self.path(kind, name, subresource)
        content = json.dumps(patch)
        query = {"fieldManager": "somebody"}
        return self._body(await self.client.patch(path, params=query, content=content, headers=headers))

    async def patch(self, kind: str, name: str, operations: list[_BODY]) -> _BODY:
        headers = {"Content-Type": "application/json-patch+json"}
        path = self.path(kind, name)
        query = {"fieldManager": "somebody"}
        return self._body(await self.client.patch(path, params=query, content=json.dumps(operations), headers=headers))

    async def delete(self, kind: str, name: str, policy: str = "Background") -> None:
        answer = await self.client.request("DELETE", self.path(kind, name), params={"propagationPolicy": policy})
        if answer.status_code != 404:
            self._body(answer)

    @staticmethod
    def api_version(kind: str) -> str:
        return _KINDS[kind].api_version

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        known = _KINDS[kind]
        group = "apis" if "/" in known.api_version else "api"
        parts = [group, known.api_version, "namespaces", self.namespace, known.plural, name, subresource]
        return "/" + "/".join(part for part in parts if part)

    @staticmethod
    def _body(answer: httpx.Response) -> _BODY:
        assert answer.is_success, answer.text
        return dict(answer.json())


_KINDS = {
    **BY_NAME,
    "RouterDeployment": ROUTER,
    "Event": Kind("v1", "Event", "events"),
    "ReplicaSet": Kind("apps/v1", "ReplicaSet", "replicasets"),
    "Lease": Kind("coordination.k8s.io/v1", "Lease", "leases"),
}


@dataclass
class Running:
    """An operator that runs in this process; `healths` is what the API's pods answer, by address: always the same, or
    one thing after the other."""

    operator: Operator
    task: asyncio.Task[None]
    stopped: asyncio.Event
    healths: dict[str, Health | Iterator[Health]] = field(default_factory=dict)

    async def stop(self) -> None:
        """Ends it as SIGTERM does."""
        self.stopped.set()
        await self.task

    async def ask(self, endpoint: str) -> httpx.Response:
        """One of the operator's own endpoints."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.operator.port}{endpoint}")


Start = Callable[..., Awaitable[Running]]


async def launch(settings: Settings) -> Running:
    """An operator that serves its own endpoints."""
    healths: dict[str, Health | Iterator[Health]] = {}

    async def ask(address: str) -> Health:
        said = healths.get(address, Health(WELL))
        return said if isinstance(said, Health) else next(said)

    operator = Operator(settings, await connection(settings.kubeconfig), ask)
    stopped = asyncio.Event()
    running = Running(operator, asyncio.create_task(operator.run(stopped)), stopped, healths)
    await eventually(lambda: _serves(running))
    return running


def _serves(running: Running) -> None:
    if running.task.done():
        running.task.result()
    assert running.operator.port


def router(name: str = "demo", **spec: Any) -> _BODY:
    """A RouterDeployment of the spec."""
    return {"apiVersion": ROUTER.api_version, "kind": ROUTER.kind, "metadata": {"name": name}, "spec": spec}


def condition(body: _BODY, type_: str) -> _BODY:
    """A condition of a RouterDeployment."""
    (found,) = [each for each in body["status"]["conditions"] if each["type"] == type_]
    return dict(found)
