"""The policy `learned`: predicts the quality and the cost of each target's answer, and calls the best target."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any

from rl_router_policy.artefact import Artefact
from rl_router_policy.decide import decide
from rl_router_policy.situation import Choice, Situation, Verdict

from ..config import Routing, Target
from ..conversation.request import Request
from ..health import GuardVerdict, PolicyHealth
from ..routing.decide import Candidate, Decision, Limits, PastCall, PlannedCall, Policy, PolicySetup
from .artefact_folder import folder_of
from .artefacts import Artefacts
from .situation import Terms, situation_of

_LOG = logging.getLogger("rl_router")


class Learned:
    """A policy that decides in the process of the router API, without a call to the router model."""

    def __init__(self, setup: PolicySetup) -> None:
        routing = setup.routing
        self._artefacts = Artefacts(folder_of(routing))
        self._configuration = _identity(routing, setup.targets)
        # No artefact can be proven yet.
        verdict: Verdict = "unproven" if routing.guard else "off"
        self._terms = Terms(setup.unit, float(routing.second_price), verdict, routing.fallback)
        self._guard = GuardVerdict(verdict=verdict)

    async def decide(
        self, conversation: Request, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[PastCall]
    ) -> Decision:
        """Returns the decision to call one target.

        If an error in the policy prevents the decision, the decision contains only a `reason`.
        """
        artefact = self._artefacts.current
        if artefact is None:
            return Decision(reason=self._artefacts.refused, failed=True)
        try:
            situation = situation_of(conversation, candidates, limits, calls, self._terms)
            choice = decide(artefact, situation)
            return self._decision(artefact, situation, choice)
        except Exception as error:  # noqa: BLE001 (an error in the policy must not fail a request)
            reason = f"the policy `learned` failed: {type(error).__name__}: {error}"
            fields = {"request_id": limits.ledger.request_id, "artefact": artefact.hash}
            _LOG.error("%s", reason, exc_info=error, extra={"fields": fields})
            return Decision(reason=reason, failed=True)

    async def refresh(self) -> None:
        """Reads the newest artefact if it has changed."""
        await self._artefacts.refresh()

    def health(self) -> PolicyHealth:
        """Returns the artefact in use and the guard's verdict, or why the newest artefact cannot be used."""
        refused, artefact = self._artefacts.refused, self._artefacts.current
        return PolicyHealth(
            name="learned",
            state="bad" if refused else "ok",
            artefact=artefact.hash if artefact else None,
            guard=self._guard,
            reason=refused,
        )

    def _decision(self, artefact: Artefact, situation: Situation, choice: Choice) -> Decision:
        if choice.select is not None:
            return Decision(select=choice.select)
        chosen = next((each for each in situation.candidates if each.tool == choice.tool), None)
        if chosen is None:
            return Decision(reason=choice.reason)
        explanation = {
            "policy": "learned",
            "artefact": artefact.hash,
            "configuration": self._configuration,
            "guard": self._guard.model_dump(),
            "value": _short(situation.value),
            "unit": _short(self._terms.unit),
            "explored": False,
            "chosen": chosen.target,
            "reason": choice.reason,
            "candidates": _explained(situation, choice),
        }
        return Decision(calls=(PlannedCall(chosen.target),), final=True, explanation=explanation)


def _explained(situation: Situation, choice: Choice) -> list[dict[str, Any]]:
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
    """Returns a number with six significant digits."""
    return None if number is None else float(f"{number:.6g}")


def _identity(routing: Routing, targets: Sequence[Target]) -> str:
    """Returns a hash of the parts of the configuration on which decisions depend."""
    described = [target.model_dump(mode="json", include={"name", "model", "price", "profile"}) for target in targets]
    content = json.dumps([routing.model_dump(mode="json"), described], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def create(setup: PolicySetup) -> Policy:
    """Returns the policy `learned` for a configuration."""
    return Learned(setup)
