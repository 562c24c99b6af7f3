"""Degraded: everything that the spec asks for and that is not so, also while the router serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from ..objects.manifest import condition
from ..objects.observed import ChildError
from ..objects.routerdeployment import RouterDeployment
from ..schema import TargetState
from .conditions import Finding, advice, found, said_before
from .pods import Trouble
from .reasons import Reason
from .reports import Reports
from .tiers import Tier, described
from .words import listed

TYPE = "Degraded"
_PATIENCE = timedelta(seconds=120)
_HEARD = frozenset(
    {Reason.CONFIGURATION_REFUSED, Reason.NOBODY_ADMITTED, Reason.NOT_DECIDING, Reason.UNREACHABLE, Reason.TARGET_BAD}
)

Fault = tuple[Reason, str]
"""The reason, and the sentences that say what is so and what to do about it."""


def finding(
    router: RouterDeployment,
    tiers: Sequence[Tier],
    reports: Reports,
    targets: Sequence[TargetState],
    problems: Iterable[ChildError],
    now: datetime,
) -> Finding:
    """The reason is the first fault's; the message has them all."""
    faults = [*_of_children(problems), *(each for tier in tiers for each in _of_rollout(router, tier, now))]
    if not faults and reports.pending and (old := said_before(router.status, TYPE, _HEARD)):
        return old
    faults += [*_of_reports(reports), *_of_targets(targets)]
    if not faults:
        return found(TYPE, "False", Reason.NO_FAULT, "no fault is known")
    return Finding(TYPE, "True", faults[0][0], " ".join(sentences for _, sentences in faults))


def _of_children(problems: Iterable[ChildError]) -> Iterator[Fault]:
    ordered = sorted(problems, key=lambda each: (each.reason, each.kind, each.name))
    for reason, alike in groupby(ordered, key=lambda each: each.reason):
        yield _fault(Reason(reason), "; ".join(map(described, alike)))


def _of_rollout(router: RouterDeployment, tier: Tier, now: datetime) -> Iterator[Fault]:
    """A tier is stuck as soon as waiting is of no use, or when it has waited long enough."""
    if tier.wanted == 0:
        return
    patience = timedelta(seconds=router.spec.model.startup_timeout) if tier.component == "model" else _PATIENCE
    stuck = [(each.reason, str(each)) for each in tier.unready if _is_stuck(each, patience, now)]
    if tier.refusal:
        stuck.append((Reason.POD_REFUSED, tier.refusal))
    elif not stuck and _has_exceeded_its_deadline(tier):
        stuck.append((Reason.ROLLOUT_STUCK, "its roll-out has exceeded its deadline"))
    if stuck:
        reason, cause = stuck[0]
        serving = f"; {len(tier.ready)} of {tier.wanted} serve" if tier.ready else ""
        yield Reason.ROLLOUT_STUCK, advice(reason, f"{tier.title}: {cause}{serving}")


def _is_stuck(trouble: Trouble, patience: timedelta, now: datetime) -> bool:
    return trouble.is_error or now - trouble.since >= patience


def _has_exceeded_its_deadline(tier: Tier) -> bool:
    progress = condition(tier.workload or {}, "Progressing")
    return progress.get("status") == "False" and progress.get("reason") == "ProgressDeadlineExceeded"


def _of_reports(reports: Reports) -> Iterator[Fault]:
    if reports.refused:
        yield _fault(Reason.CONFIGURATION_REFUSED, f"the API keeps its last good configuration: {reports.refused}")
    if reports.closed:
        yield _fault(Reason.NOBODY_ADMITTED, reports.closed)
    if reports.doubted:
        yield _fault(Reason.NOT_DECIDING, f"some of the API's pods have no decision: {reports.doubted}")
    if reports.heard and reports.silent:
        pod, why = reports.silent[0]
        yield _fault(Reason.UNREACHABLE, f"pod {pod} cannot be asked how it is: {why}")


def _of_targets(targets: Sequence[TargetState]) -> Iterator[Fault]:
    bad = [each for each in targets if each.state == "bad"]
    if bad:
        cause = f"{listed(each.name for each in bad)} cannot answer ({bad[0].name}: {bad[0].reason})"
        yield _fault(Reason.TARGET_BAD, cause)


def _fault(reason: Reason, cause: str) -> Fault:
    return reason, advice(reason, cause)
