"""The policy `rl`, which calls the router model for each decision.

If an answer of the router model cannot be parsed, the policy calls the router model again, but only once per
request.
"""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ...config import Prefer
from ...conversation.answer import Answer
from ...conversation.request import Request
from ...errors import NoDecisionError
from ...routing.decide import Candidate, Decision, Limits, PastCall, Policy, PolicySetup
from . import prompt
from .learned_server import Description, LearnedServer, Reasons
from .prompt import Way
from .reading import ReadDecision, read_schema, read_tools

# With the protocol `auto`, a worker changes to `json_schema` when 5 of the worker's last 10 requests needed a repair.
_REPAIRS_TO_SWITCH, _RECENT_REQUESTS = 5, 10
_MAX_PROMPT_FRAMES = 256


class Turn(Struct, frozen=True):
    """The input of one decision. The attribute `direct` says whether the router model may answer the request itself."""

    conversation: Request
    candidates: Sequence[Candidate]
    limits: Limits
    calls: Sequence[PastCall]
    direct: bool

    @property
    def selectable(self) -> tuple[str, ...]:
        """The ids of the calls whose answers may be selected."""
        return tuple(call.call_id for call in self.calls if call.good)

    @property
    def offered(self) -> Sequence[Candidate]:
        """The targets that may still be called, or no targets on the last turn if an answer can be selected."""
        return () if self.limits.is_last_turn and self.selectable else self.candidates


@dataclass(frozen=True)
class _PromptFrame:
    """The parts of a prompt that contain neither the conversation nor earlier answers.

    The attribute `system` is the system prompt. The attribute `tools` is JSON with the tools or the decision schema.
    The attribute `functions` is a mapping from the names of the tools to the names of the targets.
    """

    system: str
    tools: bytes
    functions: dict[str, str]


@dataclass
class _Recent:
    """A recent request, and whether the request needed a second call of the router model with a JSON schema."""

    conversation: weakref.ref[Request]
    needed_schema: bool


