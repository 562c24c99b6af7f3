"""Builders of what is observed: pods and events as kubelet, scheduler and controllers of Kubernetes 1.35 write them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rl_router_api.health import ConfigurationHealth, HealthDocument, RouterModelHealth, UpstreamHealth
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.naming import Component, child, labels
from rl_router_operator.objects.observed import ChildError, Health, Observed
from rl_router_operator.objects.routerdeployment import RouterDeployment, read
from rl_router_operator.status import status_of

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NAME, NAMESPACE = "demo", "team"
TARGETS = [{"name": name, "baseUrl": f"https://{name}.example/v1"} for name in ("cheap", "strong")]


def ago(seconds: float) -> str:
    """A time as the API server writes it."""
    return f"{NOW - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def router(
    spec: dict[str, Any] | None = None, status: Any = None, *, generation: int = 3, **annotations: str
) -> RouterDeployment:
    """The RouterDeployment `demo`; annotations are named without their group."""
    metadata = {
        "name": NAME,
        "namespace": NAMESPACE,
        "uid": "1",
        "generation": 3,
        "annotations": {f"rlrouter.dev/{name}": value for name, value in annotations.items()},
    }
    return read({"metadata": metadata, "spec": {"targets": TARGETS} if spec is None else spec, "status": status})


def workload(component: Component, replicas: int = 1, *conditions: Manifest) -> Manifest:
    """The StatefulSet or the Deployment."""
    kind = {"model": "StatefulSet", "api": "Deployment"}[component]
    return {
        "kind": kind,
        "metadata": {"name": child(NAME, component), "uid": f"{kind}-1"},
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "conditions": list(conditions)},
    }


def service(component: Component) -> Manifest:
    """The Service by which a tier is reached."""
    return {"kind": "Service", "metadata": {"name": child(NAME, component), "uid": f"Service-{component}"}}


def condition(
    type_: str, status: str, reason: str | None = None, message: str | None = None, age: float = 60
) -> Manifest:
    """A condition of a pod or a workload."""
    told = {"reason": reason, "message": message}
    return {
        "type": type_,
        "status": status,
        "lastTransitionTime": ago(age),
        **{key: value for key, value in told.items() if value is not None},
    }


@dataclass(frozen=True)
class Pod:
    """A pod that becomes a manifest; `state` and `last` are those of its one container."""

    name: str = "demo-model-0"
    component: Component = "model"
    age: float = 150
    ready: bool = False
    started: bool = False
    scheduled: bool = True
    phase: str = "Pending"
    reason: str | None = None
    message: str | None = None
    going: bool = False
    state: Manifest | None = None
    last: Manifest = field(default_factory=dict)
    restarts: int = 0
    containers_ready: bool | None = None
    unready_reason: str | None = "ContainersNotReady"
    lost: float | None = None
    """Seconds since it was ready last, None where it never was."""
    claim: str | None = None
    extra: tuple[Manifest, ...] = ()

    def but(self, **changes: Any) -> Pod:
        """The same with something else."""
        return replace(self, **changes)

    def manifest(self) -> Manifest:
        """As the API server has it."""
        metadata = {
            "name": self.name,
            "uid": f"uid-{self.name}",
            "labels": labels(NAME, self.component),
            "creationTimestamp": ago(self.age),
        }
        if self.going:
            metadata["deletionTimestamp"] = ago(0)
        volumes = [{"name": "weights", "persistentVolumeClaim": {"claimName": self.claim}}] if self.claim else []
        return {
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"nodeName": "node-1", "volumes": volumes},
            "status": self._status(),
        }

    def _status(self) -> Manifest:
        containers_ready = self.ready if self.containers_ready is None else self.containers_ready
        conditions = [
            condition("Ready", *_truth(self.ready, self.unready_reason), age=self.lost or self.age),
            condition("ContainersReady", *_truth(containers_ready, self.unready_reason), age=self.age),
            condition("PodScheduled", "True"),
        ]
        told = {"reason": self.reason, "message": self.message}
        status = {
            "phase": "Running" if self.ready else self.phase,
            "conditions": [*(conditions if self.scheduled else ()), *self.extra],
            **{key: value for key, value in told.items() if value is not None},
        }
        state = {"running": {"startedAt": ago(self.age)}} if self.ready and self.state is None else self.state
        if state is not None:
            status["containerStatuses"] = [self._container(state)]
        return status

    def _container(self, state: Manifest) -> Manifest:
        return {
            "name": self.component,
            "ready": self.ready or bool(self.containers_ready),
            "started": self.ready or self.started,
            "restartCount": self.restarts,
            "state": state,
            "lastState": self.last,
        }


def api_pod(name: str = "demo-api-5d55-abcde", **state: Any) -> Pod:
    """A pod of the API."""
    return Pod(name=name, component="api", **state)


def waiting(reason: str, message: str | None = None) -> Manifest:
    """The state of a container that the kubelet cannot start."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def running(age: float = 30) -> Manifest:
    """The state of a container that runs."""
    return {"running": {"startedAt": ago(age)}}


