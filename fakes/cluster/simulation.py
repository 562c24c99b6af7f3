"""Simulates a router on a real API server.

The simulation creates pods, pod statuses and Events in place of the controllers, the scheduler and the kubelet.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rl_router_operator.objects.manifest import Manifest, ref_of
from rl_router_operator.objects.observed import Health
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults

from .conditions import condition_of, state_of
from .health import healthy
from .kube_client import Kube
from .pods import NOW, Pod, api_pod
from .proxy import Proxy, Recorded
from .routers import router
from .running_operator import RunningOperator
from .scenario import TARGETS
from .waiting import eventually

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ADDRESSES = (f"10.9.{block}.{number}" for block in itertools.count() for number in range(1, 255))


@dataclass
class Simulation:
    """A simulation of the RouterDeployment `demo` in a namespace of its own.

    The attribute `health` is the health report of all API pods, or an iterator with a report for each probe.
    """

    kube: Kube
    proxy: Proxy
    operator: RunningOperator
    health: Health | Iterator[Health] = field(default_factory=healthy)
    _addresses: list[str] = field(default_factory=list)

    async def create(self, **spec: Any) -> None:
        """Creates the RouterDeployment, and waits until a status and the child that the operator creates last exist."""
        body = await self.kube.create(router(**{"targets": TARGETS, **spec}))
        await eventually(self.status)
        *_, last = desired(read(body), Defaults())
        await eventually(lambda: self.kube.existing(*ref_of(last)))

    async def put_pod(self, pod: Pod) -> Manifest:
        """Creates a pod and its status, or replaces the pod of the same name."""
        manifest = _shifted(pod.manifest())
        await self.kube.delete("Pod", pod.name)
        spec = {
            "containers": [{"name": pod.component, "image": "any"}],
            "terminationGracePeriodSeconds": 0,
            "volumes": manifest["spec"]["volumes"],
            **({"nodeName": "node-1"} if pod.scheduled else {}),
        }
        metadata = {"name": pod.name, "labels": manifest["metadata"]["labels"]}
        await self.kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        status = {**manifest["status"], **self._addressed(pod)}
        return await self.kube.merge("Pod", pod.name, {"status": status}, "status")

    async def delete_pods(self) -> None:
        """Deletes all pods."""
        for pod in await self.kube.list("Pod"):
            await self.kube.delete("Pod", pod["metadata"]["name"])

    async def make_ready(self) -> None:
        """Replaces all pods with one ready model pod and one ready API pod."""
        await self.delete_pods()
        await self.put_pod(Pod(ready=True))
        await self.put_pod(api_pod(ready=True))

    async def create_event(self, event: Manifest) -> None:
        """Creates an Event about an object of the namespace."""
        body = _shifted(event)
        body["metadata"].pop("creationTimestamp")
        about = body["involvedObject"]
        live = await self.kube.get(about["kind"], about["name"])
        about |= {"namespace": self.kube.namespace, "uid": live["metadata"]["uid"] if live else ""}
        await self.kube.create({"apiVersion": "v1", "kind": "Event", **body})

    def report(self, health: Health | Iterator[Health]) -> None:
        """Sets the health report of all API pods.

        The parameter `health` is one report for all probes, or an iterator with a report for each probe.
        """
        self.health = health
        self.operator.healths.update(dict.fromkeys(self._addresses, health))

    async def events(self, type_: str) -> list[tuple[str, str]]:
        """Returns the types and reasons of the Events about the RouterDeployment's condition `type_`, oldest first."""
        events = [event for event in await self.kube.list("Event") if event.get("action") == type_]
        events.sort(key=lambda event: str(event["eventTime"]))
        return [(event["type"], event["reason"]) for event in events]

    async def status(self) -> dict[str, Any]:
        """Returns the router's status. Fails if a part of the status belongs to an earlier generation of the spec."""
        live = await self.kube.existing("RouterDeployment", "demo")
        status: dict[str, Any] = live["status"]
        observed = {condition["observedGeneration"] for condition in status["conditions"]}
        assert {status["observedGeneration"], *observed} == {live["metadata"]["generation"]}
        return status

    async def wait_for(self, expected: dict[str, tuple[str, str]]) -> dict[str, Any]:
        """Waits until the conditions in `expected` have the expected status and reason, and returns the router's
        status."""

        async def expected_status() -> dict[str, Any]:
            status = await self.status()
            states = {type_: state_of(status, type_) for type_ in expected}
            assert states == expected, condition_of(status, next(iter(expected)))
            return status

        status: dict[str, Any] = await eventually(expected_status, within=20)
        return status

    async def wait_until_idle(self, reconciles: int = 3) -> None:
        """Waits until the operator has reconciled `reconciles` times in a row without a status write or an Event."""

        async def idle() -> None:
            before = self.status_writes()
            await self.wait_for_reconciles(reconciles)
            assert self.status_writes() == before

        await eventually(idle, within=20)

    async def wait_for_reconciles(self, count: int) -> None:
        """Waits until the operator has reconciled `count` more times without an error."""
        before = self.operator.reconciles()

        def enough() -> None:
            assert self.operator.reconciles() >= before + count

        await eventually(enough, within=20)

    def status_writes(self) -> list[Recorded]:
        """Returns the recorded requests with which the operator wrote statuses and Events in the namespace of the
        router."""
        return [
            request
            for request in self.proxy.writes()
            if f"/namespaces/{self.kube.namespace}/" in request.path
            and request.plural in ("routerdeployments/status", "events")
        ]

    def _addressed(self, pod: Pod) -> dict[str, Any]:
        address = next(_ADDRESSES)
        if pod.component == "api":
            self._addresses.append(address)
            self.operator.healths[address] = self.health
        return {"podIP": address, "podIPs": [{"ip": address}]}


def _shifted(manifest: Manifest) -> Manifest:
    """Returns a copy of the manifest whose times are relative to the current time instead of the time NOW."""
    shift = datetime.now(UTC) - NOW

    def shifted(time: re.Match[str]) -> str:
        return f"{datetime.fromisoformat(time[0]) + shift:%Y-%m-%dT%H:%M:%SZ}"

    body: Manifest = json.loads(_TIME.sub(shifted, json.dumps(manifest)))
    return body
