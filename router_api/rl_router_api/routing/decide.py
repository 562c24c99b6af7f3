"""The interface of policies, with the values that a policy receives and returns, and the fallback order.

A policy needs only the method `decide`. The function that creates a policy receives a `PolicySetup`, which contains a
function that calls the router model.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from ..accounting.ledger import Ledger
from ..accounting.money import NOTHING, cost_of, worst_cost
from ..accounting.spending import Spending
from ..accounting.usage import Usage
from ..config import Capability, Prefer, Price, Review, RouterModelConfig, Routing, Target, TargetProfile
from ..conversation.additions import NO_ADVICE, Advice
from ..conversation.answer import Answer
from ..conversation.request import Request
from ..health import PolicyHealth


class Limits(Struct, frozen=True):
    """The limits on the cost, the time, the turns and the calls of a request.

    The attribute `deadline` is a time in seconds on the event loop's clock, and the attribute `duration` is the number
    of seconds that the request may take. The attribute `unsized` names a part of the request that may have any number
    of tokens, such as a video. The router cannot guarantee a money limit for a request with such a part. The attribute
    `unsized` is None if the request has no such part or no money limit. The attribute `prefer` is the goal
    `cost`, `balanced` or `quality`. If the client, or else the configuration, gives the goal as a number, the attribute
    `value` is this number: the worth of a good answer in US dollars.
    """

    spending: Spending
    deadline: float
    duration: float
    max_turns: int
    max_calls: int
    review: Review
    prefer: Prefer
    ledger: Ledger
    unsized: str | None = None
    value: float | None = None

    @property
    def seconds_left(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()

    @property
    def is_last_turn(self) -> bool:
        """Whether the current turn is the last turn that the request may have."""
        return self.ledger.turns >= self.max_turns


class Candidate(Struct, frozen=True):
    """A target that can serve the request.

    The attributes `input_tokens` and `output_tokens` are the estimated numbers of tokens of a call for the request. The
    attribute `latency` is the average latency, in seconds, of the target's recent answers (None if unknown). The
    attribute `in_flight` is the number of in-flight calls to the target. The attribute `model` is the name under which
    the target's endpoint serves the model.
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
    profile: TargetProfile | None = None
    model: str = ""

    @property
    def input_cost(self) -> Decimal | None:
        """The estimated cost of a call without any output, in US dollars, or None if the price is unknown."""
        return None if self.price is None else cost_of(Usage(self.input_tokens), self.price)

    @property
    def estimated_cost(self) -> Decimal | None:
        """The estimated cost of a call in US dollars, or None if the price is unknown."""
        return None if self.price is None else worst_cost(self.price, self.input_tokens, self.output_tokens)


class PastCall(Struct, frozen=True):
    """A call that was made for the request, with the text of the answer or the message of the failure.

    The attributes `cost` (in US dollars) and `latency` (in seconds) are those of the call's last attempt.
    """

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
    """A target to call, and the advice for the call (an optional system prompt and an optional temperature)."""

    target: str
    advice: Advice = NO_ADVICE


class Decision(Struct, frozen=True):
    """A policy's decision in one turn.

    The attribute `calls` contains the calls to make. The attribute `select` is the call id, the function name
    or the model name of an earlier call whose answer is returned to the client. The attribute `direct` is the policy's
    own answer. If the attribute `final` is true, the router calls only the first target in `calls` that can still be
    called, and returns the target's answer without a review. If the attributes `calls`, `select` and `direct` are all
    empty, the policy made no decision, and the attribute `reason` explains why. The attribute `cost` is the cost of the
    decision in US dollars. The ledger already contains this cost. The attribute `explanation` is the value for the
    field `decision` of `router_metadata`, or None. The attribute `failed` is true if an error in the policy prevented
    the decision. The attribute `unreadable` is the number of answers of the router model that could not be parsed. The
    attribute `repaired` is true if the policy tried a second call of the router model because the first answer could
    not be parsed.
    """

    calls: tuple[PlannedCall, ...] = ()
    select: str | None = None
    direct: Answer | None = None
    final: bool = False
    reason: str | None = None
    cost: Decimal = NOTHING
    unreadable: int = 0
    repaired: bool = False
    explanation: dict[str, Any] | None = None
    failed: bool = False


