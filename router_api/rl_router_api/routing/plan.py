"""Which of the planned calls there is room for, and what each of them may spend."""

from __future__ import annotations

from collections import Counter
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
    """A call for which the limits leave room: whom to ask, with which advice, and the limit on the output that the
    money sets, in tokens of one choice."""

    callee: Callee
    advice: Advice
    limit: int | None


def ready(
    request: Request, limits: Limits, routing: Routing, callee: Callee, advice: Advice = NO_ADVICE, *, sharing: int = 1
) -> ReadyCall:
    """Returns the call, which may spend its share of what is left of the money."""
    used = advice if routing.system_prompts else replace(advice, system_prompt=None)
    left = limits.spending.left
    if left is None:
        return ReadyCall(callee, used, None)
    share = share_of(left, sharing)
    limit = output_limit(request, callee.target, callee.upstream, share, more_bytes=used.size)
    return ReadyCall(callee, used, limit)


def affordable(request: Request, call: ReadyCall) -> bool:
    """Returns whether the money leaves room for an answer."""
    return call.limit is None or call.limit >= min_output(request)


def affordable_together(
    request: Request, limits: Limits, routing: Routing, wanted: Sequence[tuple[Callee, Advice]]
) -> list[ReadyCall]:
    """Returns as many of the calls, the first of them, as can be made at once."""
    for count in range(len(wanted), 0, -1):
        calls = [ready(request, limits, routing, callee, advice, sharing=count) for callee, advice in wanted[:count]]
        if all(affordable(request, call) for call in calls):
            return calls
    return []


def within_free_slots(wanted: Sequence[tuple[Callee, Advice]]) -> list[tuple[Callee, Advice]]:
    """Returns the calls for which their targets have a free slot."""
    kept_calls, taken = [], Counter[str]()
    for callee, advice in wanted:
        if taken[callee.name] < callee.upstream.free_slots:
            taken[callee.name] += 1
            kept_calls.append((callee, advice))
    return kept_calls
