"""Makes the calls to targets: attempt, retry, hedge."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Coroutine, Sequence
from decimal import Decimal
from typing import Any

from ..accounting.ledger import Entry
from ..accounting.money import FREE, worst_cost
from ..conversation.additions import NO_ADVICE, Advice, MoneyGuard
from ..conversation.answer import assemble, text_of
from ..conversation.request import Request
from ..errors import CallFailedError, UnaffordableError
from ..upstreams.call import complete
from ..upstreams.fleet import Fleet
from ..upstreams.stream import ChunkStream, open_stream
from .candidates import Callee, judge
from .choose import last_good, refused_by_target
from .decide import Limits, PlannedCall, fallback_order
from .outcome import MadeCall
from .plan import ReadyCall, affordable, affordable_together, ready, within_free_slots
from .race import Race

_SOON = 2.0
"""Seconds within which a failed target is worth a second try although others are left."""
_PATIENCE = 10.0
"""Seconds to wait for a target's Retry-After if no other is left."""
_PAUSE = 0.2


class Calls:
    """The calls of one request. `alone` is whether the client named the target, so that no other may answer."""

    def __init__(self, request: Request, fleet: Fleet, limits: Limits, *, alone: bool) -> None:
        self._request = request
        self._fleet = fleet
        self._routing = fleet.routing
        self._limits = limits
        self._ledger = limits.ledger
        self._alone = alone
        self._failed: set[str] = set()
        self.made: list[MadeCall] = []

    @property
    def completed(self) -> MadeCall | None:
        """The latest call with an answer."""
        return last_good(self.made)

    @property
    def left(self) -> int:
        """How many further calls the request may make."""
        return self._limits.max_calls - len(self._ledger.target_calls)

    def open(self) -> list[Callee]:
        """Returns the targets that may still be asked; those that failed for this request are not asked again."""
        left = [pair for pair in self._fleet.targets if pair[0].name not in self._failed]
        return [verdict.callee for verdict in judge(self._request, self._limits, left) if verdict.kept]

    def in_fallback_order(self) -> list[Callee]:
        """Returns the targets that may still be asked, in the fallback order."""
        return fallback_order(self.open(), self._limits.prefer, self._routing.fallback)

    def possible(self, planned: Sequence[PlannedCall], offered: Collection[str]) -> list[ReadyCall]:
        """Returns those of the planned calls for which there is room, all at once; while they were decided others may
        have taken it."""
        free = {callee.name: callee for callee in self.open() if callee.name in offered}
        wanted = within_free_slots([(free[call.target], call.advice) for call in planned if call.target in free])
        return affordable_together(self._request, self._limits, self._routing, wanted[: max(self.left, 0)])

    def ready(self, callee: Callee, advice: Advice = NO_ADVICE) -> ReadyCall:
        """Returns a call that may spend what is left of the money."""
        return ready(self._request, self._limits, self._routing, callee, advice)

    async def make(self, call: ReadyCall, *, live: bool = False) -> MadeCall:
        """Makes one call; `live` is whether the answer goes out as it comes. Raises ApiError if that is final."""
        made = await self._made(call, live=live)
        self._raise_if_final([made])
        return made

    async def make_all(self, calls: Sequence[ReadyCall]) -> None:
        """Makes several calls at once. Raises ApiError if what they say is final."""
        if len(calls) == 1:
            await self.make(calls[0])
            return
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._made(call, live=False)) for call in calls]
        self._raise_if_final([task.result() for task in tasks])

    def _raise_if_final(self, made: Sequence[MadeCall]) -> None:
        """Raises if targets found fault with the request itself: one more of them may be tried, no third."""
        if self.completed:
            return
        refusals = [call for call in self.made if call.failure and call.failure.refused_request]
        for call in made:
            if call in refusals and call.failure and (not call.failure.own_limit or len(refusals) > 1):
                raise refused_by_target(call)

    def _made(self, call: ReadyCall, *, live: bool) -> Coroutine[Any, Any, MadeCall]:
        """Makes one call, which another may outrun if there is a time after which the next target is asked as well."""
        wait = self._routing.hedge_after
        return self._make_one(call, live=live) if wait is None or self._alone else self._raced(call, wait, live=live)

    async def _raced(self, call: ReadyCall, wait: float, *, live: bool) -> MadeCall:
        """Makes one call, and after `wait` silent seconds another one beside it; the first answer wins."""
        async with Race() as race:
            race.add(self._make_one(call, live=live))
            if not await race.anybody(wait):
                race.add(self._hedge(call.callee.name, live=live))
            return await race.winner()

    async def _hedge(self, silent: str, *, live: bool) -> MadeCall | None:
        """Makes the second call. Whom to ask is found only now, so that hedges at once count each other."""
        second = self._hedge_for(silent)
        return await self._make_one(self.ready(second), live=live) if second else None

    def _hedge_for(self, silent: str) -> Callee | None:
        """Returns the next target of the fallback order, unless the silent one has begun to answer."""
        busy = {entry.model_id for entry in self._ledger.target_calls if entry.open}
        begun = {entry.model_id for entry in self._ledger.target_calls if entry.open and entry.first_byte}
        if self.left < 1 or silent not in busy - begun:
            return None
        return next((callee for callee in self.in_fallback_order() if callee.name not in busy), None)

    async def _make_one(self, call: ReadyCall, *, live: bool) -> MadeCall:
        """Makes one call, with a second try at the same target if that is worth it."""
        made = await self._attempt(call, live=live)
        if made.failure and self._is_worth_a_retry(call.callee, made.failure):
            await asyncio.sleep(_pause_before(made.failure))
            # Meanwhile other calls may have taken what the limits left, and the failed one may have cost something.
            again = self.ready(call.callee, call.advice)
            if self.left > 0 and affordable(self._request, again):
                made = await self._attempt(again, live=live)
        if not made.good:
            self._failed.add(call.callee.name)
        self.made.append(made)
        return made

    def _is_worth_a_retry(self, callee: Callee, failure: CallFailedError) -> bool:
        if not failure.retriable or self.left < 1:
            return False
        others = [other for other in self.open() if other.name != callee.name]
        pause = _pause_before(failure)
        return pause <= (_SOON if others and not self._alone else _PATIENCE) and pause < self._limits.seconds_left

    async def _attempt(self, call: ReadyCall, *, live: bool) -> MadeCall:
        request, callee = self._request, call.callee
        upstream, transport, traceparent = callee.upstream, self._fleet.transport, self._ledger.traceparent
        guard = None if self._limits.spending.left is None else MoneyGuard(call.limit)
        payload = upstream.dialect.write_request(request, callee.target, call.advice, guard)
        entry = self._open_entry(call, payload.dropped)
        try:
            if guard is not None:
                self._reserve(call, entry)
            if not request.stream:
                answer = await complete(upstream, transport, payload.body, entry, traceparent=traceparent)
                return MadeCall(callee, entry, answer=answer, text=entry.response or "")
            stream = await open_stream(
                upstream, transport, payload.body, entry, request.n, traceparent=traceparent, is_kept=not live
            )
            return MadeCall(callee, entry, stream=stream) if live else await _collect(callee, entry, stream)
        except CallFailedError as failure:
            return MadeCall(callee, entry, failure=failure)

    def _open_entry(self, call: ReadyCall, dropped: tuple[str, ...]) -> Entry:
        target, advice = call.callee.target, call.advice
        counted = self._request.input_tokens + advice.size // 4
        entry = self._ledger.open_target_call(target.name, target.tool_name, target.price, counted)
        entry.arguments, entry.dropped = advice.as_arguments(), dropped
        return entry

    def _reserve(self, call: ReadyCall, entry: Entry) -> None:
        """Sets the worst case of the call aside. Raises CallFailedError if other calls have taken the money."""
        try:
            entry.hold = self._limits.spending.reserve(self._worst_cost(call))
        except UnaffordableError as error:
            entry.close("error", error.message, billed=False)
            raise CallFailedError("unaffordable", error.message, refusal=error) from None

    def _worst_cost(self, call: ReadyCall) -> Decimal:
        callee, request = call.callee, self._request
        read = callee.upstream.dialect.max_input_tokens(request, callee.target) + call.advice.size
        return worst_cost(callee.target.price or FREE, read, request.n * (call.limit or 0))


async def _collect(callee: Callee, entry: Entry, stream: ChunkStream) -> MadeCall:
    """Reads a stream to its end, to be reviewed and replayed."""
    try:
        chunks = tuple([chunk async for some in stream for chunk in some])
    finally:
        stream.close()
    entry.response = text_of(assemble(chunks))
    return MadeCall(callee, entry, chunks=chunks, text=entry.response)


def _pause_before(failure: CallFailedError) -> float:
    """Returns seconds before a second try: as the target asked, or a moment; jittered, so that clients do not march in
    step."""
    if failure.status == 429 and failure.retry_after is None:
        return 1.0 + random.random() * _PAUSE
    return (failure.retry_after or _PAUSE / 2) + random.random() * _PAUSE
