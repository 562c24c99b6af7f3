"""The status of a RouterDeployment: pure functions from what is observed to conditions."""

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
from .conditions import Finding, found, merged
from .reasons import Reason
from .reports import reports_of
from .tiers import Tier, tier_of
from .url import url_of
from .words import quote

__all__ = ["Reason", "invalid", "status_of"]


def status_of(router: RouterDeployment, observed: Observed, now: datetime) -> dict[str, Any]:
    """The status, as it is written; equal to the one before where nothing has changed."""
    tiers = tier_of(router, "model", observed, now), tier_of(router, "api", observed, now)
    url = url_of(router, observed)
    of_model, of_api = tiers
    status = RouterDeploymentStatus(
        observed_generation=router.generation,
        conditions=merged(_findings(router, observed, tiers, url, now), router.status, router.generation, now),
        replicas=_replicas(of_api.workload),
        selector=_selector(router.name),
        model="external" if router.spec.model.external else of_model.counts,
        api=of_api.counts,
        url=url,
        targets=targets.states(router, reports_of(of_api.ready, observed.healths)),
    )
    return _written(status)


def invalid(body: Manifest, message: str, now: datetime) -> dict[str, Any]:
    """The status of an object whose spec cannot be used: what was known of its children stays."""
    metadata, before = body["metadata"], body.get("status") or {}
    generation = metadata.get("generation", 0)
    conditions = merged(_unusable(quote(message)), before, generation, now)
    status = RouterDeploymentStatus(
        observed_generation=generation, conditions=conditions, selector=_selector(metadata["name"])
    )
    return {**_written(status), **_kept(before)}


def _findings(
    router: RouterDeployment, seen: Observed, tiers: tuple[Tier, Tier], url: str, now: datetime
) -> tuple[Finding, ...]:
    reports = reports_of(tiers[1].ready, seen.healths)
    states = targets.states(router, reports)
    of_model = model.finding(router, tiers[0], reports, now)
    of_api = api.finding(router, tiers[1], reports)
    of_targets = targets.finding(router, states, reports)
    of_all = ready.finding(router, of_model, of_api, of_targets, url)
    faults = degraded.finding(router, tiers, reports, states, seen.errors, now)
    return of_model, of_api, of_targets, of_all, faults


def _unusable(message: str) -> tuple[Finding, ...]:
    unknown = (found(each.TYPE, "Unknown", Reason.INVALID_SPEC, message) for each in (model, api, targets))
    return (
        *unknown,
        found(ready.TYPE, "False", Reason.INVALID_SPEC, message),
        found(degraded.TYPE, "True", Reason.INVALID_SPEC, message),
    )


def _kept(before: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in before.items() if key not in ("observedGeneration", "conditions")}


def _selector(name: str) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector(name, "api").items()))


def _replicas(workload: Manifest | None) -> int:
    return int((workload or {}).get("status", {}).get("replicas", 0))


def _written(status: RouterDeploymentStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
