"""Explains the decisions of a learned policy in the field `decision` of `router_metadata`.

This module does not import the libraries of the policy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..health import GuardVerdict
from ..routing.decide import PolicySetup

if TYPE_CHECKING:
    from rl_router_policy.situation import Choice, Situation


@dataclass(frozen=True)
class Explainer:
    """Builds explanations from the fields that are equal in all explanations under one configuration."""

    policy: str
    configuration: str
    unit: float | None

    def explain(self, situation: Situation, choice: Choice, guard: GuardVerdict) -> dict[str, Any] | None:
        """Returns the explanation of a choice, or None if the choice is not a target.

        The argument `guard` is the verdict at the situation's value of a good answer. Unless the guard is off,
        the explanation of a situation without a target that has evidence has the verdict `unproven`.
        """
        chosen = next((each for each in situation.candidates if each.tool == choice.tool), None)
        if chosen is None:
            return None
        return {
            "policy": self.policy,
            "artefact": choice.artefact,
            "configuration": self.configuration,
            "guard": {**guard.model_dump(), "verdict": situation.guard},
            "value": _short(situation.value),
            "unit": _short(self.unit),
            "explored": False,
            "chosen": chosen.target,
            "reason": choice.reason,
            "candidates": _candidates(situation, choice),
        }


def explainer_of(policy: str, setup: PolicySetup) -> Explainer:
    """Returns the `Explainer` of a policy under a configuration."""
    return Explainer(policy, _identity(setup), setup.unit)


def _candidates(situation: Situation, choice: Choice) -> list[dict[str, Any]]:
    by_tool = {candidate.tool: candidate for candidate in situation.candidates}
    return [
        {
            "target": by_tool[estimate.tool].target,
            "effort": by_tool[estimate.tool].effort,
            "quality": round(estimate.quality, 4),
            "preference": round(estimate.preference, 4),
            "cost": _short(estimate.cost),
            "latency": _short(by_tool[estimate.tool].latency),
            "propensity": float(estimate.tool == choice.tool),
        }
        for estimate in choice.candidates
    ]


def _short(number: float | None) -> float | None:
    """Returns a number rounded to six significant digits, or None if the number is None."""
    return None if number is None else float(f"{number:.6g}")


def _identity(setup: PolicySetup) -> str:
    """Returns a hash of the parts of the configuration on which decisions depend."""
    fields = {"name", "model", "price", "profile"}
    described = [target.model_dump(mode="json", include=fields) for target in setup.targets]
    content = json.dumps([setup.routing.model_dump(mode="json"), described], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
