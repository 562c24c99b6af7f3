"""Asks the router model, a language model trained by reinforcement learning to route, for each decision."""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ..accounting.ledger import Ledger
from ..config import Prefer, Protocol, Router, Routing
from ..dialects.chat.read_answer import Completion, Said
from ..dialects.chat.read_request import ChatRequest
from ..errors import CallFailedError, ListingError
from ..routing import prompt
from ..routing.candidates import Candidate
from ..routing.decide import Asked, Decision, Policy
from ..routing.limits import Limits
from ..routing.prompt import Way
from ..routing.reading import Read, function_names, read_schema, read_tools
from ..upstreams.call import complete
from ..upstreams.fleet import Fleet
from ..upstreams.listing import Listed, list_models

_DEFAULT_CONTEXT = 8192
# `auto`: so many of the last requests needed the repair by schema before the worker starts with it.
_NEEDED, _REMEMBERED = 5, 10
_FRAMES = 256
_WRONG_MODEL = (400, 404)
"""What a server answers that has no such model, or not with so much context: another one serves there since."""


class Turn(Struct, frozen=True):
    """One decision to be had; `offered` are the targets that may still be called."""

    conversation: ChatRequest
    offered: Sequence[Candidate]
    candidates: Sequence[Candidate]
    limits: Limits
    calls: Sequence[Asked]
    direct: bool

    @property
    def selectable(self) -> list[str]:
        return [call.entry.call_id for call in self.calls if call.good]


@dataclass(frozen=True)
class _Frame:
    """What questions with the same candidates share: our instructions, the body's fields but the messages as JSON, and
    the tokens that these leave of the context."""

    system: str
    fields: bytes
    room: int


@dataclass
class _Lately:
    """One of the last requests, and whether it needed the repair by schema."""

    ledger: weakref.ref[Ledger]
    needed_schema: bool


