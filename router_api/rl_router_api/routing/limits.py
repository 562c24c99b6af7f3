"""What a request may cost and how long it may take: the stricter of what the server and the request say."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal

from msgspec import Struct

from ..accounting.ledger import NOTHING, Ledger, bought_tokens, total, worst_cost
from ..config import Prefer, Price, Review, Routing, Target
from ..dialects.chat.read_request import ChatRequest
from ..dialects.chat.sizes import max_input_tokens, unsized_part

LEAST_OUTPUT = 256
"""With less room for an answer than this, in tokens, a target is not asked at all."""

MOST_OUTPUT = 32_768
"""The output limit, in tokens, if neither the client nor the target's `max_output` sets one."""


class Limits(Struct, frozen=True):
    """The limits of one request; `deadline` is a time of the event loop's clock, `max_cost` US dollars.

    `unsized` names a part of the request that no `max_cost` can bound.
    """

    max_cost: Decimal | None
    deadline: float
    max_turns: int
    max_calls: int
    review: Review
    prefer: Prefer
    ledger: Ledger
    unsized: str | None = None

    @property
    def left(self) -> Decimal | None:
        """US dollars that may still be spent, calls under way taken off; None without a limit."""
        return None if self.max_cost is None else total([self.max_cost, -self.ledger.committed()])

    @property
    def seconds_left(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()

    def reserve(self, price: Price, input_tokens: int, output_tokens: int) -> Decimal:
        """What is set aside for a call while it is under way: its worst case, where a limit makes that matter."""
        return NOTHING if self.max_cost is None else worst_cost(price, input_tokens, output_tokens)

    def affords(self, price: Price, input_tokens: int, output_tokens: int) -> bool:
        """Whether a call's worst case still fits."""
        return self.left is None or worst_cost(price, input_tokens, output_tokens) <= self.left


def limits_of(request: ChatRequest, routing: Routing, ledger: Ledger) -> Limits:
    """The limits a request runs under."""
    asked = request.options
    costs = [cost for cost in (routing.max_cost, asked.max_cost) if cost is not None]
    milliseconds = min(asked.deadline_ms or math.inf, routing.deadline * 1000)
    return Limits(
        unsized=unsized_part(request) if costs else None,
        max_cost=min(costs) if costs else None,
        deadline=asyncio.get_running_loop().time() + milliseconds / 1000,
        max_turns=min(routing.max_turns, asked.max_turns or routing.max_turns),
        max_calls=routing.max_calls,
        review=_stricter_review(routing.review, asked.review),
        prefer=asked.prefer or routing.prefer,
        ledger=ledger,
    )


def least_output(request: ChatRequest) -> int:
    """The tokens of output below which a target is not asked."""
    return min(request.max_output or LEAST_OUTPUT, LEAST_OUTPUT)


def output_limit(request: ChatRequest, target: Target, left: Decimal, *, more_bytes: int = 0) -> int | None:
    """The tokens of one choice that a call may write for `left` US dollars; None for no bound, less than 1 if the call
    cannot be made at all.

    It is the client's own limit, or else the target's, or as much of that as the money buys. `more_bytes` go into the
    call beside the request.
    """
    price = target.price
    if price is None:
        return 0
    money = total([left, -worst_cost(price, max_input_tokens(request, target) + more_bytes, 0)])
    if money < 0:
        return 0
    if price.output == 0:
        return request.max_output
    return min(request.max_output or _usual_limit(request, target), bought_tokens(money, price) // request.n)


def _usual_limit(request: ChatRequest, target: Target) -> int:
    """The limit for a client that sets none."""
    most = target.max_output or MOST_OUTPUT
    if target.context_length is None:
        return most
    # No less than the least, however little the context leaves by our estimate: the rest is not short of money.
    return min(most, max(target.context_length - request.input_tokens, LEAST_OUTPUT))


def _stricter_review(server: Review, asked: Review | None) -> Review:
    # `never` bounds the calls and `always` what goes out unseen, so each binds; `buffered` asks for neither.
    return asked if asked is not None and server == "buffered" else server
