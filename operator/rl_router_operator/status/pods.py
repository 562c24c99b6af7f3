"""Determines the reason why a pod is not ready."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..objects.manifest import Manifest, condition, is_terminating
from . import containers
from .containers import Context
from .reasons import Reason
from .warnings import time_of, warnings
from .words import quote

_DISRUPTIONS = {
    "DeletionByTaintManager": Reason.NODE_LOST,
    "PreemptionByScheduler": Reason.EVICTED,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
}
_CLAIM_MISSING = re.compile(r'persistentvolumeclaim "[^"]*" not found')
_MAY_PASS = frozenset(
    {
        Reason.STARTING,
        Reason.LOADING,
        Reason.NOT_READY,
        Reason.UNSCHEDULABLE,
        Reason.VOLUME_UNBOUND,
        Reason.NODE_LOST,
    }
)
"""The reasons with which an unready pod may become ready without intervention.

If a pod is unready for one of these reasons, the operator reports a stuck rollout only after a time limit.
"""
_STARTING = (Reason.STARTING, "the pod is starting")


@dataclass(frozen=True)
class PodFailure:
    """The reason why a pod is not ready. The attribute `since` is the time since which the pod has not been ready."""

    pod: str
    reason: Reason
    message: str
    since: datetime

    @property
    def is_error(self) -> bool:
        """Whether the pod usually needs intervention to become ready."""
        return self.reason not in _MAY_PASS

    @property
    def is_starting(self) -> bool:
        """Whether the pod is starting and the operator knows no other reason why the pod is not ready."""
        return (self.reason, self.message) == _STARTING

    def __str__(self) -> str:
        return f"pod {self.pod}: {self.message}"


def is_ready(pod: Manifest) -> bool:
    """Returns whether the pod is ready and is not being deleted."""
    return not is_terminating(pod) and condition(pod, "Ready").get("status") == "True"


def has_ended(pod: Manifest) -> bool:
    """Returns whether the pod has ended and will not restart."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def failure_of(pod: Manifest, claims: Iterable[Manifest], context: Context) -> PodFailure:
    """Returns the reason why a pod is not ready.

    The parameter `claims` contains the PersistentVolumeClaims (PVCs) with the router's label. Callers pass only pods
    that are not ready.
    """
    reason, message = (
        _disrupted(pod)
        or _rejected_by_node(pod)
        or _terminating(pod)
        or _unscheduled(pod, claims, context)
        or _lost_node(pod)
        or containers.failure(pod, context)
        or _unmounted(pod, context)
        or _STARTING
    )
    return PodFailure(pod["metadata"]["name"], reason, message, _since(pod))


def _disrupted(pod: Manifest) -> tuple[Reason, str] | None:
    target, status = condition(pod, "DisruptionTarget"), pod.get("status", {})
    if status.get("reason") == "NodeLost":
        return Reason.NODE_LOST, "the node of the pod does not respond"
    if target.get("status") == "True" and (is_terminating(pod) or has_ended(pod)):
        return _DISRUPTIONS.get(target.get("reason", ""), Reason.EVICTED), quote(target.get("message"))
    if status.get("reason") == "Evicted":
        return Reason.EVICTED, f"the pod was evicted: {quote(status.get('message'))}"
    return None


def _rejected_by_node(pod: Manifest) -> tuple[Reason, str] | None:
    status = pod.get("status", {})
    if status.get("phase") == "Failed" and status.get("reason"):
        return Reason.NODE_REFUSED, f"{quote(status['reason'])}: {quote(status.get('message'))}"
    return None


def _terminating(pod: Manifest) -> tuple[Reason, str] | None:
    return (Reason.STARTING, "the pod is being replaced") if is_terminating(pod) else None


def _unscheduled(pod: Manifest, claims: Iterable[Manifest], context: Context) -> tuple[Reason, str] | None:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False":
        return None
    for claim in _claims_of(pod, claims):
        messages = warnings(context.events, "PersistentVolumeClaim", claim, "ProvisioningFailed", "FailedBinding")
        if messages and claim.get("status", {}).get("phase") != "Bound":
            return Reason.VOLUME_UNBOUND, f"PVC {claim['metadata']['name']}: {'; '.join(messages)}"
    message = quote(scheduled.get("message"))
    return Reason.VOLUME_UNBOUND if _CLAIM_MISSING.search(message) else Reason.UNSCHEDULABLE, message


def _lost_node(pod: Manifest) -> tuple[Reason, str] | None:
    """Returns the reason NODE_LOST and a message if the pod's node does not respond, and otherwise None.

    If a node does not respond, Kubernetes' node controller sets the condition Ready of the node's pods to False. The
    condition Ready then has no reason, and the condition ContainersReady stays True.
    """
    ready = condition(pod, "Ready")
    if ready.get("status") == "False" and not ready.get("reason") and _containers_are_ready(pod):
        return Reason.NODE_LOST, f"node {pod.get('spec', {}).get('nodeName')} does not respond"
    return None


def _containers_are_ready(pod: Manifest) -> bool:
    return condition(pod, "ContainersReady").get("status") == "True"


def _unmounted(pod: Manifest, context: Context) -> tuple[Reason, str] | None:
    if messages := warnings(context.events, "Pod", pod, "FailedMount", "FailedAttachVolume", "FailedMapVolume"):
        return Reason.VOLUME_NOT_MOUNTED, "; ".join(messages[:2])
    if messages := warnings(context.events, "Pod", pod, "FailedCreatePodSandBox", "FailedPodSandBoxStatus"):
        return Reason.CONTAINER_NOT_STARTED, messages[0]
    return None


def _claims_of(pod: Manifest, claims: Iterable[Manifest]) -> list[Manifest]:
    volumes = pod.get("spec", {}).get("volumes", ())
    names = {(volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in volumes}
    return [claim for claim in claims if claim["metadata"]["name"] in names]


def _since(pod: Manifest) -> datetime:
    created = time_of(pod["metadata"]["creationTimestamp"])
    changed = condition(pod, "Ready").get("lastTransitionTime")
    return max(created, time_of(changed)) if changed else created
