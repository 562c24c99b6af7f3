"""Always the same model: the first of the fallback order that can serve the request. Costs nothing, asks nobody."""

from __future__ import annotations

from collections.abc import Sequence

from ..dialects.chat.read_request import ChatRequest
from ..routing.candidates import Candidate, fallback_order
from ..routing.decide import Asked, Decision, PlannedCall, Policy
from ..routing.limits import Limits
from ..upstreams.fleet import Fleet


class Fixed:
    """Commits to the first candidate that has not failed yet."""

    def __init__(self, fallback: Sequence[str]) -> None:
        self._fallback = fallback

    async def decide(
        self, conversation: ChatRequest, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[Asked]
    ) -> Decision:
        """The first of the order; nothing where the order names none of the candidates."""
        order = fallback_order(candidates, limits.prefer, self._fallback)
        if not order:
            return Decision(problem="no model of `routing.fallback` can serve the request")
        return Decision(calls=(PlannedCall(order[0].name),), final=True)


def create(fleet: Fleet) -> Policy:
    """As every policy file has."""
    return Fixed(fleet.routing.fallback)
