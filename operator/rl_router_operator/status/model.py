"""ModelReady: the router model runs, and the API has received a decision from it."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..objects.manifest import condition
from ..objects.routerdeployment import RouterDeployment
from .conditions import Finding, found, said_before
from .reasons import Reason
from .reports import Reports
from .tiers import Tier
from .warnings import time_of

TYPE = "ModelReady"
_ASKED_AGAIN_WITHIN = timedelta(seconds=120)
"""An API that had no decision asks again every 30 s, and on a busy CPU a decision may take 60."""
_HEARD = frozenset({Reason.DECIDING, Reason.NOT_DECIDING})


def finding(router: RouterDeployment, tier: Tier, reports: Reports, now: datetime) -> Finding:
    """A model that is hosted elsewhere is known by the API's word alone."""
    external = router.spec.model.external
    if router.spec.suspend and not external:
        return found(TYPE, "False", Reason.SUSPENDED, "suspended: the router model has no pods")
    if not external and not tier.serves:
        reason, cause = tier.obstacle
        return found(TYPE, "Unknown" if tier.is_hidden else "False", reason, cause)
    where = "the router model that is hosted elsewhere" if external else f"the router model ({tier.counts} pods ready)"
    if reports.pending and (old := said_before(router.status, TYPE, _HEARD)):
        return old
    return _by_decision(where, reports, is_asked=bool(external) or not _is_new(tier, now))


def _by_decision(where: str, reports: Reports, *, is_asked: bool) -> Finding:
    """`is_asked`: whether a model that did not decide has been asked since its pods are ready."""
    state = reports.router_model
    if state.word == "ok":
        return found(TYPE, "True", Reason.DECIDING, f"{where} decides")
    if state.word == "unused":
        return found(TYPE, "True", Reason.UNUSED, f"{where} is not asked: `spec.routing.policy` decides without it")
    if state.word == "bad" and is_asked:
        return found(TYPE, "False", Reason.NOT_DECIDING, f"{where} does not decide: {state.reason}")
    yet = f"no API pod has had a decision from {where} yet"
    return found(TYPE, "Unknown", Reason.UNCONFIRMED, f"{yet}: {state.reason}" if state.reason else yet)


def _is_new(tier: Tier, now: datetime) -> bool:
    """Whether the API may have asked in vain because no pod was ready yet."""
    times = [time_of(condition(pod, "Ready")["lastTransitionTime"]) for pod in tier.ready]
    return now - min(times) <= _ASKED_AGAIN_WITHIN
