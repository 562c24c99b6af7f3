"""Why a pod is not ready."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..objects.manifest import Manifest, condition, is_terminating
from . import containers
from .containers import Setting
from .reasons import Reason
from .warnings import time_of, warnings
from .words import quote

_TAKEN_AWAY = {
    "DeletionByTaintManager": Reason.NODE_LOST,
    "PreemptionByScheduler": Reason.EVICTED,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
}
_CLAIM_MISSING = re.compile(r'persistentvolumeclaim "[^"]*" not found')
_NO_ERROR = frozenset(
    {
        Reason.STARTING,
        Reason.LOADING,
        Reason.NOT_READY,
        Reason.UNSCHEDULABLE,
        Reason.VOLUME_UNBOUND,
        Reason.NODE_LOST,
    }
)
"""What may pass by itself: a roll-out counts as stuck only after its time."""


_START = (Reason.STARTING, "being started")


@dataclass(frozen=True)
class Trouble:
    """Why a pod is not ready, and since when it is not."""

    pod: str
    reason: Reason
    words: str
    since: datetime

    @property
    def is_error(self) -> bool:
        """Whether waiting is of no use."""
        return self.reason not in _NO_ERROR

    @property
    def is_start(self) -> bool:
        """Whether nothing is known but that the pod is not ready yet."""
        return (self.reason, self.words) == _START

    def __str__(self) -> str:
        return f"pod {self.pod}: {self.words}"


def is_ready(pod: Manifest) -> bool:
    """Whether it takes requests."""
    return not is_terminating(pod) and condition(pod, "Ready").get("status") == "True"


def has_failed(pod: Manifest) -> bool:
    """Whether it has ended for good."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def trouble_of(pod: Manifest, claims: Iterable[Manifest], setting: Setting) -> Trouble:
    """Why a pod that is not ready is not."""
    reason, words = (
        _taken_away(pod)
        or _refused_by_node(pod)
        or _going(pod)
        or _unscheduled(pod, claims, setting)
        or _node_is_silent(pod)
        or containers.trouble(pod, setting)
        or _unmounted(pod, setting)
        or _START
    )
    return Trouble(pod["metadata"]["name"], reason, words, _since(pod))


def _taken_away(pod: Manifest) -> tuple[Reason, str] | None:
    target, status = condition(pod, "DisruptionTarget"), pod.get("status", {})
    if status.get("reason") == "NodeLost":
        return Reason.NODE_LOST, "its node does not answer"
    if target.get("status") == "True" and (is_terminating(pod) or has_failed(pod)):
        return _TAKEN_AWAY.get(target.get("reason", ""), Reason.EVICTED), quote(target.get("message"))
    if status.get("reason") == "Evicted":
        return Reason.EVICTED, f"evicted: {quote(status.get('message'))}"
    return None


def _refused_by_node(pod: Manifest) -> tuple[Reason, str] | None:
    status = pod.get("status", {})
    if status.get("phase") == "Failed" and status.get("reason"):
        return Reason.NODE_REFUSED, f"{quote(status['reason'])}: {quote(status.get('message'))}"
    return None


def _going(pod: Manifest) -> tuple[Reason, str] | None:
    return (Reason.STARTING, "being replaced") if is_terminating(pod) else None


def _unscheduled(pod: Manifest, claims: Iterable[Manifest], setting: Setting) -> tuple[Reason, str] | None:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False":
        return None
    for claim in _claims_of(pod, claims):
        told = warnings(setting.events, "PersistentVolumeClaim", claim, "ProvisioningFailed", "FailedBinding")
        if told and claim.get("status", {}).get("phase") != "Bound":
            return Reason.VOLUME_UNBOUND, f"claim {claim['metadata']['name']}: {'; '.join(told)}"
    words = quote(scheduled.get("message"))
    return Reason.VOLUME_UNBOUND if _CLAIM_MISSING.search(words) else Reason.UNSCHEDULABLE, words


def _node_is_silent(pod: Manifest) -> tuple[Reason, str] | None:
    """The node controller alone takes a pod's readiness away and leaves its containers' as it was."""
    ready = condition(pod, "Ready")
    if ready.get("status") == "False" and not ready.get("reason") and _containers_are_ready(pod):
        return Reason.NODE_LOST, f"node {pod.get('spec', {}).get('nodeName')} does not answer"
    return None


def _containers_are_ready(pod: Manifest) -> bool:
    return condition(pod, "ContainersReady").get("status") == "True"


def _unmounted(pod: Manifest, setting: Setting) -> tuple[Reason, str] | None:
    if words := warnings(setting.events, "Pod", pod, "FailedMount", "FailedAttachVolume", "FailedMapVolume"):
        return Reason.VOLUME_NOT_MOUNTED, "; ".join(words[:2])
    if words := warnings(setting.events, "Pod", pod, "FailedCreatePodSandBox", "FailedPodSandBoxStatus"):
        return Reason.CONTAINER_NOT_STARTED, words[0]
    return None


def _claims_of(pod: Manifest, claims: Iterable[Manifest]) -> list[Manifest]:
    volumes = pod.get("spec", {}).get("volumes", ())
    names = {(each.get("persistentVolumeClaim") or {}).get("claimName") for each in volumes}
    return [each for each in claims if each["metadata"]["name"] in names]


def _since(pod: Manifest) -> datetime:
    made = time_of(pod["metadata"]["creationTimestamp"])
    changed = condition(pod, "Ready").get("lastTransitionTime")
    return max(made, time_of(changed)) if changed else made
