"""Runs the turns of a request: follows the policy's decisions, or else calls the targets in the fallback order."""

from __future__ import annotations

from collections.abc import Sequence

from ..accounting.ledger import Strategy
from ..conversation.answer import Answer
from ..conversation.request import Request
from .calls import Calls
from .candidates import Callee
from .choose import selected
from .decide import Decision, Limits, Policy, record
from .outcome import MadeCall, Outcome
from .plan import ReadyCall


class Turns:
    """The turns of one request. In each turn, the policy decides, and the router follows this decision."""

    def __init__(self, request: Request, policy: Policy, limits: Limits, calls: Calls) -> None:
        self._request = request
        self._policy = policy
        self._limits = limits
        self._ledger = limits.ledger
        self._calls = calls

    async def answer(self, callees: Sequence[Callee]) -> Outcome | None:
        """Returns the answer to which the policy's decisions lead, or else the answer of the method `_by_fallback`.

        Returns None if no target answered. Raises ApiError in the same cases as the method `Calls.make`.
        """
        return await self._by_decisions(callees) or await self._by_fallback()

    async def commit(self, call: ReadyCall, strategy: Strategy) -> Outcome | None:
        """Makes one call and returns the answer of the call without a review.

        Returns None if the call failed. Raises ApiError in the same cases as the method `Calls.make`.
        """
        made = await self._calls.make(call, live=self._request.stream)
        return self.chosen(made, strategy) if made.good else None

    def chosen(self, call: MadeCall, strategy: Strategy) -> Outcome:
        """Returns the outcome with the answer of `call`, and records in the ledger that this answer was chosen."""
        self._ledger.chosen(strategy, call.entry, call.callee.name)
        return Outcome(call.callee.name, call.entry, call.answer, call.chunks, call.stream)

    async def _by_decisions(self, callees: Sequence[Callee]) -> Outcome | None:
        """Follows the policy's decisions turn by turn. Returns None if no decision led to an answer."""
        while not self._limits.is_last_turn:
            if self._calls.made:
                callees = self._calls.remaining()
            if not callees and not self._calls.completed:
                return None
            self._ledger.turns += 1
            decision = await self._decide(callees)
            outcome = await self._follow(decision, callees)
            if outcome or not decision.calls:
                return outcome
        return None

    async def _decide(self, callees: Sequence[Callee]) -> Decision:
        candidates = [callee.as_candidate() for callee in callees]
        past = [call.as_past() for call in self._calls.made]
        decision = await self._policy.decide(self._request, candidates, self._limits, past)
        record(decision, self._ledger)
        return decision

    async def _follow(self, decision: Decision, callees: Sequence[Callee]) -> Outcome | None:
        completed = self._calls.completed
        if decision.direct is not None:
            return self._direct(decision.direct)
        if decision.select is not None and (call := selected(decision.select, self._calls.made)):
            return self.chosen(call, "select_response")
        if not decision.calls or decision.select is not None:
            return self.chosen(completed, "last_response") if completed else None
        if completed and self._limits.is_last_turn:
            return self.chosen(completed, "max_turns_reached")
        possible = self._calls.possible(decision.calls, {callee.name for callee in callees})
        if not possible:
            return self.chosen(completed, "last_response") if completed else None
        if self._commits(decision, possible):
            return await self.commit(possible[0], "committed")
        await self._calls.make_all(possible)
        return None

    def _commits(self, decision: Decision, possible: Sequence[ReadyCall]) -> bool:
        """Returns whether the client gets the answer of the first possible call without a review by the policy."""
        limits = self._limits
        if decision.final or limits.review == "never" or limits.is_last_turn:
            return True
        first = not self._calls.completed
        return self._request.stream and limits.review == "buffered" and len(possible) == 1 and first

    async def _by_fallback(self) -> Outcome | None:
        """Returns a completed answer, or else calls the targets in the fallback order until a target answers.

        Returns None if no target answered.
        """
        if self._calls.completed:
            return self.chosen(self._calls.completed, "last_response")
        while (order := self._calls.in_fallback_order()) and self._calls.left > 0:
            outcome = await self.commit(self._calls.ready(order[0]), "fallback")
            if outcome:
                return outcome
        return None

    def _direct(self, answer: Answer) -> Outcome:
        """Returns the policy's own answer as the outcome."""
        entry = self._ledger.router_calls[-1] if self._ledger.router_calls else None
        self._ledger.chosen("direct_response", None, entry.model_id if entry else "router")
        return Outcome(None, entry, answer)
