"""ModelReady: the router model runs, and the API had a decision from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..router import Router
from .conditions import Finding, found, said_before
from .reasons import Reason
from .reports import Reports
from .tiers import Tier

TYPE = "ModelReady"
_HEARD = frozenset({Reason.DECIDING, Reason.NOT_DECIDING})


def finding(router: Router, tier: Tier, reports: Reports) -> Finding:
    """A model that is hosted elsewhere is known by the API's word alone."""
    external = router.spec.model.external
    if router.spec.suspend and not external:
        return found(TYPE, "False", Reason.SUSPENDED, "suspended: the router model has no pods")
    if not external and (tier.problem or not tier.ready):
        reason, cause = tier.obstacle
        return found(TYPE, "Unknown" if tier.is_hidden else "False", reason, cause)
    where = "the router model that is hosted elsewhere" if external else f"the router model ({tier.counts} pods ready)"
    return _by_decision(where, reports, router.status)


def _by_decision(where: str, reports: Reports, before: Mapping[str, Any]) -> Finding:
    if reports.pending and (old := said_before(before, TYPE, _HEARD)):
        return old
    state = reports.router_model
    if state.word == "ok":
        return found(TYPE, "True", Reason.DECIDING, f"{where} decides")
    if state.word == "bad":
        return found(TYPE, "False", Reason.NOT_DECIDING, f"{where} does not decide: {state.reason}")
    return found(TYPE, "Unknown", Reason.UNCONFIRMED, f"no API pod has had a decision from {where} yet")
