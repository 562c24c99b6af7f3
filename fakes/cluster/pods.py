"""Pods, Events and conditions in the form in which components of Kubernetes 1.35 write them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.naming import Component, labels

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
"""The time at which a test observes the pods.

The age of a pod or an Event is the number of seconds from its creation to NOW. The age of a condition is the number of
seconds from its last change to NOW.
"""
NAME = "demo"


def ago(seconds: float) -> str:
    """Returns the time that is `seconds` seconds before the time NOW, in the API server's format."""
    return f"{NOW - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def condition(
    type_: str, status: str, reason: str | None = None, message: str | None = None, age: float = 60
) -> Manifest:
    """Returns a condition of a pod or a workload. The last change of the condition was `age` seconds ago."""
    optional = {"reason": reason, "message": message}
    return {
        "type": type_,
        "status": status,
        "lastTransitionTime": ago(age),
        **{key: value for key, value in optional.items() if value is not None},
    }


@dataclass(frozen=True)
class Pod:
    """A pod with one container.

    The attribute `state` is the container's current state, and the attribute `last` is the container's previous state.
    """

    name: str = "demo-model-0"
    component: Component = "model"
    age: float = 150
    ready: bool = False
    started: bool = False
    scheduled: bool = True
    phase: str = "Pending"
    reason: str | None = None
    message: str | None = None
    terminating: bool = False
    state: Manifest | None = None
    last: Manifest = field(default_factory=dict)
    restarts: int = 0
    containers_ready: bool | None = None
    unready_reason: str | None = "ContainersNotReady"
    unready_for: float | None = None
    """The number of seconds since the pod was last ready, or None if the pod is ready or was never ready."""
    pvc: str | None = None
    extra: tuple[Manifest, ...] = ()

    def changed(self, **changes: Any) -> Pod:
        """Returns a copy of the pod with changed fields."""
        return replace(self, **changes)

    def manifest(self) -> Manifest:
        """Returns the manifest of the pod."""
        metadata = {
            "name": self.name,
            "uid": f"uid-{self.name}",
            "labels": labels(NAME, self.component),
            "creationTimestamp": ago(self.age),
        }
        if self.terminating:
            metadata["deletionTimestamp"] = ago(0)
        volumes = [{"name": "weights", "persistentVolumeClaim": {"claimName": self.pvc}}] if self.pvc else []
        return {
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"nodeName": "node-1", "volumes": volumes},
            "status": self._status(),
        }

    def _status(self) -> Manifest:
        containers_ready = self.ready if self.containers_ready is None else self.containers_ready
        conditions = [
            condition("Ready", *_truth(self.ready, self.unready_reason), age=self.unready_for or self.age),
            condition("ContainersReady", *_truth(containers_ready, self.unready_reason), age=self.age),
            condition("PodScheduled", "True"),
        ]
        optional = {"reason": self.reason, "message": self.message}
        status = {
            "phase": "Running" if self.ready else self.phase,
            "conditions": [*(conditions if self.scheduled else ()), *self.extra],
            **{key: value for key, value in optional.items() if value is not None},
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
    """Returns a pod of the router API."""
    return Pod(name=name, component="api", **state)


def unschedulable(message: str, **fields: str) -> Pod:
    """Returns a pod for which the scheduler finds no node."""
    extra = (condition("PodScheduled", "False", "Unschedulable", message),)
    return Pod(scheduled=False, extra=extra, **fields)  # type: ignore[arg-type]


def waiting(reason: str, message: str | None = None) -> Manifest:
    """Returns the state of a container that waits for a start or a restart, or that the kubelet cannot start."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def running(age: float = 30) -> Manifest:
    """Returns the state of a container that has been running for `age` seconds."""
    return {"running": {"startedAt": ago(age)}}


def terminated(
    message: str | None = None, code: int = 1, reason: str = "Error", *, lasted: float = 1, age: float = 40
) -> Manifest:
    """Returns the state of a container that ran for `lasted` seconds and ended `age` seconds ago."""
    fixed = {"exitCode": code, "reason": reason, "startedAt": ago(age + lasted), "finishedAt": ago(age)}
    return {"terminated": {**fixed, **({"message": message} if message else {})}}


def crash_looping(message: str | None = None, code: int = 1, reason: str = "Error", **times: float) -> dict[str, Any]:
    """Returns the fields of a Pod whose container the kubelet will restart after a back-off delay."""
    back_off = "back-off 40s restarting failed container=model pod=demo-model-0_team(uid-demo-model-0)"
    return {
        "state": waiting("CrashLoopBackOff", back_off),
        "last": terminated(message, code, reason, **times),
        "restarts": 3,
        "phase": "Running",
    }


def event(kind: str, name: str, reason: str, message: str, *, age: float = 5, uid: str | None = None) -> Manifest:
    """Returns a warning Event about an object. If `uid` is None, the Event does not contain the object's uid."""
    return {
        "metadata": {"name": f"{name}.{age}", "creationTimestamp": ago(age)},
        "involvedObject": {"kind": kind, "name": name, **({"uid": uid} if uid else {})},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": ago(age),
    }


def _truth(is_true: bool, reason: str | None) -> tuple[str, str | None]:
    return ("True", None) if is_true else ("False", reason)
