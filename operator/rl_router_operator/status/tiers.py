"""Computes the state of a tier, which is either the router model or the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..objects.manifest import Manifest, condition, is_terminating
from ..objects.naming import Component, child, selector
from ..objects.observed import ChildError, Observed
from ..objects.routerdeployment import RouterDeployment
from .containers import Context
from .pods import PodFailure, failure_of, has_ended, is_ready
from .reasons import Reason
from .warnings import last_seen
from .words import quote, quote_creation_failure

_WORKLOADS = {"model": "StatefulSet", "api": "Deployment"}
_ESSENTIAL = frozenset({*_WORKLOADS.values(), "Service", "ConfigMap"})
_CREATION_RETRY = timedelta(minutes=20)
"""A time that is longer than the maximum delay between two attempts of a controller to create a pod.

The operator ignores an Event about a failed creation of a pod if the Event last occurred over 20 minutes ago.
"""


@dataclass(frozen=True)
class Tier:
    """The state of a tier, which is either the router model or the API of one RouterDeployment.

    The attribute `unready` contains a reason for each pod that is not ready. Reasons that require intervention come
    first. Terminating pods and ended pods are included only if the tier has no other pods.
    """

    component: Component
    workload: Manifest | None
    desired: int
    ready: tuple[Manifest, ...]
    unready: tuple[PodFailure, ...]
    refusal: str | None
    """The message about a recent failure to create a pod, or None if no pod is missing or no creation failed lately."""
    problem: ChildError | None
    """The first error that makes the operator report the tier as not serving, even if pods are ready, or None."""
    has_service: bool
    """Whether the tier's Service exists or the operator already reports an error about the Service."""

    @property
    def counts(self) -> str:
        """The number of ready pods and the number of desired pods, such as `1/2`."""
        return f"{len(self.ready)}/{self.desired}"

    @property
    def title(self) -> str:
        """The name of the tier in messages, which is `router model` or `API`."""
        return "router model" if self.component == "model" else "API"

    @property
    def is_hidden(self) -> bool:
        """Whether the attribute `problem` is the error that the operator has no permission to read pods."""
        return self.problem is not None and self.problem.kind == "Pod"

    @property
    def serves(self) -> bool:
        """Whether, as far as the operator knows, clients can reach a ready pod of the tier."""
        return bool(self.ready) and self.problem is None and self.has_service

    @property
    def obstacle(self) -> tuple[Reason, str]:
        """The reason why the tier does not serve requests, and a message."""
        if self.problem:
            return Reason(self.problem.reason), describe(self.problem)
        if self.desired == 0:
            return Reason.SCALED_TO_ZERO, "the number of replicas is set to 0"
        if self.ready:
            return Reason.SERVICE_MISSING, f"the Service of the {self.title} does not exist"
        if self.unready and not self.unready[0].is_starting:
            return self.unready[0].reason, str(self.unready[0])
        if self.refusal:
            return Reason.POD_REFUSED, self.refusal
        return Reason.STARTING, f"the pods of the {self.title} are starting"


def tier_of(router: RouterDeployment, component: Component, observed: Observed, now: datetime) -> Tier:
    """Returns the observed state of the tier `component` of a RouterDeployment."""
    workload = observed.children.get((_WORKLOADS[component], child(router.name, component)))
    pods = [pod for pod in observed.pods if _belongs(pod, router, component)]
    context = Context(observed.events, now, component == "model", router.spec.model.startup_timeout)
    alive = [pod for pod in pods if not (is_terminating(pod) or has_ended(pod))]
    # An evicted pod still exists beside the pod that replaces the evicted pod. Therefore the operator ignores pods that
    # have ended if another pod exists.
    unready = [failure_of(pod, observed.pvcs, context) for pod in alive or pods if not is_ready(pod)]
    desired = _desired_replicas(router, component, workload)
    return Tier(
        component=component,
        workload=workload,
        desired=desired,
        ready=tuple(pod for pod in pods if is_ready(pod)),
        unready=tuple(sorted(unready, key=lambda failure: (not failure.is_error, failure.reason, failure.pod))),
        refusal=_refusal(router, component, workload, observed, now) if len(alive) < desired else None,
        problem=_blocking_problem(router, component, observed, workload),
        has_service=_has_service(router, component, observed),
    )


