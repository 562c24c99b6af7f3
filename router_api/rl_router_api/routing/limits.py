"""What a request may cost and how long it may take: the stricter of what the server and the request say."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal

from ..accounting.ledger import Ledger
from ..accounting.money import bought_tokens, total, worst_cost
from ..accounting.spending import UNLIMITED, MaxCost
from ..config import Review, Target
from ..conversation.request import Request
from ..upstreams.fleet import Fleet
from ..upstreams.upstream import Upstream
from .decide import Limits

MIN_OUTPUT = 256
"""With less room for an answer than this, in tokens, a target is not asked at all."""

DEFAULT_MAX_OUTPUT = 32_768
"""The output limit, in tokens, if neither the client nor the target's `max_output` sets one."""


def limits_of(request: Request, fleet: Fleet, ledger: Ledger) -> Limits:
    """Returns the limits that a request runs under from now on."""
    routing, options = fleet.routing, request.options
    costs = [cost for cost in (routing.max_cost, options.max_cost) if cost is not None]
    milliseconds = min(options.deadline_ms or math.inf, routing.deadline * 1000)
    return Limits(
        spending=MaxCost(min(costs)) if costs else UNLIMITED,
        unsized=fleet.unsized_part(request) if costs else None,
        deadline=asyncio.get_running_loop().time() + milliseconds / 1000,
        max_turns=min(routing.max_turns, options.max_turns or routing.max_turns),
        max_calls=routing.max_calls,
        review=_stricter_review(routing.review, options.review),
        prefer=options.prefer or routing.prefer,
        ledger=ledger,
    )


def min_output(request: Request) -> int:
    """Returns the tokens of output below which a target is not asked."""
    return min(request.max_output or MIN_OUTPUT, MIN_OUTPUT)


def output_limit(
    request: Request, target: Target, upstream: Upstream, left: Decimal, *, more_bytes: int = 0
) -> int | None:
    """Returns the tokens of one choice that a call may write for `left` US dollars; None for no bound, less than 1 if
    the call cannot be made at all.

    It is the client's own limit, or else the target's, or as much of that as the money buys. `more_bytes` go into the
    call beside the request.
    """
    price = target.price
    if price is None:
        return 0
    read = upstream.dialect.max_input_tokens(request, target) + more_bytes
    money = total([left, -worst_cost(price, read, 0)])
    if money < 0:
        return 0
    if price.output == 0:
        return request.max_output
    return min(request.max_output or _default_limit(request, target), bought_tokens(money, price) // request.n)


def _default_limit(request: Request, target: Target) -> int:
    """Returns the limit for a client that sets none."""
    limit = target.max_output or DEFAULT_MAX_OUTPUT
    if target.context_length is None:
        return limit
    # At least the minimum, however little the context leaves by our estimate: money is not what is short then.
    return min(limit, max(target.context_length - request.input_tokens, MIN_OUTPUT))


def _stricter_review(server: Review, asked: Review | None) -> Review:
    # `never` bounds the calls and `always` what goes out unseen, so each binds; `buffered` asks for neither.
    return asked if asked is not None and server == "buffered" else server
