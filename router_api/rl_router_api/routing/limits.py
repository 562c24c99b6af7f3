"""Determines the limits of a request on cost, time, turns and calls.

If the server and the client both set a limit, the stricter limit applies.
"""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal

from ..accounting.ledger import Ledger
from ..accounting.money import bought_tokens, dearest_charges, total, worst_cost
from ..accounting.spending import UNLIMITED, MaxCost
from ..config import Review, Target
from ..conversation.request import Request
from ..upstreams.fleet import Fleet
from ..upstreams.upstream import Upstream
from .decide import Limits
from .goal import word_for

MIN_OUTPUT = 256
"""The minimum number of output tokens that a money limit must allow for each choice of a call. If the output limit of
the client is below 256 tokens, this output limit is the minimum. If the client sets no output limit, the same holds for
the target's field `max_output`."""

DEFAULT_MAX_OUTPUT = 32_768
"""The maximum output limit per choice, in tokens, that the router sets because of a money limit if neither the client
nor the target's field `max_output` sets a limit."""


def limits_of(
    request: Request, fleet: Fleet, unit: float | None, ledger: Ledger, received_at: float | None = None
) -> Limits:
    """Returns the limits of a request.

    The parameter `unit` is the result of the function `unit_of` in `goal.py`. The parameter `received_at` is the time
    when the request arrived, in seconds on the event loop's clock. The deadline of the request is computed from this
    time, or from the current time if `received_at` is None.
    """
    routing, options = fleet.routing, request.options
    goal = options.prefer or routing.prefer
    costs = [cost for cost in (routing.max_cost, options.max_cost) if cost is not None]
    duration = min(options.deadline_ms or math.inf, routing.deadline * 1000) / 1000
    return Limits(
        spending=MaxCost(min(costs)) if costs else UNLIMITED,
        unsized=fleet.unsized_part(request) if costs else None,
        deadline=(asyncio.get_running_loop().time() if received_at is None else received_at) + duration,
        duration=duration,
        max_turns=min(routing.max_turns, options.max_turns or routing.max_turns),
        max_calls=routing.max_calls,
        review=_stricter_review(routing.review, options.review),
        prefer=goal if isinstance(goal, str) else word_for(goal, unit),
        ledger=ledger,
        value=None if isinstance(goal, str) else float(goal),
    )


def min_output(request: Request, target: Target) -> int:
    """Returns the minimum number of output tokens per choice that the money limit must allow for a call to a target."""
    return min(request.max_output or target.max_output or MIN_OUTPUT, MIN_OUTPUT)


def output_limit(
    request: Request, target: Target, upstream: Upstream, left: Decimal, *, more_bytes: int = 0
) -> int | None:
    """Returns the maximum number of output tokens for each choice of a call that may cost `left` US dollars.

    Returns None if the money pays for the input, output costs nothing, and the client sets no output limit. A result
    below 1 means that the money does not suffice for the call, or that the target's price is unknown. Otherwise, the
    maximum is the client's output limit, or the result of `_default_limit` if the client sets no output limit. If
    output costs money, the maximum is at most the number of tokens that the money buys for each choice. The parameter
    `more_bytes` is the size, in bytes, of the advice that is added to the request.
    """
    price = target.price
    if price is None:
        return 0
    max_input = upstream.dialect.max_input_tokens(request, target) + more_bytes
    money = total([left, -worst_cost(price, max_input, 0)])
    if money < 0:
        return 0
    _, output_price = dearest_charges(price, max_input)
    if output_price == 0:
        return request.max_output
    return min(request.max_output or _default_limit(request, target), bought_tokens(money, output_price) // request.n)


def _default_limit(request: Request, target: Target) -> int:
    """Returns the output limit per choice, in tokens, for a request without an output limit of the client."""
    limit = target.max_output or DEFAULT_MAX_OUTPUT
    if target.context_length is None:
        return limit
    # The limit is at least MIN_OUTPUT. Otherwise a long request would get an error about the money limit.
    return min(limit, max(target.context_length - request.input_tokens, MIN_OUTPUT))


def _stricter_review(server: Review, requested: Review | None) -> Review:
    # The server's value `never` limits the calls, and the server's value `always` prevents answers without a review, so
    # clients cannot override these two values.
    return requested if requested is not None and server == "buffered" else server
