"""Selects the changed conditions that the operator reports in Events about a RouterDeployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..objects.manifest import Manifest
from .reasons import INTENDED, PROGRESS


def news(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Manifest]:
    """Returns the changed conditions in the status `after` that need an Event.

    A changed condition is missing in `before`, or has another status or reason there. A condition whose reason is in
    the set `PROGRESS` gets no Event, because nothing is wrong or the state usually passes without intervention. If the
    condition Ready becomes True, Degraded is the only other True condition that can get an Event. If Ready is not True
    and another condition has the same reason, Ready gets no Event.
    """
    known = [identity(condition) for condition in before.get("conditions", ())]
    new = [condition for condition in after.get("conditions", ()) if identity(condition) not in known]
    causes = {condition["reason"] for condition in after.get("conditions", ()) if condition["type"] != "Ready"}
    is_ready = any((condition["type"], condition["status"]) == ("Ready", "True") for condition in new)
    return [condition for condition in new if _is_news(condition, causes, is_ready=is_ready)]


def identity(condition: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns the type, the status and the reason of a condition. A new status or a new reason can cause an Event."""
    return condition["type"], condition.get("status"), condition.get("reason")


def is_warning(condition: Mapping[str, Any]) -> bool:
    """Returns whether a condition reports a fault.

    A state that the spec requests, such as a suspended router, is not a fault. The status Unknown is no fault either.
    """
    is_bad = condition["status"] == ("True" if condition["type"] == "Degraded" else "False")
    return is_bad and condition["reason"] not in INTENDED


def _is_news(condition: Mapping[str, Any], causes: set[str], *, is_ready: bool) -> bool:
    if condition["reason"] in PROGRESS:
        return False
    if condition["type"] == "Ready":
        return condition["status"] == "True" or condition["reason"] not in causes
    return not (is_ready and condition["status"] == "True" and condition["type"] != "Degraded")
