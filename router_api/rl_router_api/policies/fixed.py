"""The policy `fixed`: calls the first target of the fallback order that can serve the request."""

from __future__ import annotations

from collections.abc import Sequence

from ..conversation.request import Request
from ..routing.decide import Candidate, Decision, Limits, PastCall, PlannedCall, Policy, PolicySetup, fallback_order


class Fixed:
    """A policy that chooses the first candidate of the fallback order, without a call to the router model."""

    def __init__(self, fallback: Sequence[str]) -> None:
        self._fallback = fallback

    async def decide(
        self, conversation: Request, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[PastCall]
    ) -> Decision:
        """Returns the decision to call the first candidate of the fallback order.

        If the fallback order contains no candidate, the decision contains only a `reason`.
        """
        order = fallback_order(candidates, limits.prefer, self._fallback)
        if not order:
            return Decision(reason="no target in `routing.fallback` can serve the request. Add a suitable target")
        return Decision(calls=(PlannedCall(order[0].name),), final=True)


def create(setup: PolicySetup) -> Policy:
    """Returns the policy `fixed` for a configuration."""
    return Fixed(setup.routing.fallback)
