"""Always calls the first target of the fallback order that can serve the request. Deciding costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ..conversation.request import Request
from ..routing.decide import Candidate, Decision, Limits, PastCall, PlannedCall, Policy, PolicySetup, fallback_order


class Fixed:
    """Commits to the first candidate that has not failed yet."""

    def __init__(self, fallback: Sequence[str]) -> None:
        self._fallback = fallback

    async def decide(
        self, conversation: Request, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[PastCall]
    ) -> Decision:
        """Returns a decision for the first candidate of the fallback order, or none if it names no candidate."""
        order = fallback_order(candidates, limits.prefer, self._fallback)
        if not order:
            return Decision(reason="no target of `routing.fallback` can serve the request")
        return Decision(calls=(PlannedCall(order[0].name),), final=True)


def create(setup: PolicySetup) -> Policy:
    """Returns the policy of a configuration."""
    return Fixed(setup.routing.fallback)