def describe(problem: ChildError) -> str:
    """Returns a text with the kind in an error, the name in the error if it is not empty, and the error's message."""
    return f"{f'{problem.kind} {problem.name}'.rstrip()}: {quote(problem.message)}"


def _belongs(pod: Manifest, router: RouterDeployment, component: Component) -> bool:
    labels = pod["metadata"].get("labels", {})
    return all(labels.get(key) == value for key, value in selector(router.name, component).items())


def _desired_replicas(router: RouterDeployment, component: Component, workload: Manifest | None) -> int:
    if router.spec.suspend:
        return 0
    if component == "model":
        return 0 if router.spec.model.external else router.spec.model.replicas
    if scaling := router.spec.api.autoscaling:
        return int((workload or {}).get("spec", {}).get("replicas", scaling.min_replicas))
    return router.spec.api.replicas


def _blocking_problem(
    router: RouterDeployment, component: Component, observed: Observed, workload: Manifest | None
) -> ChildError | None:
    """Returns the first error that blocks the tier, so that the operator reports the tier as not serving, or None.

    The essential children of a tier are the StatefulSet or Deployment, the ConfigMap, and the Service that is not
    headless. If an object that does not belong to the RouterDeployment has the name of an essential child, the object
    always blocks the tier. A missing permission to read pods always blocks the tier. Any other error of an essential
    child blocks the tier only if the StatefulSet or Deployment does not exist, or if the error is about a Service that
    does not exist.
    """
    name = child(router.name, component)
    for problem in observed.errors:
        if problem.kind == "Pod" and problem.reason == "Forbidden":
            return problem
        if problem.name != name or problem.kind not in _ESSENTIAL:
            continue
        if problem.reason == "ForeignObject" or workload is None or _leaves_no_service(problem, observed):
            return problem
    return None


def _leaves_no_service(problem: ChildError, observed: Observed) -> bool:
    """Returns whether an error leaves the tier without a Service.

    If the operator has no permission to read or write the Service, the Service may still exist, so the function returns
    False.
    """
    is_absent = ("Service", problem.name) not in observed.children
    return problem.kind == "Service" and problem.reason != "Forbidden" and is_absent


def _has_service(router: RouterDeployment, component: Component, observed: Observed) -> bool:
    """Returns whether the tier's Service exists or the operator already reports an error about the Service."""
    ref = ("Service", child(router.name, component))
    return ref in observed.children or any((problem.kind, problem.name) == ref for problem in observed.errors)


def _refusal(
    router: RouterDeployment, component: Component, workload: Manifest | None, observed: Observed, now: datetime
) -> str | None:
    if workload is None:
        return None
    failure = condition(workload, "ReplicaFailure")
    if failure.get("status") == "True":
        return quote_creation_failure(failure.get("message"))
    name = child(router.name, component)
    failures = [event for event in observed.events if _is_creation_failure(event, component, name)]
    latest = max(failures, key=lambda event: (last_seen(event), event["metadata"]["name"]), default=None)
    if latest is None or now - last_seen(latest) > _CREATION_RETRY:
        return None
    return quote_creation_failure(latest.get("message"))


def _is_creation_failure(event: Manifest, component: Component, name: str) -> bool:
    """Returns whether the Event reports that a pod of the tier could not be created.

    A Deployment creates its pods through a ReplicaSet, and the name of the ReplicaSet begins with the name of the
    Deployment.
    """
    kind, creator = str(event["involvedObject"].get("kind")), str(event["involvedObject"].get("name"))
    if event.get("reason") != "FailedCreate":
        return False
    if component == "model":
        return kind == "StatefulSet" and creator == name
    return kind == "ReplicaSet" and creator.rpartition("-")[0] == name