def record(decision: Decision, ledger: Ledger) -> None:
    """Records a decision in the ledger of a request."""
    ledger.decided(
        unreadable=decision.unreadable,
        repaired=decision.repaired,
        failed=decision.failed,
        explanation=decision.explanation,
    )


class Policy(Protocol):
    """The interface of a policy. A policy decides which targets to call for a request, or which answer to return."""

    async def decide(
        self, conversation: Request, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[PastCall]
    ) -> Decision:
        """Returns the decision of one turn.

        The parameter `calls` contains the earlier calls of the request, including failed calls, but not cancelled
        calls. On the last turn, a decision to make calls is ignored if a completed answer exists. The method `decide`
        must not raise an error if an upstream fails.
        """


@runtime_checkable
class Explains(Protocol):
    """A policy that calls the router model with prompts and tools, which the endpoint `/debug/tools` shows."""

    def explain(self, candidates: Sequence[Candidate], prefer: Prefer) -> dict[str, Any]:
        """Returns the prompts and tools for the given candidates, as fields of the response of `/debug/tools`."""


@runtime_checkable
class ReadsFiles(Protocol):
    """A policy that reads files, and never calls the router model."""

    async def refresh(self) -> None:
        """Reads files that have changed. The router API calls the method about once per second."""

    def health(self) -> PolicyHealth:
        """Returns whether the policy can decide, and with which artefact."""


class PaidAnswer(Struct, frozen=True):
    """An answer of the router model and its cost in US dollars."""

    answer: Answer
    cost: Decimal


class Ask(Protocol):
    """The function that calls the router model."""

    async def __call__(
        self,
        conversation: Callable[[int], list[dict[str, Any]]],
        tools: bytes,
        limits: Limits,
        situation: Callable[[str], bytes] | None = None,
    ) -> PaidAnswer:
        """Returns the router model's answer.

        The function `conversation` returns the messages for the router model. The argument of the function
        `conversation` is the number of tokens of the router model's context that are available for the messages. The
        parameter `tools` is a JSON object that contains either the tools or the schema of the answer, as fields of the
        request body. The function `situation` returns the value of the field `rl_router` of the request body, as JSON.
        The function is called with the hash of the artefact by which the router model's server decides, and only if the
        server announces that it reads the field. If the request has a money limit, the worst-case cost of the call is
        reserved in `limits.spending`. The call is recorded in `limits.ledger`. Raises NoDecisionError if the router
        model cannot be called, or if the call fails.
        """


class PolicySetup(Struct, frozen=True):
    """The input for a new policy: parts of the configuration, and a function that calls the router model.

    The attribute `targets` contains the configured or discovered targets. The attribute `unit` is the mean cost of
    1,000 input tokens and 300 output tokens over the targets with a price, in US dollars, or None if no target has a
    price above 0.
    """

    router: RouterModelConfig
    routing: Routing
    ask: Ask
    targets: tuple[Target, ...] = ()
    unit: float | None = None


class _Priced(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def estimated_cost(self) -> Decimal | None: ...


_P = TypeVar("_P", bound=_Priced)


def fallback_order(candidates: Sequence[_P], prefer: Prefer, configured: Sequence[str]) -> list[_P]:
    """Returns the candidates in the fallback order.

    If the parameter `configured` contains names of targets, only the named candidates are returned, in the order of the
    names. If the parameter `configured` is empty, all candidates are returned, sorted by estimated cost: the lowest
    first if `prefer` is `cost`, the highest first if `prefer` is `quality`, and the closest to the median first if
    `prefer` is `balanced`. Candidates without a known price come last in this order.
    """
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