def ended(
    message: str | None = None, code: int = 1, reason: str = "Error", *, lasted: float = 1, age: float = 40
) -> Manifest:
    """The state of a container that has ended."""
    told = {"exitCode": code, "reason": reason, "startedAt": ago(age + lasted), "finishedAt": ago(age)}
    return {"terminated": {**told, **({"message": message} if message else {})}}


def crashed(message: str | None = None, code: int = 1, reason: str = "Error", **times: float) -> dict[str, Any]:
    """What a pod shows while the kubelet waits to start its container again."""
    back_off = "back-off 40s restarting failed container=model pod=demo-model-0_team(uid-demo-model-0)"
    return {
        "state": waiting("CrashLoopBackOff", back_off),
        "last": ended(message, code, reason, **times),
        "restarts": 3,
        "phase": "Running",
    }


def event(kind: str, name: str, reason: str, message: str, *, age: float = 5, uid: str | None = None) -> Manifest:
    """A warning."""
    return {
        "metadata": {"name": f"{name}.{age}", "creationTimestamp": ago(age)},
        "involvedObject": {"kind": kind, "name": name, **({"uid": uid} if uid else {})},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": ago(age),
    }


def healthy(**targets: str | None) -> Health:
    """A pod's word that the router model decides; targets are ok where they have no reason."""
    return health(targets=targets or {"cheap": None, "strong": None})


def health(
    router_model: str | None = None,
    refused: str | None = None,
    targets: dict[str, str | None] | None = None,
    closed: str | None = None,
    file: str | None = None,
) -> Health:
    """A pod's word; each argument is what is wrong, None if nothing is; `file` is the file that all of it is about."""
    configuration = ConfigurationHealth(state="ok")
    if reason := refused or closed:
        configuration = ConfigurationHealth(state="refused" if refused else "closed", reason=reason, file=file)
    states = targets or {"cheap": None, "strong": None}
    document = HealthDocument(
        status="ok",
        configuration=configuration,
        router_model=RouterModelHealth.model_validate(dict(_state(router_model, file))),
        targets={name: _state(reason, file) for name, reason in states.items()},
    )
    return Health(document)


def answered(answer: Health, **parts: Any) -> Health:
    """The same answer with other parts of its document, as JSON has them."""
    assert answer.document
    return Health(HealthDocument.model_validate(answer.document.as_json() | parts))


@dataclass(frozen=True)
class World:
    """A cluster in which all is well, and what is changed in it; `others` are pods as manifests."""

    spec: dict[str, Any] | None = None
    model: tuple[Pod, ...] = (Pod(ready=True),)
    api: tuple[Pod, ...] = (api_pod(ready=True),)
    others: tuple[Manifest, ...] = ()
    health: Health | None = field(default_factory=healthy)
    healths: dict[str, Health] | None = None
    events: tuple[Manifest, ...] = ()
    claims: tuple[Manifest, ...] = ()
    problems: tuple[ChildError, ...] = ()
    children: tuple[Manifest, ...] = (workload("model"), workload("api"))
    services: tuple[Manifest, ...] = (service("model"), service("api"))

    def observed(self) -> Observed:
        """What the operator sees of it."""
        said = {pod.name: self.health for pod in self.api if self.health}
        return Observed(
            children={(each["kind"], each["metadata"]["name"]): each for each in (*self.services, *self.children)},
            pods=(*(pod.manifest() for pod in (*self.model, *self.api)), *self.others),
            pvcs=self.claims,
            events=self.events,
            healths=said if self.healths is None else self.healths,
            errors=self.problems,
        )

    def status(self, before: Any = None, now: datetime = NOW, **annotations: str) -> dict[str, Any]:
        """The status of `demo` in it."""
        return status_of(router(self.spec, before, **annotations), self.observed(), now)


def of(status: dict[str, Any], type_: str) -> Manifest:
    """A condition of a status."""
    found: Manifest = next(each for each in status["conditions"] if each["type"] == type_)
    return found


def said(status: dict[str, Any], type_: str) -> tuple[str, str]:
    """A condition's status and reason."""
    found = of(status, type_)
    return found["status"], found["reason"]


def _truth(is_true: bool, reason: str | None) -> tuple[str, str | None]:
    return ("True", None) if is_true else ("False", reason)


def _state(reason: str | None, file: str | None) -> UpstreamHealth:
    return UpstreamHealth(state="bad", reason=reason, file=file) if reason else UpstreamHealth(state="ok")
