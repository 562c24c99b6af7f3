"""A router on a real API server whose pods a test writes, as kubelet, scheduler and controllers would."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from faults import Proxy, Seen
from harness import Kube, Running, eventually, router
from rl_router_operator.objects.manifest import Manifest, ref_of
from rl_router_operator.objects.observed import Health
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults
from world import NOW, TARGETS, Pod, api_pod, healthy, of, said

WELL = {
    "ModelReady": ("True", "Deciding"),
    "APIReady": ("True", "Serving"),
    "TargetsReady": ("True", "TargetsReachable"),
    "Ready": ("True", "Serving"),
    "Degraded": ("False", "NoFault"),
}
"""The conditions of a router with which all is well."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ADDRESSES = (f"10.9.{block}.{number}" for block in itertools.count() for number in range(1, 255))


@dataclass
class Stage:
    """The RouterDeployment `demo` in a namespace of its own; `health` is what its API pods answer when asked."""

    kube: Kube
    proxy: Proxy
    running: Running
    health: Health | Iterator[Health] = field(default_factory=healthy)
    _addresses: list[str] = field(default_factory=list)

    async def open(self, **spec: Any) -> None:
        """Makes the RouterDeployment, and waits for its first status and for its children."""
        body = await self.kube.create(router(**{"targets": TARGETS, **spec}))
        await eventually(self.status)
        *_, last = desired(read(body), Defaults())
        await eventually(lambda: self._exists(*ref_of(last)))

    async def workloads(self) -> dict[str, Manifest]:
        """The StatefulSet and the Deployment by their tier."""
        found = {"model": ("StatefulSet", "demo-model"), "api": ("Deployment", "demo-api")}
        return {tier: _there(await self.kube.get(*ref)) for tier, ref in found.items()}

    async def edit(self, **spec: Any) -> None:
        """Merges into the spec."""
        await self.kube.merge("RouterDeployment", "demo", {"spec": spec})

    async def annotate(self, name: str, value: str | None) -> None:
        """Sets an annotation of the RouterDeployment, named without its group, or takes it away."""
        await self.kube.merge(
            "RouterDeployment", "demo", {"metadata": {"annotations": {f"rlrouter.dev/{name}": value}}}
        )

    async def put(self, pod: Pod) -> Manifest:
        """Makes a pod, in place of one of its name, as it looks some time after its creation."""
        shown = _today(pod.manifest())
        await self.kube.delete("Pod", pod.name)
        spec = {
            "containers": [{"name": pod.component, "image": "any"}],
            "terminationGracePeriodSeconds": 0,
            "volumes": shown["spec"]["volumes"],
            **({"nodeName": "node-1"} if pod.scheduled else {}),
        }
        metadata = {"name": pod.name, "labels": shown["metadata"]["labels"]}
        await self.kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        return await self.kube.merge("Pod", pod.name, {"status": {**shown["status"], **self._addressed(pod)}}, "status")

    async def clear(self) -> None:
        """Deletes all pods, as controllers do that replace them."""
        for pod in await self.kube.list("Pod"):
            await self.kube.delete("Pod", pod["metadata"]["name"])

    async def serve(self) -> None:
        """Ready pods in both tiers, and no others."""
        await self.clear()
        await self.put(Pod(ready=True))
        await self.put(api_pod(ready=True))

    async def warn(self, event: Manifest) -> None:
        """Makes an Event."""
        body = _today(event)
        body["metadata"].pop("creationTimestamp")
        about = body["involvedObject"]
        live = await self.kube.get(about["kind"], about["name"])
        about |= {"namespace": self.kube.namespace, "uid": live["metadata"]["uid"] if live else ""}
        await self.kube.create({"apiVersion": "v1", "kind": "Event", **body})

    def say(self, health: Health | Iterator[Health]) -> None:
        """Lets all API pods answer so from now on: always the same, or one thing after the other."""
        self.health = health
        self.running.healths.update(dict.fromkeys(self._addresses, health))

    async def _exists(self, kind: str, name: str) -> None:
        assert await self.kube.get(kind, name)

    async def events(self, type_: str) -> list[tuple[str, str]]:
        """(type, reason) of the Events about the RouterDeployment that tell of a condition, in their order."""
        found = [each for each in await self.kube.list("Event") if each.get("action") == type_]
        found.sort(key=lambda each: str(each["eventTime"]))
        return [(each["type"], each["reason"]) for each in found]

    async def status(self) -> dict[str, Any]:
        """The status as it is, of the spec as it is."""
        live = _there(await self.kube.get("RouterDeployment", "demo"))
        status: dict[str, Any] = live["status"]
        generations = {status["observedGeneration"], *(each["observedGeneration"] for each in status["conditions"])}
        assert generations == {live["metadata"]["generation"]}
        return status

    async def shows(self, expected: dict[str, tuple[str, str]]) -> dict[str, Any]:
        """The status once the conditions are as expected."""

        async def shown() -> dict[str, Any]:
            status = await self.status()
            assert {type_: said(status, type_) for type_ in expected} == expected, of(status, next(iter(expected)))
            return status

        found: dict[str, Any] = await eventually(shown, within=20)
        return found

    async def rests(self, looks: int = 3) -> None:
        """Waits until the operator has looked so often in a row without a word about it."""

        async def rested() -> None:
            before = self.told()
            await self.looked(looks)
            assert self.told() == before

        await eventually(rested, within=20)

    async def looked(self, times: int) -> None:
        """Waits until the operator has looked so often from now on."""
        before = self._looks()
        await eventually(lambda: _is(self._looks() >= before + times), within=20)

    def told(self) -> list[Seen]:
        """The statuses and Events that the operator has written here."""
        here = [seen for seen in self.proxy.writes() if f"/namespaces/{self.kube.namespace}/" in seen.path]
        return [seen for seen in here if seen.plural in ("routerdeployments/status", "events")]

    def _looks(self) -> float:
        registry = self.running.operator.metrics.registry
        return registry.get_sample_value("rl_router_operator_reconciles_total", {"outcome": "ok"}) or 0.0

    def _addressed(self, pod: Pod) -> dict[str, Any]:
        address = next(_ADDRESSES)
        if pod.component == "api":
            self._addresses.append(address)
            self.running.healths[address] = self.health
        return {"podIP": address, "podIPs": [{"ip": address}]}


def _there(found: Manifest | None) -> Manifest:
    assert found
    return found


def _is(so: bool) -> None:
    assert so


def _today(manifest: Manifest) -> Manifest:
    """With the moments of the world, whose noon is NOW, as if they were of now."""
    shift = datetime.now(UTC) - NOW

    def moved(found: re.Match[str]) -> str:
        return f"{datetime.fromisoformat(found[0]) + shift:%Y-%m-%dT%H:%M:%SZ}"

    body: Manifest = json.loads(_MOMENT.sub(moved, json.dumps(manifest)))
    return body
