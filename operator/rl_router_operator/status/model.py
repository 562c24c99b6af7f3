"""Computes the condition ModelReady, which is True if the router model returns valid decisions or is not used.

If the operator hosts the router model, ModelReady also requires a ready model pod.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ..objects.manifest import condition
from ..objects.routerdeployment import RouterDeployment
from .conditions import Finding, make_finding, previous_finding
from .reasons import Reason
from .reports import Reports
from .tiers import Tier
from .warnings import time_of

TYPE = "ModelReady"
_RETRIED_WITHIN = timedelta(seconds=120)
"""The usual maximum time from the readiness of a model pod to the end of the API's next request to the router model.

After a failed request, the API asks the router model again every 30 s. By default, a decision of llama.cpp may take
up to 60 s.
"""
_FROM_REPORTS = frozenset({Reason.DECIDING, Reason.NOT_DECIDING})
"""The reasons that ModelReady keeps while API pods are ready but none has a confirmed health.

A hosted router model must also serve requests. Otherwise, ModelReady gets the reason why the router model does not.
"""


def finding(router: RouterDeployment, tier: Tier, reports: Reports, now: datetime) -> Finding:
    """Returns the condition ModelReady.

    If the router model is external, the condition ModelReady depends only on the health reports of the API pods.
    """
    external = router.spec.model.external
    if router.spec.suspend and not external:
        return make_finding(TYPE, "False", Reason.SUSPENDED, "no model pods exist, because the router is suspended")
    if not external and not tier.serves:
        reason, cause = tier.obstacle
        return make_finding(TYPE, "Unknown" if tier.is_hidden else "False", reason, cause)
    subject = "the external router model" if external else f"the router model ({tier.counts} pods ready)"
    if reports.pending and (old := previous_finding(router.status, TYPE, _FROM_REPORTS)):
        return old
    return _by_decision(subject, reports, is_retried=bool(external) or not _is_new(tier, now))


def _by_decision(subject: str, reports: Reports, *, is_retried: bool) -> Finding:
    """Returns the condition ModelReady according to the health reports of the API pods.

    The parameter `is_retried` is True if the router model is external, or if the API has had time to ask the router
    model for a decision since a pod of the router model became ready.
    """
    state = reports.router_model
    if state.word == "ok":
        return make_finding(TYPE, "True", Reason.DECIDING, f"{subject} returns valid decisions")
    if state.word == "unused":
        return make_finding(
            TYPE, "True", Reason.UNUSED, f"{subject} is not used by the policy in `spec.routing.policy`"
        )
    if state.word == "bad" and is_retried:
        return make_finding(TYPE, "False", Reason.NOT_DECIDING, f"{subject} returns no valid decision: {state.reason}")
    message = f"no ready API pod reports a decision of {subject}"
    message += f": {state.reason}" if state.reason else ""
    return make_finding(TYPE, "Unknown", Reason.UNCONFIRMED, message)


def _is_new(tier: Tier, now: datetime) -> bool:
    """Returns whether the API may not have asked any ready pod yet, because all of them became ready only recently."""
    times = [time_of(condition(pod, "Ready")["lastTransitionTime"]) for pod in tier.ready]
    return now - min(times) <= _RETRIED_WITHIN
