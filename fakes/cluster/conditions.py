"""Reads the conditions of a RouterDeployment's status."""

from __future__ import annotations

from typing import Any

HEALTHY = {
    "ModelReady": ("True", "Deciding"),
    "APIReady": ("True", "Serving"),
    "TargetsReady": ("True", "TargetsReachable"),
    "Ready": ("True", "Serving"),
    "Degraded": ("False", "NoFault"),
}
"""The status and reason of each condition of a healthy router."""


def condition_of(status: dict[str, Any], type_: str) -> dict[str, Any]:
    """Returns the condition of the type `type_` in the status of a RouterDeployment.

    Raises ValueError if the status does not have exactly one condition of the type `type_`.
    """
    (match,) = [condition for condition in status["conditions"] if condition["type"] == type_]
    return dict(match)


def state_of(status: dict[str, Any], type_: str) -> tuple[str, str]:
    """Returns the status and the reason of the condition of the type `type_`."""
    condition = condition_of(status, type_)
    return condition["status"], condition["reason"]
