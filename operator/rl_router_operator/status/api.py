"""Computes the condition APIReady, which is True if clients can reach a ready API pod that reports its health."""

from __future__ import annotations

from ..objects.naming import ADMIN_PORT
from ..objects.routerdeployment import RouterDeployment
from .conditions import Finding, make_finding, previous_finding
from .reasons import Reason
from .reports import Reports
from .tiers import Tier

TYPE = "APIReady"
_FROM_REPORTS = frozenset({Reason.SERVING, Reason.UNREACHABLE})
"""The reasons that APIReady keeps while API pods are ready but the health of no API pod is confirmed yet."""


def finding(router: RouterDeployment, tier: Tier, reports: Reports) -> Finding:
    """Returns the condition APIReady, which is Unknown if the operator cannot find out whether the API works."""
    if router.spec.suspend:
        return make_finding(TYPE, "False", Reason.SUSPENDED, "the API has no pods, because the router is suspended")
    if not tier.serves:
        reason, cause = tier.obstacle
        return make_finding(TYPE, "Unknown" if tier.is_hidden else "False", reason, cause)
    old = previous_finding(router.status, TYPE, _FROM_REPORTS)
    if reports.received or (reports.pending and old and old.reason is Reason.SERVING):
        return make_finding(TYPE, "True", Reason.SERVING, f"{tier.counts} API pods are ready")
    if reports.unreachable:
        pod, error = reports.unreachable[0]
        return make_finding(
            TYPE, "Unknown", Reason.UNREACHABLE, f"the health request to port {ADMIN_PORT} of pod {pod} failed: {error}"
        )
    return old or make_finding(
        TYPE, "Unknown", Reason.UNCONFIRMED, "API pods are ready but have not reported their health yet"
    )
