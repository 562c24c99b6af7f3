"""The policy `learned`, which chooses targets by predicted quality and cost, within the limits that the guard sets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from rl_router_policy.artefact import Artefact
from rl_router_policy.artefacts import Artefacts
from rl_router_policy.decide import decide
from rl_router_policy.situation import Choice, Situation
from rl_router_policy.value import worth

from ..conversation.request import Request
from ..health import GuardVerdict, PolicyHealth
from ..routing.decide import Candidate, Decision, Limits, PastCall, PlannedCall, Policy, PolicySetup
from .artefact_folder import folder_of
from .explanation import explainer_of
from .situation import Terms, situation_of, terms_of

_LOG = logging.getLogger("rl_router")


@dataclass(frozen=True)
class _Serving:
    """An artefact, and what the configuration and the guard say about it. Each decision uses one such pair."""

    artefact: Artefact
    terms: Terms


class Learned:
    """A policy that decides in the process of the router API, without a call to the router model."""

    def __init__(self, setup: PolicySetup) -> None:
        self._setup, goal = setup, setup.routing.prefer
        self._value = worth(goal if isinstance(goal, str) else float(goal), setup.unit)
        # The guard may need a second to judge an artefact. The judgement is cached.
        self._artefacts = Artefacts(folder_of(setup.routing), "routing.artefacts", self._pair)
        if self._artefacts.refused is not None:
            _log(self._artefacts)
        self._explainer = explainer_of("learned", setup)
        self._serving = self._pair(self._artefacts.current)

    async def decide(
        self, conversation: Request, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[PastCall]
    ) -> Decision:
        """Returns the decision to call one target, or to select the answer of an earlier call.

        If no target is left to call, the decision contains only a `reason`. If no artefact is in use, or if an error in
        the policy prevents the decision, the decision contains a `reason`, and `failed` is true.
        """
        serving = self._serving
        if serving is None:
            return Decision(reason=self._artefacts.refused, failed=True)
        artefact, terms = serving.artefact, serving.terms
        try:
            situation = situation_of(conversation, candidates, limits, calls, terms)
            choice = decide(artefact, situation)
            return self._decision(situation, choice, terms.rulings.at(situation.value).guard)
        except Exception as error:  # noqa: BLE001 (an error in the policy must not fail a request)
            reason = f"the policy `learned` failed: {type(error).__name__}: {error}"
            fields = {"request_id": limits.ledger.request_id, "artefact": artefact.hash}
            _LOG.error("%s", reason, exc_info=error, extra={"fields": fields})
            return Decision(reason=reason, failed=True)

    async def refresh(self) -> None:
        """Reads the newest artefact if it has changed."""
        if await self._artefacts.refresh():
            _log(self._artefacts)
        current = self._artefacts.current
        if current is not (self._serving.artefact if self._serving else None):
            self._serving = self._pair(current)

    def health(self) -> PolicyHealth:
        """Returns the artefact in use, the guard's verdict, and the reason if the newest artefact is not in use."""
        refused, serving = self._artefacts.refused, self._serving
        return PolicyHealth(
            name="learned",
            state="bad" if refused else "ok",
            artefact=serving.artefact.hash if serving else None,
            guard=serving.terms.rulings.at(self._value).guard if serving else None,
            reason=refused,
        )

    def _pair(self, artefact: Artefact | None) -> _Serving | None:
        return None if artefact is None else _Serving(artefact, terms_of(self._setup, artefact.claims))

    def _decision(self, situation: Situation, choice: Choice, guard: GuardVerdict) -> Decision:
        if choice.select is not None:
            return Decision(select=choice.select)
        explanation = self._explainer.explain(situation, choice, guard)
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
