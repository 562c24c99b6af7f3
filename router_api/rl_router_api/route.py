"""The routing loop: decide, call, choose, until there is an answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from .call import CallFailedError, ChunkStream, complete, open_stream
from .candidates import Candidate, fallback_order, judge, kept
from .choose import last_good, nobody_answered, refused_by_target, selected
from .completion import Chunk, Completion, assemble, text_of
from .decide import Asked, Decision, PlannedCall, Policy
from .errors import RouterError
from .fleet import Fleet
from .ledger import FREE, Entry, share_of, worst_cost
from .limits import LEAST_OUTPUT, Limits, output_limit
from .marks import mark_of
from .payload import payload_for
from .wire import ChatRequest

_SOON = 2.0
"""Seconds within which a failed target is worth a second try although others are left."""
_PATIENCE = 10.0
"""Seconds to wait for a target's Retry-After where no other is left."""
_PAUSE = 0.2


@dataclass(frozen=True)
class Outcome:
    """Whose answer goes out: `completion` whole, `chunks` to be replayed, or `stream` to be relayed.

    `target` is None for the router model's own words.
    """

    target: str | None
    entry: Entry | None
    completion: Completion | None = None
    chunks: tuple[Chunk, ...] = ()
    stream: ChunkStream | None = None


class Route:
    """One request on its way."""

    def __init__(
        self, request: ChatRequest, fleet: Fleet, policy: Policy, limits: Limits, traceparent: str | None = None
    ) -> None:
        self._request = request
        self._fleet = fleet
        self._policy = policy
        self._limits = limits
        self._ledger = limits.ledger
        self._traceparent = traceparent
        self._calls: list[Asked] = []
        self._failed: set[str] = set()
        self._alone = False
        """Whether the client named the target, so that no other may answer in its place."""

    async def answer(self, pinned_to: str | None) -> Outcome:
        """The answer; `pinned_to` names the target that the client asked for. Raises RouterError."""
        try:
            async with asyncio.timeout_at(self._limits.deadline):
                return await (self._pinned(pinned_to) if pinned_to else self._routed())
        except TimeoutError:
            in_hand = last_good(self._calls)
            if in_hand is not None:
                return self._chosen(in_hand, "timeout")
            message = "The deadline passed before any model had answered."
            raise RouterError(504, message, code="deadline_exceeded", retryable=False) from None

    async def _pinned(self, name: str) -> Outcome:
        self._alone = True
        found = self._fleet.target(name)
        verdicts = judge(self._request, self._limits, [found] if found else [])
        only = kept(self._request, self._limits, verdicts)
        return await self._commit(PlannedCall(only[0].name), "pinned") or self._give_up()

    async def _routed(self) -> Outcome:
        verdicts = judge(self._request, self._limits, self._fleet.targets)
        candidates = kept(self._request, self._limits, verdicts)
        for only in self._obvious(candidates):
            outcome = await self._commit(PlannedCall(only.name), "pinned")
            if outcome:
                return outcome
        return await self._turns() or await self._fallback()

    def _obvious(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidate for which the router model need not be asked: the only one, or a tool loop's."""
        if len(candidates) == 1:
            return list(candidates)
        mark = self._request.loop_mark
        return [each for each in candidates if mark_of(each.name) == mark][:1] if mark else []

    async def _turns(self) -> Outcome | None:
        """Asks the policy turn by turn; None where no decision led to an answer."""
        while self._ledger.turns < self._limits.max_turns:
            candidates = self._open()
            if not candidates and not last_good(self._calls):
                return None
            self._ledger.turns += 1
            decision = await self._policy.decide(self._request, candidates, self._limits, tuple(self._calls))
            outcome = await self._follow(decision, candidates)
            if outcome or not decision.calls:
                return outcome
        return None

    async def _follow(self, decision: Decision, candidates: Sequence[Candidate]) -> Outcome | None:
        in_hand = last_good(self._calls)
        if decision.direct is not None:
            return self._direct(decision.direct)
        if decision.select is not None:
            found = selected(decision.select, self._calls)
            if found:
                return self._chosen(found, "select_response")
        if not decision.calls or decision.select is not None:
            return self._chosen(in_hand, "last_response") if in_hand else None
        if in_hand and self._ledger.turns >= self._limits.max_turns:
            return self._chosen(in_hand, "max_turns_reached")
        planned = self._possible(decision.calls, candidates)
        if not planned:
            return self._chosen(in_hand, "last_response") if in_hand else None
        if self._commits(decision, planned):
            return await self._commit(planned[0], "committed")
        await self._ask_all(planned)
        return None

    def _commits(self, decision: Decision, planned: Sequence[PlannedCall]) -> bool:
        """Whether the first call's answer goes out without being shown to the router model."""
        limits = self._limits
        if decision.final or limits.review == "never" or self._ledger.turns >= limits.max_turns:
            return True
        first = not last_good(self._calls)
        return self._request.stream and limits.review == "buffered" and len(planned) == 1 and first

    async def _fallback(self) -> Outcome:
        """The fallback order, target by target."""
        in_hand = last_good(self._calls)
        if in_hand:
            return self._chosen(in_hand, "last_response")
        while True:
            order = fallback_order(self._open(), self._limits.prefer, self._fleet.routing.fallback)
            if not order or self._calls_left() < 1:
                return self._give_up()
            outcome = await self._commit(PlannedCall(order[0].name), "fallback")
            if outcome:
                return outcome

    def _give_up(self) -> Outcome:
        if not self._calls:
            kept(self._request, self._limits, judge(self._request, self._limits, self._fleet.targets))
        raise nobody_answered(self._calls)

    def _open(self) -> list[Candidate]:
        """The targets that may still be asked; those that failed for this request are not asked again."""
        left = [pair for pair in self._fleet.targets if pair[0].name not in self._failed]
        return [verdict.candidate for verdict in judge(self._request, self._limits, left) if verdict.kept]

    def _calls_left(self) -> int:
        return self._limits.max_calls - len(self._ledger.target_calls)

    def _possible(self, planned: Sequence[PlannedCall], candidates: Sequence[Candidate]) -> list[PlannedCall]:
        """Those of the planned calls that the limits leave room for, all at once."""
        known = {candidate.name: candidate for candidate in candidates}
        wanted = [call for call in planned if call.target in known][: max(self._calls_left(), 0)]
        while wanted and not all(self._affordable(known[call.target], len(wanted)) for call in wanted):
            wanted.pop()
        return wanted

    def _affordable(self, candidate: Candidate, sharing: int) -> bool:
        limit = self._output_limit(candidate, sharing)
        return limit is None or limit >= (self._request.max_output or LEAST_OUTPUT)

    def _output_limit(self, candidate: Candidate, sharing: int) -> int | None:
        left = self._limits.left
        return None if left is None else output_limit(self._request, candidate.target, share_of(left, sharing))

    async def _commit(self, planned: PlannedCall, strategy: str) -> Outcome | None:
        """Makes one call whose answer goes out as it is; None where it failed and another may be asked."""
        asked = await self._ask(planned, sharing=1, live=self._request.stream)
        self._refuse_where_final([asked])
        return self._chosen(asked, strategy) if asked.good else None

    async def _ask_all(self, planned: Sequence[PlannedCall]) -> None:
        if len(planned) == 1:
            made = [await self._ask(planned[0], sharing=1, live=False)]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(call, sharing=len(planned), live=False)) for call in planned]
            made = [task.result() for task in tasks]
        self._refuse_where_final(made)

    def _refuse_where_final(self, made: Sequence[Asked]) -> None:
        """Raises where targets found fault with the request itself: one more of them may be tried, no third."""
        if last_good(self._calls):
            return
        refusals = [call for call in self._calls if call.failure and call.failure.refused_request]
        for call in made:
            if call in refusals and call.failure and (not call.failure.own_limit or len(refusals) > 1):
                raise refused_by_target(call)

    async def _ask(self, planned: PlannedCall, *, sharing: int, live: bool) -> Asked:
        """One call; where it keeps silent for `hedge_after`, the next target is asked as well and the first answer
        wins."""
        wait = self._fleet.routing.hedge_after
        if wait is None or self._alone:
            return await self._ask_one(planned, sharing=sharing, live=live)
        async with _Race() as race:
            race.add(self._ask_one(planned, sharing=sharing, live=live))
            if not await race.anybody(wait):
                race.add(self._hedge(planned, live=live))
            return await race.winner()

    async def _hedge(self, planned: PlannedCall, *, live: bool) -> Asked | None:
        """The second call; whom to ask is found where it begins, so that hedges at once count each other."""
        second = self._hedge_for(planned)
        return await self._ask_one(second, sharing=1, live=live) if second else None

    def _hedge_for(self, planned: PlannedCall) -> PlannedCall | None:
        """The next target of the fallback order, unless the planned one has begun to answer."""
        busy = {entry.model_id for entry in self._ledger.target_calls if entry.open}
        begun = {entry.model_id for entry in self._ledger.target_calls if entry.open and entry.first_byte}
        if self._calls_left() < 1 or planned.target not in busy - begun:
            return None
        order = fallback_order(self._open(), self._limits.prefer, self._fleet.routing.fallback)
        return next((PlannedCall(each.name) for each in order if each.name not in busy), None)

    async def _ask_one(self, planned: PlannedCall, *, sharing: int, live: bool) -> Asked:
        """One call, with a second try at the same target where that is worth it."""
        found = self._fleet.target(planned.target)
        if found is None:
            raise ValueError(planned.target)
        candidate = Candidate(*found, estimated_cost=None)
        asked = await self._attempt(candidate, planned, self._output_limit(candidate, sharing), live=live)
        if asked.failure and self._worth_a_retry(candidate, asked.failure):
            await asyncio.sleep(_pause_before(asked.failure))
            # Meanwhile other calls may have taken what the limits left, and the failed one may have cost something.
            if self._calls_left() > 0 and self._affordable(candidate, sharing):
                asked = await self._attempt(candidate, planned, self._output_limit(candidate, sharing), live=live)
        if not asked.good:
            self._failed.add(candidate.name)
        self._calls.append(asked)
        return asked

    def _worth_a_retry(self, candidate: Candidate, failure: CallFailedError) -> bool:
        if not failure.retriable or self._calls_left() < 1:
            return False
        others = [each for each in self._open() if each.name != candidate.name]
        pause = _pause_before(failure)
        return pause <= (_SOON if others and not self._alone else _PATIENCE) and pause < self._limits.seconds_left

    async def _attempt(self, candidate: Candidate, planned: PlannedCall, limit: int | None, *, live: bool) -> Asked:
        request, target, upstream = self._request, candidate.target, candidate.upstream
        advice = planned.advice if self._fleet.routing.system_prompts else replace(planned.advice, system_prompt=None)
        set_limit = limit if request.max_output is None else None
        payload = payload_for(request, target, advice, set_limit)
        reserved = worst_cost(
            target.price or FREE, request.most_input_tokens, request.n * (request.max_output or limit or 0)
        )
        entry = self._ledger.open_target_call(
            target.name, target.tool_name, target.price, request.input_tokens, reserved
        )
        entry.arguments, entry.dropped = advice.as_arguments(), payload.dropped
        transport = self._fleet.transport
        try:
            if not request.stream:
                whole = await complete(upstream, transport, payload.body, entry, traceparent=self._traceparent)
                return Asked(candidate, entry, completion=whole, text=entry.response or "")
            stream = await open_stream(
                upstream, transport, payload.body, entry, request.n, traceparent=self._traceparent, is_kept=not live
            )
            return Asked(candidate, entry, stream=stream) if live else await _collect(candidate, entry, stream)
        except CallFailedError as failure:
            return Asked(candidate, entry, failure=failure)

    def _chosen(self, call: Asked, strategy: str) -> Outcome:
        self._ledger.chosen(strategy, call.entry, call.candidate.name)
        return Outcome(call.candidate.name, call.entry, call.completion, call.chunks, call.stream)

    def _direct(self, completion: Completion) -> Outcome:
        entry = self._ledger.router_calls[-1]
        self._ledger.chosen("direct_response", None, entry.model_id)
        return Outcome(None, entry, completion)


