"""What a person should notice about a new status: the conditions that become Events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..objects.manifest import Manifest
from .reasons import AS_ASKED, UNDER_WAY


def news(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Manifest]:
    """Returns the conditions of the status `after` that a person should notice: those with a new status or reason.

    Progress is no news. Ready that becomes True speaks for the conditions that it depends on, and those speak for Ready
    if it is not True for their reason.
    """
    known = [identity(condition) for condition in before.get("conditions", ())]
    new = [condition for condition in after.get("conditions", ()) if identity(condition) not in known]
    causes = {condition["reason"] for condition in after.get("conditions", ()) if condition["type"] != "Ready"}
    is_ready = any((condition["type"], condition["status"]) == ("Ready", "True") for condition in new)
    return [condition for condition in new if _is_news(condition, causes, is_ready=is_ready)]


def identity(condition: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns what makes a condition another one than before: its type, status and reason."""
    return condition["type"], condition.get("status"), condition.get("reason")


def is_warning(condition: Mapping[str, Any]) -> bool:
    """Returns whether a condition is a fault that nobody asked for."""
    is_bad = condition["status"] == ("True" if condition["type"] == "Degraded" else "False")
    return is_bad and condition["reason"] not in AS_ASKED


def _is_news(condition: Mapping[str, Any], causes: set[str], *, is_ready: bool) -> bool:
    if condition["reason"] in UNDER_WAY:
        return False
    if condition["type"] == "Ready":
        return condition["status"] == "True" or condition["reason"] not in causes
    return not (is_ready and condition["status"] == "True" and condition["type"] != "Degraded")
