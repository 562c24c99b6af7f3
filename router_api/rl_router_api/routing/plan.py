"""Selects the planned calls that free slots and the remaining money allow, and sets the output limit of each call."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from ..accounting.money import share_of
from ..config import Routing
from ..conversation.additions import NO_ADVICE, Advice
from ..conversation.request import Request
from .candidates import Callee
from .decide import Limits
from .limits import min_output, output_limit


class ReadyCall(Struct, frozen=True):
    """A call to a target, with the advice and the output limit for the call.

    The attribute `limit` is the maximum number of output tokens for each choice, or None if no money limit restricts
    the output.
    """

    callee: Callee
    advice: Advice
    limit: int | None


def ready(
    request: Request, limits: Limits, routing: Routing, callee: Callee, advice: Advice = NO_ADVICE, *, sharing: int = 1
) -> ReadyCall:
    """Returns a call that may spend an equal share of the remaining money, if the request has a money limit.

    The parameter `sharing` is the number of calls that share the remaining money equally. If `routing.system_prompts`
    is false, the call does not get the system prompt of the advice.
    """
    used = advice if routing.system_prompts else replace(advice, system_prompt=None)
    left = limits.spending.left
    if left is None:
        return ReadyCall(callee, used, None)
    share = share_of(left, sharing)
    limit = output_limit(request, callee.target, callee.upstream, share, more_bytes=used.size)
    return ReadyCall(callee, used, limit)


def affordable(request: Request, call: ReadyCall) -> bool:
    """Returns whether the money limit, if any, allows at least the minimum number of output tokens per choice."""
    return call.limit is None or call.limit >= min_output(request, call.callee.target)


def affordable_together(
    request: Request, limits: Limits, routing: Routing, planned: Sequence[tuple[Callee, Advice]]
) -> list[ReadyCall]:
    """Returns as many of the first planned calls as the remaining money can pay for.

    The calls share the remaining money equally.
    """
    for count in range(len(planned), 0, -1):
        calls = [ready(request, limits, routing, callee, advice, sharing=count) for callee, advice in planned[:count]]
        if all(affordable(request, call) for call in calls):
            return calls
    return []


def within_free_slots(planned: Sequence[tuple[Callee, Advice]]) -> list[tuple[Callee, Advice]]:
    """Returns the planned calls that fit into the free slots of their targets."""
    fitting: list[tuple[Callee, Advice]] = []
    taken: dict[str, int] = {}
    for callee, advice in planned:
        count = taken.get(callee.name, 0)
        if count < callee.upstream.free_slots:
            taken[callee.name] = count + 1
            fitting.append((callee, advice))
    return fitting
