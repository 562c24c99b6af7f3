"""Makes the calls to targets, with retries and, if `routing.hedge_after` is set, second calls when targets are slow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Coroutine, Sequence
from typing import Any

from ..accounting.ledger import Entry
from ..conversation.additions import FOREIGN_HISTORY, NO_ADVICE, Advice
from ..conversation.request import Request
from ..errors import CallFailedError
from ..upstreams.fleet import Fleet
from .attempts import attempt
from .candidates import Callee, check_target, check_targets
from .choose import first_refusal, is_malformed, last_good, refused_by_target
from .decide import Limits, PlannedCall, fallback_order
from .outcome import MadeCall
from .plan import ReadyCall, affordable, affordable_together, ready, within_free_slots
from .race import Race

_MAX_PAUSE = 2.0
"""The pause, in seconds, above which the router makes no retry at a target if other targets may still be called."""
_MAX_LAST_PAUSE = 10.0
"""The pause, in seconds, above which the router makes no retry at a target if no other target may be called."""
_JITTER = 0.2
"""The maximum random time, in seconds, that is added to a pause, so that retries do not start at the same moment."""


class Calls:
    """The calls to targets for one request. The parameter `is_pinned` is true if the request is pinned to a target."""

    def __init__(self, request: Request, fleet: Fleet, limits: Limits, *, is_pinned: bool) -> None:
        self._request = request
        self._fleet = fleet
        self._routing = fleet.routing
        self._limits = limits
        self._ledger = limits.ledger
        self._is_pinned = is_pinned
        self._failed: set[str] = set()
        self.made: list[MadeCall] = []

    @property
    def completed(self) -> MadeCall | None:
        """The last call that returned an answer, or None if no call has returned an answer yet."""
        return last_good(self.made)

    @property
    def left(self) -> int:
        """The number of attempts to call targets that the request may still make, with retries and second calls."""
        return self._limits.max_calls - len(self._ledger.target_calls)

    def remaining(self) -> list[Callee]:
        """Returns the targets that can serve the request and have not failed for the request."""
        targets = [pair for pair in self._fleet.targets if pair[0].name not in self._failed]
        return [
            verdict.callee for verdict in check_targets(self._request, self._limits, targets) if verdict.is_eligible
        ]

    def in_fallback_order(self) -> list[Callee]:
        """Returns the targets of the fallback order that may still be called for the request, in this order."""
        return fallback_order(self.remaining(), self._limits.prefer, self._routing.fallback)

    def possible(self, planned: Sequence[PlannedCall], offered: Collection[str]) -> list[ReadyCall]:
        """Returns the planned calls to eligible targets that free slots, money and the limit on calls allow together.

        The parameter `offered` contains the names of the targets that the policy was allowed to call. The targets
        are checked again, because, for example, other requests may have taken slots while the policy decided.
        """
        names = {call.target for call in planned if call.target in offered}
        verdicts = [
            check_target(self._request, self._limits, *pair) for name in names if (pair := self._fleet.target(name))
        ]
        # If one of the planned targets is eligible, the targets that are not planned need no check.
        eligible = [verdict.callee for verdict in verdicts if verdict.obstacle is None] or self.remaining()
        callees = {callee.name: callee for callee in eligible if callee.name in names}
        fitting = within_free_slots([(callees[call.target], call.advice) for call in planned if call.target in callees])
        return affordable_together(self._request, self._limits, self._routing, fitting[: max(self.left, 0)])

    def ready(self, callee: Callee, advice: Advice = NO_ADVICE) -> ReadyCall:
        """Returns a call that may spend all the remaining money of the request, if the request has a money limit."""
        return ready(self._request, self._limits, self._routing, callee, advice)

    async def make(self, call: ReadyCall, *, live: bool = False) -> MadeCall:
        """Makes one call. If `live` is true, a requested stream is passed through to the client.

        Raises ApiError if a target's rejection of the request is final (see the method `_raise_if_final`).
        """
        made = await self._make(call, live=live)
        self._raise_if_final()
        return made

    async def make_all(self, calls: Sequence[ReadyCall]) -> None:
        """Makes several calls at the same time. Raises ApiError in the same cases as the method `make`."""
        if len(calls) == 1:
            await self.make(calls[0])
            return
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(self._make(call, live=False))
        self._raise_if_final()

    def _raise_if_final(self) -> None:
        """Raises the error of the first target that rejected the request, if this rejection is final.

        If a call has succeeded, no rejection is final. Otherwise, a rejection is final if the request is malformed, or
        if another call fails later for a reason other than a missing slot or the money limit.
        """
        if self.completed:
            return
        called = [call for call in self.made if call.failure and call.failure.kind not in ("busy", "unaffordable")]
        first = first_refusal(called)
        if first is not None and (is_malformed(first) or called[-1] is not first):
            raise refused_by_target(first)

    def _make(self, call: ReadyCall, *, live: bool) -> Coroutine[Any, Any, MadeCall]:
        """Makes one call, and allows a second call to another target if the first target is slow.

        The second call requires that the field `routing.hedge_after` is set, that the request is not pinned, and that
        the request's attribute `affinity` is None.
        """
        wait = self._routing.hedge_after
        if wait is None or self._is_pinned or self._request.affinity is not None:
            return self._make_one(call, live=live)
        return self._raced(call, wait, live=live)

    async def _raced(self, call: ReadyCall, wait: float, *, live: bool) -> MadeCall:
        """Makes one call, and a second call if the first call still waits for an answer after `wait` seconds.

        Returns the first call that succeeds, or a failed call if no call succeeds. When one of the two calls succeeds,
        the other call is cancelled.
        """
        async with Race() as race:
            race.add(self._make_one(call, live=live))
            if not await race.any_ended(wait):
                race.add(self._hedge(call.callee.name, live=live))
            return await race.winner()

    async def _hedge(self, silent: str, *, live: bool) -> MadeCall | None:
        """Makes a second call. Returns None if the method `_hedge_for` returns no target for the second call.

        The target of the second call is chosen when the second call starts, so that simultaneous second calls of a
        request go to different targets.
        """
        second = self._hedge_for(silent)
        return await self._make_one(self.ready(second), live=live) if second else None

    def _hedge_for(self, silent: str) -> Callee | None:
        """Returns the first target of the fallback order without an in-flight call of the request.

        Returns None if no such target exists, or if the request may not make another call. Also returns None if the
        target `silent` has begun to answer or has no call in flight.
        """
        busy = {entry.model_id for entry in self._ledger.target_calls if entry.open}
        begun = {entry.model_id for entry in self._ledger.target_calls if entry.open and entry.first_byte}
        if self.left < 1 or silent not in busy - begun:
            return None
        return next((callee for callee in self.in_fallback_order() if callee.name not in busy), None)

    async def _make_one(self, call: ReadyCall, *, live: bool) -> MadeCall:
        """Makes one call, with up to three attempts at the same target.

        The attempt is repeated at most once after a failure that may pass, and at most once without the router's
        additions to the request if the target may have refused these additions.
        """
        refused_additions = call.callee.upstream.refused_additions
        omitted, is_retried = refused_additions.current, False
        without: tuple[str, ...] = ()
        refusal: dict[str, Any] = {}
        made = await self._attempt(call, live=live)
        while failure := made.failure:
            may_refuse = failure.may_refuse_additions and not without
            if may_refuse and (without := self._refusable(call.callee, made.entry, omitted)):
                refusal = failure.error
            elif not is_retried and self._is_worth_a_retry(call.callee, failure):
                is_retried = True
                await asyncio.sleep(_pause_before(failure))
            else:
                break
            # Other calls may have used up the limits, and the failed attempt may have cost money.
            again = self.ready(call.callee, call.advice)
            if self.left < 1 or not affordable(self._request, again):
                break
            made = await self._attempt(again, live=live, without=without)
        if made.good and without:
            refused_additions.remember(without, refusal, self._request)
        if not made.good:
            self._failed.add(call.callee.name)
        self.made.append(made)
        return made

    def _attempt(self, call: ReadyCall, *, live: bool, without: Collection[str] = ()) -> Coroutine[Any, Any, MadeCall]:
        return attempt(self._request, self._fleet, self._limits, call, live=live, without=without)

    def _refusable(self, callee: Callee, entry: Entry, omitted: Collection[str]) -> tuple[str, ...]:
        """Returns the names of the router's additions in an attempt that the target may have refused.

        The parameter `omitted` contains the names of the additions that the attempt lacked.
        """
        has_foreign = self._fleet.has_foreign_history
        if FOREIGN_HISTORY not in omitted and has_foreign(self._request, callee.target, callee.upstream):
            return (*entry.added, FOREIGN_HISTORY)
        return entry.added

    def _is_worth_a_retry(self, callee: Callee, failure: CallFailedError) -> bool:
        if not failure.retriable or self.left < 1:
            return False
        others = [other for other in self.remaining() if other.name != callee.name]
        pause = _pause_before(failure)
        return (
            pause <= (_MAX_PAUSE if others and not self._is_pinned else _MAX_LAST_PAUSE)
            and pause < self._limits.seconds_left
        )


def _pause_before(failure: CallFailedError) -> float:
    """Returns the number of seconds to wait before a retry: a fixed time plus a random time.

    If the target's response names a waiting time, for example in the header `Retry-After`, the fixed time is this
    waiting time. Otherwise, the fixed time is 1 s after a response with status 429, and 0.1 s after any other failure.
    A waiting time of 0 s counts as 0.1 s.
    """
    if failure.status == 429 and failure.retry_after is None:
        return 1.0 + random.random() * _JITTER
    return (failure.retry_after or 0.1) + random.random() * _JITTER