class _Race:
    """Calls under way at once, of which the first good one wins; the others are cancelled."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Asked | None]] = []
        self._won: Asked | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Asked) and ended.stream and ended is not self._won:
                ended.stream.close()

    def add(self, call: Coroutine[Any, Any, Asked | None]) -> None:
        self._tasks.append(asyncio.create_task(call))

    async def anybody(self, seconds: float) -> bool:
        """Whether a call ended within so many seconds."""
        done, _ = await asyncio.wait(self._tasks, timeout=seconds)
        return bool(done)

    async def winner(self) -> Asked:
        """The first good call, or else the last failed one."""
        waiting, ended = set(self._tasks), list[Asked]()
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            ended += [asked for task in self._tasks if task in done and (asked := task.result())]
            good = [asked for asked in ended if asked.good]
            if good or not waiting:
                self._won = (good or ended[-1:])[0]
                return self._won


async def _collect(candidate: Candidate, entry: Entry, stream: ChunkStream) -> Asked:
    """A stream read to its end, to be reviewed and replayed."""
    try:
        chunks = tuple([chunk async for chunk in stream])
    finally:
        stream.close()
    entry.response = text_of(assemble(list(chunks)))
    return Asked(candidate, entry, chunks=chunks, text=entry.response)


def _pause_before(failure: CallFailedError) -> float:
    """Seconds before a second try: as the target asked, or a moment; jittered, so that clients do not march in step."""
    if failure.status == 429 and failure.retry_after is None:
        return 1.0 + random.random() * _PAUSE
    return (failure.retry_after or _PAUSE / 2) + random.random() * _PAUSE
