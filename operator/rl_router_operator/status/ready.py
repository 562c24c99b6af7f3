"""Computes the condition Ready, which is True if ModelReady, APIReady and TargetsReady are True."""

from __future__ import annotations

from dataclasses import replace

from ..objects.routerdeployment import PAUSED, RouterDeployment
from .conditions import Finding, make_finding
from .reasons import Reason

TYPE = "Ready"
_PAUSED = f"Paused: the operator changes no child objects while the annotation {PAUSED} is true."


def finding(router: RouterDeployment, model: Finding, api: Finding, targets: Finding, url: str) -> Finding:
    """Returns the condition Ready, which is True if ModelReady, APIReady and TargetsReady are True.

    Ready is False while the router is suspended. Otherwise, Ready copies the first of the conditions ModelReady,
    APIReady and TargetsReady that is False, or else the first of APIReady, ModelReady and TargetsReady that is Unknown.
    An unknown APIReady comes first, because only API pods can report the states of the router model and the targets.
    """
    unmet = [finding for finding in (model, api, targets) if finding.status == "False"]
    unknown = [finding for finding in (api, model, targets) if finding.status == "Unknown"]
    if router.spec.suspend:
        result = make_finding(
            TYPE, "False", Reason.SUSPENDED, "the router is suspended: no pods run, but storage and Services are kept"
        )
    elif unmet or unknown:
        result = replace((unmet or unknown)[0], type=TYPE)
    else:
        result = make_finding(TYPE, "True", Reason.SERVING, f"the router makes decisions and serves requests at {url}")
    return replace(result, message=f"{result.message} {_PAUSED}") if router.paused else result
