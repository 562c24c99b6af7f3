"""Computes the condition TargetsReady, and the state of each target."""

from __future__ import annotations

from collections.abc import Sequence

from ..objects.routerdeployment import RouterDeployment
from ..schema import TargetState
from .conditions import Finding, make_finding, previous_finding
from .reasons import Reason
from .reports import Reports
from .words import listed

TYPE = "TargetsReady"
_MAXIMUM_TARGETS = 64
_FROM_REPORTS = frozenset({Reason.TARGETS_REACHABLE, Reason.NO_TARGETS, Reason.NO_TARGET_ANSWERS})
"""The reasons that come from health reports.

While API pods are ready but no health is confirmed yet, a condition TargetsReady with such a reason stays unchanged,
unless the router is suspended.
"""


def states(router: RouterDeployment, reports: Reports) -> list[TargetState]:
    """Returns the states of the targets in the spec.

    If the spec has no targets, the function returns the states of the first 64 targets that API pods report. If API
    pods are ready but the health of no API pod is confirmed yet, the function returns the states in the previous
    status.
    """
    if reports.pending:
        previous = router.status.get("targets", ())
        return [
            TargetState(name=target["name"], state=target["state"], reason=target.get("reason")) for target in previous
        ]
    names = [target.name for target in router.spec.targets] or reports.target_names[:_MAXIMUM_TARGETS]
    return [_state(name, reports) for name in names]


def finding(router: RouterDeployment, targets: Sequence[TargetState], reports: Reports) -> Finding:
    """Returns the condition TargetsReady, which is False only if no target can answer."""
    if router.spec.suspend:
        return make_finding(
            TYPE, "Unknown", Reason.SUSPENDED, "no API pod checks the targets, because the router is suspended"
        )
    if reports.pending and (old := previous_finding(router.status, TYPE, _FROM_REPORTS)):
        return old
    if not reports.received:
        return make_finding(TYPE, "Unknown", Reason.UNCONFIRMED, "no ready API pod reports the state of the targets")
    if not targets:
        return make_finding(TYPE, "False", Reason.NO_TARGETS, "the router has no targets")
    return _by_state(targets, reports)


def _by_state(targets: Sequence[TargetState], reports: Reports) -> Finding:
    answering = [target.name for target in targets if reports.can_answer(target.name)]
    if answering:
        cause = f"{len(answering)} of {len(targets)} targets can answer"
        return make_finding(TYPE, "True", Reason.TARGETS_REACHABLE, cause)
    if all(target.state == "bad" for target in targets):
        cause = f"no target can answer ({targets[0].name}: {targets[0].reason})"
        return make_finding(TYPE, "False", Reason.NO_TARGET_ANSWERS, cause)
    unknown = listed(target.name for target in targets if target.state == "unknown")
    return make_finding(TYPE, "Unknown", Reason.UNCONFIRMED, f"no API pod has reached {unknown} yet")


def _state(name: str, reports: Reports) -> TargetState:
    state = reports.target(name)
    return TargetState(name=name, state=state.word, reason=state.reason)
