"""The routing loop: decide, call, choose, until there is an answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ..accounting.ledger import FREE, NOTHING, Entry, share_of
from ..dialects.chat.affinity import mark_of
from ..dialects.chat.read_answer import Chunk, Completion, assemble, text_of
from ..dialects.chat.read_request import ChatRequest
from ..dialects.chat.sizes import max_input_tokens
from ..dialects.chat.write_request import NO_ADVICE, Advice, Guard, payload_for
from ..errors import ApiError, CallFailedError
from ..timing import Until
from ..upstreams.call import ChunkStream, complete, open_stream
from ..upstreams.fleet import Fleet
from .candidates import Candidate, fallback_order, judge, kept
from .choose import last_good, nobody_answered, refused_by_target, selected
from .decide import Asked, Decision, PlannedCall, Policy
from .limits import Limits, least_output, output_limit
from .race import Race

_SOON = 2.0
"""Seconds within which a failed target is worth a second try although others are left."""
_PATIENCE = 10.0
"""Seconds to wait for a target's Retry-After where no other is left."""
_PAUSE = 0.2


class Outcome(Struct, frozen=True):
    """Whose answer goes out: `completion` whole, `chunks` to be replayed, or `stream` to be relayed.

    `target` is None for the router model's own words.
    """

    target: str | None
    entry: Entry | None
    completion: Completion | None = None
    chunks: tuple[Chunk, ...] = ()
    stream: ChunkStream | None = None


