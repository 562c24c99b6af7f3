"""What a policy is asked and what it answers, and the fallback order that `prefer` gives.

A policy has one method, `decide`. It sees plain values alone, and one function with which it may ask the router model.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from ..accounting.ledger import Ledger
from ..accounting.money import NOTHING, worst_cost
from ..accounting.spending import Spending
from ..config import Capability, Prefer, Price, Review, RouterModelConfig, Routing
from ..conversation.additions import NO_ADVICE, Advice
from ..conversation.answer import Answer
from ..conversation.request import Request


class Limits(Struct, frozen=True):
    """What a request may cost and how long it may take; `deadline` is a time of the event loop's clock.

    `unsized` names a part of the request whose size nothing bounds, so that no money limit can hold.
    """

    spending: Spending
    deadline: float
    max_turns: int
    max_calls: int
    review: Review
    prefer: Prefer
    ledger: Ledger
    unsized: str | None = None

    @property
    def seconds_left(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()

    @property
    def is_last_turn(self) -> bool:
        """Whether no further turn follows the one under way."""
        return self.ledger.turns >= self.max_turns


class Candidate(Struct, frozen=True):
    """A target that can serve the request, which is thought to take so many tokens of input and of output.

    `latency` is a moving average of its whole answers in seconds (None if unknown), `in_flight` the calls that it is
    answering now.
    """

    name: str
    tool_name: str
    description: str | None = None
    price: Price | None = None
    capabilities: tuple[Capability, ...] | None = None
    context_length: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    latency: float | None = None
    in_flight: int = 0

    @property
    def estimated_cost(self) -> Decimal | None:
        """US dollars; None if the price is unknown."""
        return None if self.price is None else worst_cost(self.price, self.input_tokens, self.output_tokens)


class PastCall(Struct, frozen=True):
    """A call that was made for the request: its answer as text, or why it failed."""

    call_id: str
    target: str
    function_name: str
    arguments: dict[str, Any] = {}
    text: str = ""
    failure: str | None = None
    cost: Decimal = NOTHING
    latency: float = 0.0

    @property
    def good(self) -> bool:
        return self.failure is None


class PlannedCall(Struct, frozen=True):
    """A target to ask and with which advice."""

    target: str
    advice: Advice = NO_ADVICE


class Decision(Struct, frozen=True):
    """One turn's decision: calls to make, or a call whose answer goes out, or a text of the policy's own, or nothing.

    `select` is a call id, a function's name or a model's name. `direct` is the policy's own answer. `final` commits the
    first call: its answer goes out unseen. With none of them there is no decision, and `reason` says why.
    `cost` is what deciding cost, in US dollars; the ledger has it already. `unreadable` counts the router model's
    answers that could not be read, `repaired` is whether it was asked again for that.
    """

    calls: tuple[PlannedCall, ...] = ()
    select: str | None = None
    direct: Answer | None = None
    final: bool = False
    reason: str | None = None
    cost: Decimal = NOTHING
    unreadable: int = 0
    repaired: bool = False


class Policy(Protocol):
    """Decides what to do next with a request."""

    async def decide(
        self, conversation: Request, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[PastCall]
    ) -> Decision:
        """Decides one turn. `calls` are those made so far, failed ones too. On the last turn with a completed answer
        only a selection leads on. Never raises because of an upstream."""


@runtime_checkable
class Explains(Protocol):
    """A policy that shows what it goes by, for `/debug/tools`."""

    def explain(self, candidates: Sequence[Candidate], prefer: Prefer) -> dict[str, Any]:
        """Returns what it would tell its router model of these candidates."""


class PaidAnswer(Struct, frozen=True):
    """An answer of the router model and what it cost, in US dollars."""

    answer: Answer
    cost: Decimal


class Ask(Protocol):
    """Asks the router model."""

    async def __call__(
        self, conversation: Callable[[int], list[dict[str, Any]]], tools: bytes, limits: Limits
    ) -> PaidAnswer:
        """Returns the router model's answer.

        `conversation(room)` returns the messages, in at most about `room` tokens: what the model's context leaves.
        `tools` are the further fields of the body as a JSON object: the tools, or the schema of the answer.
        The call is reserved in the limits' spending and booked in their ledger. Raises NoDecisionError.
        """


class PolicySetup(Struct, frozen=True):
    """What a policy is made with: two sections of the configuration, and the function that asks the router model."""

    router: RouterModelConfig
    routing: Routing
    ask: Ask


class _Priced(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def estimated_cost(self) -> Decimal | None: ...


_P = TypeVar("_P", bound=_Priced)


def fallback_order(candidates: Sequence[_P], prefer: Prefer, configured: Sequence[str]) -> list[_P]:
    """Returns whom to ask if no decision leads to an answer: as configured, else by price for this request."""
    if configured:
        by_name = {candidate.name: candidate for candidate in candidates}
        return [by_name[name] for name in configured if name in by_name]
    priced = [float(cost) for candidate in candidates if (cost := candidate.estimated_cost) is not None]
    median = sorted(priced)[len(priced) // 2] if priced else 0.0

    def rank(candidate: _P) -> float:
        if candidate.estimated_cost is None:
            return math.inf
        cost = float(candidate.estimated_cost)
        return {"cost": cost, "quality": -cost, "balanced": abs(cost - median)}[prefer]

    return sorted(candidates, key=rank)