class RouterModelPolicy:
    """A policy that calls the router model with the protocol that the field `router.protocol` names."""

    def __init__(self, setup: PolicySetup) -> None:
        self._router = setup.router
        self._routing = setup.routing
        self._ask_router_model = setup.ask
        self._learned_server = LearnedServer(setup)
        self._recent: deque[_Recent] = deque(maxlen=_RECENT_REQUESTS)
        self._starts_with_schema = setup.router.protocol == "json_schema"
        self._frames: dict[object, _PromptFrame] = {}

    async def decide(
        self, conversation: Request, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[PastCall]
    ) -> Decision:
        """Returns the decision of one turn.

        The decision contains a `reason` instead of calls or an answer if the router model fails, if no answer of the
        router model can be parsed, or if a learned policy in the router model's server makes no choice.
        """
        direct = self._answers_directly and conversation.text_only and not calls
        turn = Turn(conversation, candidates, limits, calls, direct)
        decision = await self._ask(turn, "json_schema" if self._starts_with_schema else "tools")
        is_answered = decision.reason is None or decision.unreadable > 0
        if decision.unreadable and not limits.ledger.repaired:
            repaired = await self._ask(
                turn, "tools" if self._router.protocol == "tools" else "json_schema", repair=True
            )
            is_answered = repaired.reason is None or repaired.unreadable > 0
            decision = _merged(decision, repaired)
        if is_answered:
            self._remember(turn, needed_schema=decision.repaired or limits.ledger.repaired)
        return decision

    def explain(self, candidates: Sequence[Candidate], prefer: Prefer) -> dict[str, Any]:
        """Returns the configured protocol, the system prompts of both protocols, the tools and the decision schema."""
        direct = self._answers_directly
        return {
            "protocol": self._router.protocol,
            "system_prompt": prompt.system_prompt(candidates, prefer, "tools", direct=direct),
            "tools": prompt.tools(candidates, select=True, system_prompts=self._routing.system_prompts),
            "json_schema": {
                "system_prompt": prompt.system_prompt(candidates, prefer, "json_schema", direct=False),
                "schema": prompt.decision_schema(candidates, ()) if candidates else None,
            },
        }

    @property
    def _answers_directly(self) -> bool:
        """Whether the router model may answer requests itself."""
        configured = self._routing.direct_answers
        return self._router.protocol == "tools" if configured is None else configured

    async def _ask(self, turn: Turn, way: Way, *, repair: bool = False) -> Decision:
        frame = self._frame(turn, way)

        def conversation(room: int) -> list[dict[str, Any]]:
            messages = prompt.messages(frame.system, turn.conversation.messages, turn.calls, way, room)
            return prompt.repair_messages(messages) if repair else messages

        server = self._learned_server
        description = Description(server, turn.conversation, turn.candidates, turn.limits, turn.calls)
        field = description.field if server.is_supported else None
        try:
            paid = await self._ask_router_model(conversation, frame.tools, turn.limits, field)
        except NoDecisionError as error:
            return Decision(reason=str(error), cost=error.cost)
        read = read_tools if way == "tools" else read_schema
        parsed = read(paid.answer.first, frame.functions, selectable=bool(turn.selectable))
        reasons = description.reasons(paid.answer, parsed.calls[0].target if parsed.calls else None)
        return _decision(parsed, paid.answer, turn, paid.cost, reasons)

    def _remember(self, turn: Turn, *, needed_schema: bool) -> None:
        """With the protocol `auto`, records whether the request needed a repair (a second call of the router model).

        Each request is recorded once, even with several turns. After repairs of 5 of the last 10 requests, the policy
        uses only `json_schema`.
        """
        if self._starts_with_schema or self._router.protocol != "auto":
            return
        is_later_turn = turn.limits.ledger.turns > 1
        if is_later_turn and not needed_schema:
            # The first turn recorded the request, and the record stays true.
            return
        recents = self._recent if is_later_turn else ()
        earlier = [recent for recent in recents if recent.conversation() is turn.conversation]
        if earlier:
            earlier[0].needed_schema = needed_schema
        else:
            self._recent.append(_Recent(weakref.ref(turn.conversation), needed_schema))
        if needed_schema and sum(recent.needed_schema for recent in self._recent) >= _REPAIRS_TO_SWITCH:
            self._starts_with_schema = True

    def _frame(self, turn: Turn, way: Way) -> _PromptFrame:
        names = tuple(candidate.name for candidate in turn.candidates)
        key = (way, names, turn.selectable, turn.limits.prefer, turn.direct, bool(turn.offered))
        frame = self._frames.get(key)
        if frame is None:
            if len(self._frames) >= _MAX_PROMPT_FRAMES:
                self._frames.clear()
            frame = self._frames[key] = self._new_frame(turn, way)
        return frame

    def _new_frame(self, turn: Turn, way: Way) -> _PromptFrame:
        fields: dict[str, Any] = {}
        if way == "tools":
            fields["tools"] = prompt.tools(
                turn.offered, select=bool(turn.selectable), system_prompts=self._routing.system_prompts
            )
            fields["tool_choice"] = self._router.tool_choice or ("auto" if turn.direct else "required")
        else:
            schema = prompt.decision_schema(turn.offered, turn.selectable)
            json_schema = {"name": "decision", "strict": True, "schema": schema}
            fields["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        system = prompt.system_prompt(turn.candidates, turn.limits.prefer, way, direct=turn.direct)
        functions = {candidate.tool_name: candidate.name for candidate in turn.candidates}
        return _PromptFrame(system, msgspec.json.encode(fields), functions)


def _decision(read: ReadDecision, answer: Answer, turn: Turn, cost: Decimal, reasons: Reasons | None) -> Decision:
    if read.readable:
        explanation = None if reasons is None else reasons.explanation
        return Decision(calls=read.calls, select=read.select, cost=cost, explanation=explanation)
    if reasons is not None:
        return Decision(reason=reasons.text, cost=cost)
    if read.text and turn.direct:
        return Decision(direct=_direct(answer, read.text), cost=cost)
    remedy = "Use `router.protocol: json_schema` or another router model"
    reason = f"the router model's answer could not be parsed as a decision. {remedy}"
    return Decision(reason=reason, cost=cost, unreadable=1)


def _merged(first: Decision, repaired: Decision) -> Decision:
    """Returns the decision of the second call of the router model.

    The cost and the number of unreadable answers are the sums over both calls.
    """
    return replace(
        repaired,
        cost=first.cost + repaired.cost,
        unreadable=first.unreadable + repaired.unreadable,
        repaired=True,
    )


def _direct(answer: Answer, text: str) -> Answer:
    """Returns the answer that the router model wrote for the client, without the reasoning of the router model."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": answer.choices[0].finish_reason or "stop"}
    fields: dict[str, Any] = {
        "id": f"chatcmpl-{time.time_ns():x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "",
        "choices": [choice],
        "usage": answer.fields.get("usage"),
    }
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in fields.items() if value is not None}
    return Answer(raw, answer.choices, answer.usage)


def create(setup: PolicySetup) -> Policy:
    """Returns the policy `rl` for a configuration."""
    return RouterModelPolicy(setup)
