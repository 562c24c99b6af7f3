"""Computes the status of a RouterDeployment from the observed state, with pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..objects.manifest import Manifest
from ..objects.naming import selector
from ..objects.observed import Observed
from ..objects.routerdeployment import RouterDeployment
from ..schema import RouterDeploymentStatus
from . import api, degraded, model, ready, targets
from .child_faults import child_faults
from .conditions import Finding, make_finding, merge
from .reasons import Reason
from .reports import reports_of
from .tiers import Tier, tier_of
from .url import url_of
from .words import quote

__all__ = ["Reason", "invalid", "status_of"]


def status_of(router: RouterDeployment, observed: Observed, now: datetime) -> dict[str, Any]:
    """Returns the new status of a RouterDeployment, without the field `operator`.

    If nothing has changed, the new status equals the previous status apart from the field `operator`.
    """
    tiers = tier_of(router, "model", observed, now), tier_of(router, "api", observed, now)
    url = url_of(router, observed)
    model_tier, api_tier = tiers
    status = RouterDeploymentStatus(
        observed_generation=router.generation,
        conditions=merge(_findings(router, observed, tiers, url, now), router.status, router.generation, now),
        replicas=_replicas(api_tier.workload),
        selector=_selector(router.name),
        model="external" if router.spec.model.external else model_tier.counts,
        api=api_tier.counts,
        url=url,
        targets=targets.states(router, reports_of(api_tier.ready, observed.healths)),
    )
    return _dump(status)


def invalid(body: Manifest, message: str, now: datetime) -> dict[str, Any]:
    """Returns the status of a RouterDeployment whose spec the operator cannot use.

    The status has new `conditions` and a new `observedGeneration`. Every other field of the previous status keeps its
    value.
    """
    metadata, before = body["metadata"], body.get("status") or {}
    generation = metadata.get("generation", 0)
    conditions = merge(_invalid_findings(quote(message)), before, generation, now)
    status = RouterDeploymentStatus(
        observed_generation=generation, conditions=conditions, selector=_selector(metadata["name"])
    )
    return {**_dump(status), **_kept(before)}


def _findings(
    router: RouterDeployment, observed: Observed, tiers: tuple[Tier, Tier], url: str, now: datetime
) -> tuple[Finding, ...]:
    reports = reports_of(tiers[1].ready, observed.healths)
    states = targets.states(router, reports)
    model_ready = model.finding(router, tiers[0], reports, now)
    api_ready = api.finding(router, tiers[1], reports)
    targets_ready = targets.finding(router, states, reports)
    all_ready = ready.finding(router, model_ready, api_ready, targets_ready, url)
    problems = (*observed.errors, *child_faults(router, observed, now))
    faults = degraded.finding(router, tiers, reports, states, problems, now)
    return model_ready, api_ready, targets_ready, all_ready, faults


def _invalid_findings(message: str) -> tuple[Finding, ...]:
    unknown = (make_finding(module.TYPE, "Unknown", Reason.INVALID_SPEC, message) for module in (model, api, targets))
    return (
        *unknown,
        make_finding(ready.TYPE, "False", Reason.INVALID_SPEC, message),
        make_finding(degraded.TYPE, "True", Reason.INVALID_SPEC, message),
    )


def _kept(before: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in before.items() if key not in ("observedGeneration", "conditions")}


def _selector(name: str) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector(name, "api").items()))


def _replicas(workload: Manifest | None) -> int:
    return int((workload or {}).get("status", {}).get("replicas", 0))


def _dump(status: RouterDeploymentStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
