"""Computes the condition Degraded, which can be True while the router answers requests.

Degraded is True if a fault is known, apart from faults that only ModelReady, APIReady or TargetsReady reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from ..objects.manifest import condition
from ..objects.observed import ChildError
from ..objects.routerdeployment import RouterDeployment
from ..schema import TargetState
from .conditions import Finding, advice, make_finding, previous_finding
from .pods import PodFailure
from .reasons import Reason
from .reports import Reports
from .tiers import Tier, describe
from .words import listed

TYPE = "Degraded"
_PATIENCE = timedelta(seconds=120)
"""The time after which an unready API pod means a stuck rollout, even if the operator knows no error of the pod."""
_FROM_REPORTS = frozenset(
    {Reason.CONFIGURATION_REFUSED, Reason.NOBODY_ADMITTED, Reason.NOT_DECIDING, Reason.UNREACHABLE, Reason.TARGET_BAD}
)
"""The reasons that Degraded keeps, without other faults, while API pods are ready but none has a confirmed health."""

Fault = tuple[Reason, str]
"""The reason of a fault, and a text of whole sentences with the cause and the remedy of the fault."""


def finding(
    router: RouterDeployment,
    tiers: Sequence[Tier],
    reports: Reports,
    targets: Sequence[TargetState],
    problems: Iterable[ChildError],
    now: datetime,
) -> Finding:
    """Returns the condition Degraded, with the first fault's reason and all faults in the message, or with NoFault.

    If no fault of a child or a rollout is known, the function may return the earlier condition (see `_FROM_REPORTS`).
    """
    faults = [*_of_children(problems), *(fault for tier in tiers for fault in _of_rollout(router, tier, now))]
    if not faults and reports.pending and (old := previous_finding(router.status, TYPE, _FROM_REPORTS)):
        return old
    faults += [*_of_reports(reports), *_of_targets(targets)]
    if not faults:
        return make_finding(TYPE, "False", Reason.NO_FAULT, "no fault is known apart from those in other conditions")
    return Finding(TYPE, "True", faults[0][0], " ".join(sentences for _, sentences in faults))


def _of_children(problems: Iterable[ChildError]) -> Iterator[Fault]:
    ordered = sorted(problems, key=lambda problem: (problem.reason, problem.kind, problem.name))
    for reason, group in groupby(ordered, key=lambda problem: problem.reason):
        yield _fault(Reason(reason), "; ".join(map(describe, group)))


def _of_rollout(router: RouterDeployment, tier: Tier, now: datetime) -> Iterator[Fault]:
    """Yields a fault if the rollout of the router model or the API is stuck, for example because a pod has an error."""
    if tier.desired == 0:
        return
    patience = timedelta(seconds=router.spec.model.startup_timeout) if tier.component == "model" else _PATIENCE
    stuck = [(failure.reason, str(failure)) for failure in tier.unready if _is_stuck(failure, patience, now)]
    if tier.refusal:
        stuck.append((Reason.POD_REFUSED, tier.refusal))
    elif not stuck and _has_exceeded_its_deadline(tier):
        stuck.append((Reason.ROLLOUT_STUCK, "the rollout has exceeded its progress deadline"))
    if stuck:
        reason, cause = stuck[0]
        serving = f"; {len(tier.ready)} of {tier.desired} pods are ready" if tier.ready else ""
        yield Reason.ROLLOUT_STUCK, advice(reason, f"{tier.title}: {cause}{serving}")


def _is_stuck(failure: PodFailure, patience: timedelta, now: datetime) -> bool:
    return failure.is_error or now - failure.since >= patience


def _has_exceeded_its_deadline(tier: Tier) -> bool:
    progress = condition(tier.workload or {}, "Progressing")
    return progress.get("status") == "False" and progress.get("reason") == "ProgressDeadlineExceeded"


def _of_reports(reports: Reports) -> Iterator[Fault]:
    if reports.refused:
        cause = "an API pod still uses its last valid file, because the new configuration file or keys file is invalid"
        yield _fault(Reason.CONFIGURATION_REFUSED, f"{cause}: {reports.refused}")
    if reports.closed:
        yield _fault(Reason.NOBODY_ADMITTED, reports.closed)
    if reports.partly_undecided:
        cause = f"an API pod received no valid decision from the router model: {reports.partly_undecided}"
        yield _fault(Reason.NOT_DECIDING, cause)
    if reports.received and reports.unreachable:
        pod, error = reports.unreachable[0]
        yield _fault(Reason.UNREACHABLE, f"the health request to pod {pod} failed: {error}")


def _of_targets(targets: Sequence[TargetState]) -> Iterator[Fault]:
    bad = [target for target in targets if target.state == "bad"]
    if bad:
        cause = f"{listed(target.name for target in bad)} cannot answer ({bad[0].name}: {bad[0].reason})"
        yield _fault(Reason.TARGET_BAD, cause)


def _fault(reason: Reason, cause: str) -> Fault:
    return reason, advice(reason, cause)