class _Ready(Struct, frozen=True):
    """A planned call for which the limits leave room: whom to ask, with which advice, and the limit on the output that
    they set."""

    candidate: Candidate
    advice: Advice
    limit: int | None


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
        """The answer; `pinned_to` names the target that the client asked for. Raises ApiError."""
        try:
            with Until(self._limits.deadline):
                return await (self._pinned(pinned_to) if pinned_to else self._routed())
        except TimeoutError:
            in_hand = last_good(self._calls)
            if in_hand is not None:
                return self._chosen(in_hand, "timeout")
            message = "The deadline passed before any model had answered."
            raise ApiError(504, message, code="deadline_exceeded", retryable=False) from None

    async def _pinned(self, name: str) -> Outcome:
        self._alone = True
        found = self._fleet.target(name)
        verdicts = judge(self._request, self._limits, [found] if found else [])
        only = kept(self._request, self._limits, verdicts)
        return await self._commit(self._ready(only[0]), "pinned") or self._give_up()

    async def _routed(self) -> Outcome:
        verdicts = judge(self._request, self._limits, self._fleet.targets)
        candidates = kept(self._request, self._limits, verdicts)
        for only in self._obvious(candidates):
            outcome = await self._commit(self._ready(only), "pinned")
            if outcome:
                return outcome
        return await self._turns(candidates) or await self._fallback()

    def _obvious(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidate for which the router model need not be asked: the only one, or a tool loop's."""
        if len(candidates) == 1:
            return list(candidates)
        mark = self._request.loop_mark
        return [each for each in candidates if mark_of(each.name) == mark][:1] if mark else []

    async def _turns(self, candidates: Sequence[Candidate]) -> Outcome | None:
        """Asks the policy turn by turn; None where no decision led to an answer."""
        while self._ledger.turns < self._limits.max_turns:
            if self._calls:
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
        possible = self._possible(decision.calls, {candidate.name for candidate in candidates})
        if not possible:
            return self._chosen(in_hand, "last_response") if in_hand else None
        if self._commits(decision, possible):
            return await self._commit(possible[0], "committed")
        await self._ask_all(possible)
        return None

    def _commits(self, decision: Decision, possible: Sequence[_Ready]) -> bool:
        """Whether the first call's answer goes out without being shown to the router model."""
        limits = self._limits
        if decision.final or limits.review == "never" or self._ledger.turns >= limits.max_turns:
            return True
        first = not last_good(self._calls)
        return self._request.stream and limits.review == "buffered" and len(possible) == 1 and first

    async def _fallback(self) -> Outcome:
        """The fallback order, target by target."""
        in_hand = last_good(self._calls)
        if in_hand:
            return self._chosen(in_hand, "last_response")
        while True:
            order = fallback_order(self._open(), self._limits.prefer, self._fleet.routing.fallback)
            if not order or self._calls_left() < 1:
                return self._give_up()
            outcome = await self._commit(self._ready(order[0]), "fallback")
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

    def _possible(self, planned: Sequence[PlannedCall], offered: Collection[str]) -> list[_Ready]:
        """Those of the planned calls for which there is room, all at once; while they were decided others may have
        taken it."""
        free = {candidate.name: candidate for candidate in self._open() if candidate.name in offered}
        wanted = _placed([(free[call.target], call.advice) for call in planned if call.target in free])
        wanted = wanted[: max(self._calls_left(), 0)]
        while wanted:
            ready = [self._ready(candidate, advice, sharing=len(wanted)) for candidate, advice in wanted]
            if all(map(self._affordable, ready)):
                return ready
            wanted.pop()
        return []

    def _ready(self, candidate: Candidate, advice: Advice = NO_ADVICE, *, sharing: int = 1) -> _Ready:
        """A call that may spend its share of what is left of the money."""
        given = advice if self._fleet.routing.system_prompts else replace(advice, system_prompt=None)
        left = self._limits.left
        if left is None:
            return _Ready(candidate, given, None)
        share = share_of(left, sharing)
        return _Ready(candidate, given, output_limit(self._request, candidate.target, share, more_bytes=given.size))

    def _affordable(self, call: _Ready) -> bool:
        return call.limit is None or call.limit >= least_output(self._request)

    async def _commit(self, call: _Ready, strategy: str) -> Outcome | None:
        """Makes one call whose answer goes out as it is; None where it failed and another may be asked."""
        asked = await self._ask(call, live=self._request.stream)
        self._refuse_where_final([asked])
        return self._chosen(asked, strategy) if asked.good else None

    async def _ask_all(self, calls: Sequence[_Ready]) -> None:
        if len(calls) == 1:
            made = [await self._ask(calls[0], live=False)]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(call, live=False)) for call in calls]
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

    async def _ask(self, call: _Ready, *, live: bool) -> Asked:
        """One call; where it keeps silent for `hedge_after`, the next target is asked as well and the first answer
        wins."""
        wait = self._fleet.routing.hedge_after
        if wait is None or self._alone:
            return await self._ask_one(call, live=live)
        async with Race() as race:
            race.add(self._ask_one(call, live=live))
            if not await race.anybody(wait):
                race.add(self._hedge(call.candidate.name, live=live))
            return await race.winner()

    async def _hedge(self, silent: str, *, live: bool) -> Asked | None:
        """The second call; whom to ask is found where it begins, so that hedges at once count each other."""
        second = self._hedge_for(silent)
        return await self._ask_one(self._ready(second), live=live) if second else None

    def _hedge_for(self, silent: str) -> Candidate | None:
        """The next target of the fallback order, unless the silent one has begun to answer."""
        busy = {entry.model_id for entry in self._ledger.target_calls if entry.open}
        begun = {entry.model_id for entry in self._ledger.target_calls if entry.open and entry.first_byte}
        if self._calls_left() < 1 or silent not in busy - begun:
            return None
        order = fallback_order(self._open(), self._limits.prefer, self._fleet.routing.fallback)
        return next((each for each in order if each.name not in busy), None)

    async def _ask_one(self, call: _Ready, *, live: bool) -> Asked:
        """One call, with a second try at the same target where that is worth it."""
        asked = await self._attempt(call, live=live)
        if asked.failure and self._worth_a_retry(call.candidate, asked.failure):
            await asyncio.sleep(_pause_before(asked.failure))
            # Meanwhile other calls may have taken what the limits left, and the failed one may have cost something.
            again = self._ready(call.candidate, call.advice)
            if self._calls_left() > 0 and self._affordable(again):
                asked = await self._attempt(again, live=live)
        if not asked.good:
            self._failed.add(call.candidate.name)
        self._calls.append(asked)
        return asked

    def _worth_a_retry(self, candidate: Candidate, failure: CallFailedError) -> bool:
        if not failure.retriable or self._calls_left() < 1:
            return False
        others = [each for each in self._open() if each.name != candidate.name]
        pause = _pause_before(failure)
        return pause <= (_SOON if others and not self._alone else _PATIENCE) and pause < self._limits.seconds_left

    async def _attempt(self, call: _Ready, *, live: bool) -> Asked:
        request, candidate = self._request, call.candidate
        upstream = candidate.upstream
        guard = None if self._limits.max_cost is None else Guard(call.limit)
        payload = payload_for(request, candidate.target, call.advice, guard)
        entry = self._open_entry(call)
        entry.arguments, entry.dropped = call.advice.as_arguments(), payload.dropped
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

    def _open_entry(self, call: _Ready) -> Entry:
        request, target, advice = self._request, call.candidate.target, call.advice.size
        limits, reserved = self._limits, NOTHING
        if limits.max_cost is not None:
            read, written = max_input_tokens(request, target) + advice, request.n * (call.limit or 0)
            reserved = limits.reserve(target.price or FREE, read, written)
        counted = request.input_tokens + advice // 4
        return self._ledger.open_target_call(target.name, target.tool_name, target.price, counted, reserved)

    def _chosen(self, call: Asked, strategy: str) -> Outcome:
        self._ledger.chosen(strategy, call.entry, call.candidate.name)
        return Outcome(call.candidate.name, call.entry, call.completion, call.chunks, call.stream)

    def _direct(self, completion: Completion) -> Outcome:
        entry = self._ledger.router_calls[-1]
        self._ledger.chosen("direct_response", None, entry.model_id)
        return Outcome(None, entry, completion)


def _placed(wanted: Sequence[tuple[Candidate, Advice]]) -> list[tuple[Candidate, Advice]]:
    """Without those for which a target has no place left."""
    kept_calls, taken = [], Counter[str]()
    for candidate, advice in wanted:
        if taken[candidate.name] < candidate.upstream.places:
            taken[candidate.name] += 1
            kept_calls.append((candidate, advice))
    return kept_calls


async def _collect(candidate: Candidate, entry: Entry, stream: ChunkStream) -> Asked:
    """A stream read to its end, to be reviewed and replayed."""
    try:
        chunks = tuple([chunk async for some in stream for chunk in some])
    finally:
        stream.close()
    entry.response = text_of(assemble(list(chunks)))
    return Asked(candidate, entry, chunks=chunks, text=entry.response)


def _pause_before(failure: CallFailedError) -> float:
    """Seconds before a second try: as the target asked, or a moment; jittered, so that clients do not march in step."""
    if failure.status == 429 and failure.retry_after is None:
        return 1.0 + random.random() * _PAUSE
    return (failure.retry_after or _PAUSE / 2) + random.random() * _PAUSE
