"""A tier, router model or API: how many of its pods are desired and ready, and why the others are not ready."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..objects.manifest import Manifest, condition, is_terminating
from ..objects.naming import Component, child, selector
from ..objects.observed import ChildError, Observed
from ..objects.routerdeployment import RouterDeployment
from .containers import Setting
from .pods import Trouble, has_failed, is_ready, trouble_of
from .reasons import Reason
from .warnings import last_seen
from .words import quote, said_of_making

_WORKLOADS = {"model": "StatefulSet", "api": "Deployment"}
_ESSENTIAL = frozenset({*_WORKLOADS.values(), "Service", "ConfigMap"})
_TRIED_AGAIN_WITHIN = timedelta(minutes=20)
"""A controller tries at least so often to make a pod that it could not make."""


@dataclass(frozen=True)
class Tier:
    """What is known of a tier; `unready` are the reasons of its pods that live and are not ready, the gravest first."""

    component: Component
    workload: Manifest | None
    wanted: int
    ready: tuple[Manifest, ...]
    unready: tuple[Trouble, ...]
    refusal: str | None
    """The cluster's words where it does not let a pod be made."""
    problem: ChildError | None
    """What keeps the tier from being what was asked for, however its pods are."""
    has_service: bool
    """Whether there is a way to its pods, as far as one can see."""

    @property
    def counts(self) -> str:
        """`1/2`: ready and wanted."""
        return f"{len(self.ready)}/{self.wanted}"

    @property
    def title(self) -> str:
        """As it is called in a sentence."""
        return "router model" if self.component == "model" else "API"

    @property
    def is_hidden(self) -> bool:
        """Whether its pods may not be looked at."""
        return self.problem is not None and self.problem.kind == "Pod"

    @property
    def serves(self) -> bool:
        """Whether a ready pod can be reached."""
        return bool(self.ready) and self.problem is None and self.has_service

    @property
    def obstacle(self) -> tuple[Reason, str]:
        """Why it does not serve."""
        if self.problem:
            return Reason(self.problem.reason), described(self.problem)
        if self.wanted == 0:
            return Reason.SCALED_TO_ZERO, "the spec asks for 0 replicas"
        if self.ready:
            return Reason.SERVICE_MISSING, f"no Service of this router leads to the {self.title}'s pods"
        if self.unready and not self.unready[0].is_start:
            return self.unready[0].reason, str(self.unready[0])
        if self.refusal:
            return Reason.POD_REFUSED, self.refusal
        return Reason.STARTING, f"the pods of the {self.title} are being started"


def tier_of(router: RouterDeployment, component: Component, seen: Observed, now: datetime) -> Tier:
    """The tier as it is seen."""
    workload = seen.children.get((_WORKLOADS[component], child(router.name, component)))
    pods = [each for each in seen.pods if _belongs(each, router, component)]
    setting = Setting(seen.events, now, component == "model", router.spec.model.startup_timeout)
    living = [each for each in pods if not (is_terminating(each) or has_failed(each))]
    # An evicted pod stays beside its successor: it only tells something where nothing succeeded it.
    unready = [trouble_of(each, seen.pvcs, setting) for each in living or pods if not is_ready(each)]
    wanted = _wanted(router, component, workload)
    return Tier(
        component=component,
        workload=workload,
        wanted=wanted,
        ready=tuple(each for each in pods if is_ready(each)),
        unready=tuple(sorted(unready, key=lambda each: (not each.is_error, each.reason, each.pod))),
        refusal=_refusal(router, component, workload, seen, now) if len(living) < wanted else None,
        problem=_in_the_way(router, component, seen, workload),
        has_service=_has_service(router, component, seen),
    )


def described(problem: ChildError) -> str:
    """The problem with the child's name."""
    return f"{problem.kind} {problem.name}: {quote(problem.message)}"


def _belongs(pod: Manifest, router: RouterDeployment, component: Component) -> bool:
    labels = pod["metadata"].get("labels", {})
    return all(labels.get(key) == value for key, value in selector(router.name, component).items())


def _wanted(router: RouterDeployment, component: Component, workload: Manifest | None) -> int:
    if router.spec.suspend:
        return 0
    if component == "model":
        return 0 if router.spec.model.external else router.spec.model.replicas
    if scaling := router.spec.api.autoscaling:
        return int((workload or {}).get("spec", {}).get("replicas", scaling.min_replicas))
    return router.spec.api.replicas


def _in_the_way(
    router: RouterDeployment, component: Component, seen: Observed, workload: Manifest | None
) -> ChildError | None:
    """A foreign object in a needed place is no part of this router; other problems only matter where nothing runs, or
    nothing leads to it."""
    name = child(router.name, component)
    for each in seen.errors:
        if each.kind == "Pod" and each.reason == "Forbidden":
            return each
        if each.name != name or each.kind not in _ESSENTIAL:
            continue
        if each.reason == "ForeignObject" or workload is None or _leaves_no_way(each, seen):
            return each
    return None


def _leaves_no_way(problem: ChildError, seen: Observed) -> bool:
    """Services that may not be looked at are not missing for that."""
    is_absent = ("Service", problem.name) not in seen.children
    return problem.kind == "Service" and problem.reason != "Forbidden" and is_absent


def _has_service(router: RouterDeployment, component: Component, seen: Observed) -> bool:
    """With a problem about it, it is the problem that tells."""
    ref = ("Service", child(router.name, component))
    return ref in seen.children or any((each.kind, each.name) == ref for each in seen.errors)


def _refusal(
    router: RouterDeployment, component: Component, workload: Manifest | None, seen: Observed, now: datetime
) -> str | None:
    if workload is None:
        return None
    failure = condition(workload, "ReplicaFailure")
    if failure.get("status") == "True":
        return said_of_making(failure.get("message"))
    told = [each for each in seen.events if _tells_of(each, component, child(router.name, component))]
    latest = max(told, key=lambda each: (last_seen(each), each["metadata"]["name"]), default=None)
    if latest is None or now - last_seen(latest) > _TRIED_AGAIN_WITHIN:
        return None
    return said_of_making(latest.get("message"))


def _tells_of(event: Manifest, component: Component, name: str) -> bool:
    """A Deployment's pods are made by its ReplicaSets, which are named after it."""
    kind, maker = str(event["involvedObject"].get("kind")), str(event["involvedObject"].get("name"))
    if event.get("reason") != "FailedCreate":
        return False
    if component == "model":
        return kind == "StatefulSet" and maker == name
    return kind == "ReplicaSet" and maker.rpartition("-")[0] == name
