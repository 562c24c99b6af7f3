"""APIReady: API pods are ready and report their health."""

from __future__ import annotations

from ..objects.naming import ADMIN_PORT
from ..objects.routerdeployment import RouterDeployment
from .conditions import Finding, found, said_before
from .reasons import Reason
from .reports import Reports
from .tiers import Tier

TYPE = "APIReady"
_HEARD = frozenset({Reason.SERVING, Reason.UNREACHABLE})


def finding(router: RouterDeployment, tier: Tier, reports: Reports) -> Finding:
    """Pods that the kubelet calls ready and that cannot be asked are neither good nor bad."""
    if router.spec.suspend:
        return found(TYPE, "False", Reason.SUSPENDED, "suspended: the API has no pods")
    if not tier.serves:
        reason, cause = tier.obstacle
        return found(TYPE, "Unknown" if tier.is_hidden else "False", reason, cause)
    old = said_before(router.status, TYPE, _HEARD)
    if reports.heard or (reports.pending and old and old.reason is Reason.SERVING):
        return found(TYPE, "True", Reason.SERVING, f"{tier.counts} pods of the API are ready")
    if reports.silent:
        pod, why = reports.silent[0]
        return found(TYPE, "Unknown", Reason.UNREACHABLE, f"port {ADMIN_PORT} of pod {pod} cannot be asked: {why}")
    return old or found(TYPE, "Unknown", Reason.UNCONFIRMED, "the API's pods are ready and were not asked yet")
