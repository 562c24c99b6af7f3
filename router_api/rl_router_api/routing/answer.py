"""Routes a request, and returns the answer, or the stream of an answer that has begun, within the deadline.

For a preview of a request, the policy decides, but the router calls no target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from ..conversation.affinity import affinity_of
from ..conversation.request import Request
from ..errors import ApiError
from ..timing import Until
from ..upstreams.fleet import Fleet
from .calls import Calls
from .candidates import Callee, Verdict, check_targets, eligible_targets
from .choose import nobody_answered
from .decide import Decision, Limits, Policy, fallback_order, record
from .model_names import pinned_target
from .outcome import Outcome
from .turns import Turns

_DEADLINE_REMEDY = (
    "Raise the request's `router.deadline_ms` or the server's `routing.deadline`, whichever is lower, or use faster"
    " models."
)


class Preview(Struct, frozen=True):
    """The result of a preview: the policy's decision, a verdict on every target, and the fallback order."""

    decision: Decision
    verdicts: Sequence[Verdict]
    order: Sequence[Callee]


class Answerer:
    """Answers requests with the targets and the policies of one configuration.

    The function `policy_named` returns the policy with the given name, or the configured policy if the name is None.
    The function `policy_named` raises ApiError if the name is unknown.
    """

    def __init__(self, fleet: Fleet, policy_named: Callable[[str | None], Policy]) -> None:
        self._fleet = fleet
        self._policy_named = policy_named

    async def answer(self, request: Request, limits: Limits) -> Outcome:
        """Returns the answer to a request. Raises ApiError if the request is invalid, or if no model answers."""
        pinned = pinned_target(request, self._fleet)
        policy = self._policy_named(request.options.policy)
        calls = Calls(request, self._fleet, limits, is_pinned=pinned is not None)
        turns = Turns(request, policy, limits, calls)
        try:
            with Until(limits.deadline):
                callees = self._callees(request, limits, pinned)
                obvious = callees[0] if pinned is not None else _obvious_target(request, callees)
                outcome = await turns.commit(calls.ready(obvious), "pinned") if obvious else None
                if outcome is None and pinned is None:
                    outcome = await turns.answer(callees)
        except TimeoutError:
            if calls.completed is not None:
                return turns.chosen(calls.completed, "timeout")
            message = f"No model answered within the deadline of {limits.duration:g} s. {_DEADLINE_REMEDY}"
            raise ApiError(504, message, code="deadline_exceeded", retryable=False) from None
        if outcome is None:
            raise self._failure(request, limits, calls)
        return outcome

    async def preview(self, request: Request, limits: Limits) -> Preview:
        """Calls the policy once, even if the request is pinned to a target.

        Returns the policy's decision, a verdict on every target, and the fallback order. Raises ApiError if the request
        is invalid, if no target can serve the request, or if the deadline passes.
        """
        pinned_target(request, self._fleet)
        policy = self._policy_named(request.options.policy)
        verdicts = check_targets(request, limits, self._fleet.targets)
        callees = eligible_targets(request, limits, verdicts)
        limits.ledger.turns = 1
        try:
            with Until(limits.deadline):
                decision = await policy.decide(request, [callee.as_candidate() for callee in callees], limits, ())
        except TimeoutError:
            message = f"The policy did not decide within the deadline of {limits.duration:g} s. {_DEADLINE_REMEDY}"
            raise ApiError(504, message, code="deadline_exceeded", retryable=False) from None
        record(decision, limits.ledger)
        order = fallback_order(callees, limits.prefer, self._fleet.routing.fallback)
        return Preview(decision, verdicts, order)

    def _callees(self, request: Request, limits: Limits, pinned: str | None) -> list[Callee]:
        """Returns the targets that can serve the request, or only the pinned target if `pinned` is not None.

        Raises ApiError if none of these targets can serve the request.
        """
        only = self._fleet.target(pinned) if pinned is not None else None
        return eligible_targets(
            request, limits, check_targets(request, limits, [only] if only else self._fleet.targets)
        )

    def _failure(self, request: Request, limits: Limits, calls: Calls) -> ApiError:
        """Returns the error for the client if no target answered.

        Raises ApiError if no call was made and no target can serve the request.
        """
        if not calls.made:
            self._callees(request, limits, None)
        return nobody_answered(calls.made)


def _obvious_target(request: Request, callees: Sequence[Callee]) -> Callee | None:
    """Returns the only eligible target, or the eligible target that matches the affinity of the request.

    Returns None if the policy must choose between several targets.
    """
    if len(callees) == 1:
        return callees[0]
    affinity = request.affinity
    return next((callee for callee in callees if affinity_of(callee.name) == affinity), None) if affinity else None
