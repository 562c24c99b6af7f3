"""TargetsReady, and the state of each target."""

from __future__ import annotations

from collections.abc import Sequence

from ..objects.routerdeployment import RouterDeployment
from ..schema import TargetState
from .conditions import Finding, found, said_before
from .reasons import Reason
from .reports import Reports
from .words import listed

TYPE = "TargetsReady"
_MOST = 64
_HEARD = frozenset({Reason.TARGETS_REACHABLE, Reason.NO_TARGETS, Reason.NO_TARGET_ANSWERS})


def states(router: RouterDeployment, reports: Reports) -> list[TargetState]:
    """Each target in the spec's order, or, where it names none, those that the API found; as before until asked."""
    if reports.pending:
        said = router.status.get("targets", ())
        return [TargetState(name=each["name"], state=each["state"], reason=each.get("reason")) for each in said]
    names = [target.name for target in router.spec.targets] or reports.target_names[:_MOST]
    return [_state(name, reports) for name in names]


def finding(router: RouterDeployment, targets: Sequence[TargetState], reports: Reports) -> Finding:
    """False only where no target can answer."""
    if router.spec.suspend:
        return found(TYPE, "Unknown", Reason.SUSPENDED, "suspended: no API pod looks at the targets")
    if reports.pending and (old := said_before(router.status, TYPE, _HEARD)):
        return old
    if not reports.heard:
        return found(TYPE, "Unknown", Reason.UNCONFIRMED, "no API pod has said yet how the targets are")
    if not targets:
        return found(TYPE, "False", Reason.NO_TARGETS, "there are no targets")
    return _by_state(targets, reports)


def _by_state(targets: Sequence[TargetState], reports: Reports) -> Finding:
    answering = [each.name for each in targets if reports.can_answer(each.name)]
    if answering:
        cause = f"{len(answering)} of {len(targets)} targets can answer"
        return found(TYPE, "True", Reason.TARGETS_REACHABLE, cause)
    if all(each.state == "bad" for each in targets):
        cause = f"no target can answer: {targets[0].name}: {targets[0].reason}"
        return found(TYPE, "False", Reason.NO_TARGET_ANSWERS, cause)
    unknown = listed(each.name for each in targets if each.state == "unknown")
    return found(TYPE, "Unknown", Reason.UNCONFIRMED, f"no API pod has reached {unknown} yet")


def _state(name: str, reports: Reports) -> TargetState:
    state = reports.target(name)
    return TargetState(name=name, state=state.word, reason=state.reason)