class ReinforcementLearned:
    """The router model behind `router.base_url`, by the protocol that `router.protocol` names."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._upstream = fleet.router_model
        self._listed: Listed | None = None
        self._lately: deque[_Lately] = deque(maxlen=_REMEMBERED)
        self._starts_with_schema = fleet.router.protocol == "json_schema"
        self._frame = lru_cache(maxsize=_FRAMES)(self._made_frame)

    async def decide(
        self, conversation: ChatRequest, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[Asked]
    ) -> Decision:
        """One turn; a router model that fails, or stays unreadable, is a decision with a `problem`."""
        in_hand = any(call.good for call in calls)
        last = limits.ledger.turns >= limits.max_turns
        turn = Turn(
            conversation=conversation,
            offered=() if last and in_hand else candidates,
            candidates=candidates,
            limits=limits,
            calls=calls,
            direct=answers_directly(self._fleet.router, self._fleet.routing) and conversation.text_only and not calls,
        )
        if not self._upstream.ready:
            return Decision(problem="the router model failed too often lately")
        if missing := self._upstream.key.missing:
            return Decision(problem=f"the router model's key: {missing}")
        try:
            return await self._decided(turn)
        except CallFailedError as failure:
            if failure.status in _WRONG_MODEL:
                self._listed = None
            return Decision(problem=f"the router model failed: {failure.message}")
        except ListingError as error:
            return Decision(problem=f"the router model cannot be asked for its name: {error}")
        except _UnaffordableError:
            return Decision(problem="`max_cost` leaves nothing for a decision")

    async def _decided(self, turn: Turn) -> Decision:
        ledger, protocol = turn.limits.ledger, self._fleet.router.protocol
        way: Way = "json_schema" if self._starts_with_schema else "tools"
        decision = await self._ask(turn, way, repair=False)
        if decision.problem and not ledger.repaired:
            ledger.repaired = True
            way = "tools" if protocol == "tools" else "json_schema"
            decision = await self._ask(turn, way, repair=True)
        self._remember(ledger)
        return decision

    def _remember(self, ledger: Ledger) -> None:
        """Counts requests, however many turns each of them takes."""
        if self._starts_with_schema:
            return
        for known in self._lately:
            if known.ledger() is ledger:
                known.needed_schema = ledger.repaired
                break
        else:
            self._lately.append(_Lately(weakref.ref(ledger), ledger.repaired))
        needed = sum(known.needed_schema for known in self._lately)
        if self._fleet.router.protocol == "auto" and needed >= _NEEDED:
            self._starts_with_schema = True

    async def _ask(self, turn: Turn, way: Way, *, repair: bool) -> Decision:
        listed = await self._identity()
        body = self._question(turn, listed, way, repair=repair)
        counted = len(body) // 4 + 1
        price, most = self._fleet.router.price, self._fleet.router.max_tokens
        if not turn.limits.affords(price, len(body), most):
            raise _UnaffordableError
        reserved = turn.limits.reserve(price, len(body), most)
        entry = turn.limits.ledger.open_router_call(listed.id, price, counted, reserved)
        completion = await complete(
            self._upstream, self._fleet.transport, body, entry, within=self._fleet.router.timeout
        )  # fmt: skip
        decision = _decision(_read(completion.first, turn, way), completion, turn)
        turn.limits.ledger.unreadable += decision.problem is not None
        return decision

    def _question(self, turn: Turn, listed: Listed, way: Way, *, repair: bool) -> bytes:
        """The body of the request to the router model."""
        names = tuple(candidate.name for candidate in turn.candidates)
        frame = self._frame(
            listed, way, names, tuple(turn.selectable), turn.limits.prefer, direct=turn.direct, closed=not turn.offered
        )
        said = prompt.messages(frame.system, turn.conversation.messages, turn.calls, way, frame.room)
        messages = msgspec.json.encode(prompt.repair_messages(said) if repair else said)
        return frame.fields[:-1] + b',"messages":' + messages + b"}"

    def _made_frame(
        self,
        listed: Listed,
        way: Way,
        names: tuple[str, ...],
        selectable: tuple[str, ...],
        prefer: Prefer,
        *,
        direct: bool,
        closed: bool,
    ) -> _Frame:
        """`closed` where none of the candidates may be called any more."""
        router = self._fleet.router
        targets = [found[0] for name in names if (found := self._fleet.target(name))]
        offered = [] if closed else targets
        asked: dict[str, Any] = {"model": listed.id, "temperature": router.temperature, "max_tokens": router.max_tokens}
        if way == "tools":
            advised = self._fleet.routing.system_prompts
            asked["tools"] = prompt.tools(offered, select=bool(selectable), system_prompts=advised)
            asked["tool_choice"] = router.tool_choice or ("auto" if direct else "required")
        else:
            named = {"name": "decision", "strict": True, "schema": prompt.decision_schema(offered, selectable)}
            asked["response_format"] = {"type": "json_schema", "json_schema": named}
        fields = msgspec.json.encode(asked)
        room = (listed.max_model_len or _DEFAULT_CONTEXT) - router.max_tokens - len(fields) // 3
        return _Frame(prompt.system_prompt(targets, prefer, way, direct=direct), fields, room)

    async def _identity(self) -> Listed:
        """The router model's name and context length, as configured or else as its server lists them."""
        if self._listed is None:
            router = self._fleet.router
            if router.model and router.context_length:
                self._listed = Listed(router.model, router.context_length)
            else:
                self._listed = await self._look_up(router)
        return self._listed

    async def _look_up(self, router: Router) -> Listed:
        try:
            listed = await list_models(self._upstream, self._fleet.transport)
        except ListingError:
            if router.model is None:
                raise
            return Listed(router.model, router.context_length or _DEFAULT_CONTEXT)
        named = next((each for each in listed if each.id == router.model), None)
        found = named or Listed(router.model or listed[0].id, listed[0].max_model_len)
        return Listed(found.id, router.context_length or found.max_model_len or _DEFAULT_CONTEXT)


class _UnaffordableError(Exception):
    """The worst case of a decision does not fit `max_cost`."""


def answers_directly(router: Router, routing: Routing) -> bool:
    """Whether the router model may answer in its own words."""
    protocol: Protocol = router.protocol
    return protocol == "tools" if routing.direct_answers is None else routing.direct_answers


def _read(said: Said, turn: Turn, way: Way) -> Read:
    offered = function_names([candidate.name for candidate in turn.candidates])
    reader = read_tools if way == "tools" else read_schema
    return reader(said, offered, selectable=bool(turn.selectable))


def _decision(read: Read, completion: Completion, turn: Turn) -> Decision:
    if read.readable:
        return Decision(calls=read.calls, select=read.select)
    if read.text and turn.direct:
        return Decision(direct=_direct(completion, read.text))
    return Decision(problem="the router model's decision could not be read")


def _direct(completion: Completion, text: str) -> Completion:
    """The router model's own answer, without its thoughts."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": completion.choices[0].finish_reason or "stop"}
    fields: dict[str, Any] = {
        "id": f"chatcmpl-{time.time_ns():x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "",
        "choices": [choice],
        "usage": completion.fields.get("usage"),
    }
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in fields.items() if value is not None}
    return Completion(raw, completion.choices, completion.reported)


def create(fleet: Fleet) -> Policy:
    """As every policy file has."""
    return ReinforcementLearned(fleet)
