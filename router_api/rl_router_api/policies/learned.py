"""The policy `learned`: predicts the quality and the cost of each target's answer, and calls the best target."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rl_router_policy.artefacts import Artefacts
from rl_router_policy.decide import decide
from rl_router_policy.situation import Choice, Situation

from ..conversation.request import Request
from ..health import PolicyHealth
from ..routing.decide import Candidate, Decision, Limits, PastCall, PlannedCall, Policy, PolicySetup
from .artefact_folder import folder_of
from .explanation import explainer_of
from .situation import situation_of, terms_of

_LOG = logging.getLogger("rl_router")


class Learned:
    """A policy that decides in the process of the router API, without a call to the router model."""

    def __init__(self, setup: PolicySetup) -> None:
        self._artefacts = Artefacts(folder_of(setup.routing), "routing.artefacts")
        if self._artefacts.refused is not None:
            _log(self._artefacts)
        self._terms = terms_of(setup)
        self._explainer = explainer_of("learned", setup, self._terms)

    async def decide(
        self, conversation: Request, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[PastCall]
    ) -> Decision:
        """Returns the decision to call one target, or to select the answer of an earlier call.

        If no target is left to call, the decision contains only a `reason`. If an error in the policy prevents the
        decision, the decision contains a `reason`, and `failed` is true.
        """
        artefact = self._artefacts.current
        if artefact is None:
            return Decision(reason=self._artefacts.refused, failed=True)
        try:
            situation = situation_of(conversation, candidates, limits, calls, self._terms)
            choice = decide(artefact, situation)
            return self._decision(situation, choice)
        except Exception as error:  # noqa: BLE001 (an error in the policy must not fail a request)
            reason = f"the policy `learned` failed: {type(error).__name__}: {error}"
            fields = {"request_id": limits.ledger.request_id, "artefact": artefact.hash}
            _LOG.error("%s", reason, exc_info=error, extra={"fields": fields})
            return Decision(reason=reason, failed=True)

    async def refresh(self) -> None:
        """Reads the newest artefact if it has changed."""
        if await self._artefacts.refresh():
            _log(self._artefacts)

    def health(self) -> PolicyHealth:
        """Returns the artefact in use, the guard's verdict, and the reason if the newest artefact is not in use."""
        refused, artefact = self._artefacts.refused, self._artefacts.current
        return PolicyHealth(
            name="learned",
            state="bad" if refused else "ok",
            artefact=artefact.hash if artefact else None,
            guard=self._explainer.guard,
            reason=refused,
        )

    def _decision(self, situation: Situation, choice: Choice) -> Decision:
        if choice.select is not None:
            return Decision(select=choice.select)
        explanation = self._explainer.explain(situation, choice)
        if explanation is None:
            return Decision(reason=choice.reason)
        return Decision(calls=(PlannedCall(explanation["chosen"]),), final=True, explanation=explanation)


def _log(artefacts: Artefacts) -> None:
    if artefacts.refused is not None:
        _LOG.error("%s", artefacts.refused)
    elif artefacts.current is not None:
        fields = {"artefact": artefacts.current.hash}
        _LOG.info("the policy uses the newest artefact", extra={"fields": fields})


def create(setup: PolicySetup) -> Policy:
    """Returns the policy `learned` for a configuration."""
    return Learned(setup)
