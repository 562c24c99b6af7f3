"""What a request may cost and how long it may take: the stricter of what the server and the request say."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal

from msgspec import Struct

from ..config import Prefer, Price, Review, Routing, Target
from ..ledger import NOTHING, Ledger, bought_tokens, total, worst_cost
from .wire import ChatRequest

LEAST_OUTPUT = 256
"""With less room for an answer than this, in tokens, a target is not asked at all."""

MOST_OUTPUT = 16_384
"""No more is asked for where only money bounds an answer: nearly every provider takes so many tokens, few take more."""


class Limits(Struct, frozen=True):
    """The limits of one request; `deadline` is a time of the event loop's clock, `max_cost` US dollars."""

    max_cost: Decimal | None
    deadline: float
    max_turns: int
    max_calls: int
    review: Review
    prefer: Prefer
    ledger: Ledger

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
        max_cost=min(costs) if costs else None,
        deadline=asyncio.get_running_loop().time() + milliseconds / 1000,
        max_turns=min(routing.max_turns, asked.max_turns or routing.max_turns),
        max_calls=routing.max_calls,
        review=_stricter_review(routing.review, asked.review),
        prefer=asked.prefer or routing.prefer,
        ledger=ledger,
    )


def output_limit(request: ChatRequest, target: Target, left: Decimal, *, more_bytes: int = 0) -> int | None:
    """The tokens of one choice that `left` US dollars buy; None for no bound. Less than 1 where it buys nothing.

    `more_bytes` go into the call beside the request. The client's own limit stays where it is set: the answer is then
    that limit, or 0 where it cannot be paid.
    """
    price = target.price
    if price is None:
        return 0
    money = total([left, -worst_cost(price, request.most_input_tokens + more_bytes // 2, 0)])
    if money < 0:
        return 0
    if price.output == 0:
        return request.max_output
    bought = bought_tokens(money, price) // request.n
    if request.max_output is not None:
        return request.max_output if request.max_output <= bought else 0
    # No less than the least, however little the context leaves by our estimate: the rest is not short of money.
    room = MOST_OUTPUT if target.context_length is None else target.context_length - request.input_tokens
    return min(bought, max(room, LEAST_OUTPUT), MOST_OUTPUT)


def _stricter_review(server: Review, asked: Review | None) -> Review:
    # `never` bounds the calls and `always` what goes out unseen, so each binds; `buffered` asks for neither.
    return asked if asked is not None and server == "buffered" else server
