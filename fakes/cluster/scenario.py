"""Describes the objects of a cluster, and computes the status that the operator writes for a RouterDeployment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.naming import Component, child
from rl_router_operator.objects.observed import ChildError, Health, Observed
from rl_router_operator.objects.routerdeployment import RouterDeployment, read
from rl_router_operator.status import status_of

from .health import healthy
from .pods import NAME, NOW, Pod, api_pod

NAMESPACE = "team"
TARGETS = [{"name": name, "baseUrl": f"https://{name}.example/v1"} for name in ("cheap", "strong")]


def demo(spec: dict[str, Any] | None = None, status: Any = None, **annotations: str) -> RouterDeployment:
    """Returns the RouterDeployment `demo`.

    The function adds the prefix `rlrouter.dev/` to the names in `annotations`.
    """
    metadata = {
        "name": NAME,
        "namespace": NAMESPACE,
        "uid": "1",
        "generation": 3,
        "annotations": {f"rlrouter.dev/{name}": value for name, value in annotations.items()},
    }
    return read({"metadata": metadata, "spec": {"targets": TARGETS} if spec is None else spec, "status": status})


def workload(component: Component, replicas: int = 1, *conditions: Manifest) -> Manifest:
    """Returns the StatefulSet of the component `model` or the Deployment of the component `api`."""
    kind = {"model": "StatefulSet", "api": "Deployment"}[component]
    return {
        "kind": kind,
        "metadata": {"name": child(NAME, component), "uid": f"{kind}-1"},
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "conditions": list(conditions)},
    }


def service(component: Component) -> Manifest:
    """Returns the Service of the component `model` or `api`."""
    return {"kind": "Service", "metadata": {"name": child(NAME, component), "uid": f"Service-{component}"}}


@dataclass(frozen=True)
class Scenario:
    """The objects of the RouterDeployment `demo` in a cluster. By default, all objects are healthy."""

    spec: dict[str, Any] | None = None
    model: tuple[Pod, ...] = (Pod(ready=True),)
    api: tuple[Pod, ...] = (api_pod(ready=True),)
    other_pods: tuple[Manifest, ...] = ()
    health: Health | None = field(default_factory=healthy)
    healths: dict[str, Health] | None = None
    """A mapping from names of API pods to health reports, or None if all API pods send the report `health`."""
    events: tuple[Manifest, ...] = ()
    pvcs: tuple[Manifest, ...] = ()
    errors: tuple[ChildError, ...] = ()
    children: tuple[Manifest, ...] = (workload("model"), workload("api"))
    services: tuple[Manifest, ...] = (service("model"), service("api"))

    def observed(self) -> Observed:
        """Returns the cluster state that the operator observes."""
        healths = {pod.name: self.health for pod in self.api if self.health}
        children = (*self.services, *self.children)
        return Observed(
            children={(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in children},
            pods=(*(pod.manifest() for pod in (*self.model, *self.api)), *self.other_pods),
            pvcs=self.pvcs,
            events=self.events,
            healths=healths if self.healths is None else self.healths,
            errors=self.errors,
        )

    def status(self, before: Any = None, now: datetime = NOW, **annotations: str) -> dict[str, Any]:
        """Returns the status that the operator computes for `demo` at the time `now` if the last status is `before`."""
        return status_of(demo(self.spec, before, **annotations), self.observed(), now)
