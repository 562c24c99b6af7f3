"""Ready: ModelReady, APIReady and TargetsReady are all True."""

from __future__ import annotations

from dataclasses import replace

from ..objects.routerdeployment import PAUSED, RouterDeployment
from .conditions import Finding, found
from .reasons import Reason

TYPE = "Ready"
_PAUSED = f"Paused: its children are left as they are while the annotation {PAUSED} is true."


def finding(router: RouterDeployment, model: Finding, api: Finding, targets: Finding, url: str) -> Finding:
    """What is False is told before what is not known, and then what the rest depends on first."""
    unmet = [each for each in (model, api, targets) if each.status == "False"]
    unknown = [each for each in (api, model, targets) if each.status == "Unknown"]
    if router.spec.suspend:
        result = found(TYPE, "False", Reason.SUSPENDED, "suspended: no pods run, storage and Services are kept")
    elif unmet or unknown:
        result = replace((unmet or unknown)[0], type=TYPE)
    else:
        result = found(TYPE, "True", Reason.SERVING, f"the router decides and serves at {url}")
    return replace(result, message=f"{result.message} {_PAUSED}") if router.paused else result
