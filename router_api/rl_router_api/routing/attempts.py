"""Makes one attempt to call a target: opens a ledger entry, reserves money under a money limit, and sends the call."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from ..accounting.ledger import Entry, Ledger
from ..accounting.money import FREE, worst_cost
from ..accounting.spending import Spending
from ..conversation.additions import MoneyGuard
from ..conversation.answer import assemble, text_of
from ..conversation.request import Request
from ..errors import CallFailedError, UnaffordableError
from ..upstreams.call import complete
from ..upstreams.fleet import Fleet
from ..upstreams.stream import ChunkStream, open_stream
from .candidates import Callee
from .decide import Limits
from .outcome import MadeCall
from .plan import ReadyCall


async def attempt(
    request: Request, fleet: Fleet, limits: Limits, call: ReadyCall, *, live: bool, without: Collection[str] = ()
) -> MadeCall:
    """Makes one attempt to call a target, and returns the answer or the failure.

    If `live` is true, a requested stream is returned while the answer arrives. The parameter `without` contains the
    names of the router's additions that the request to the target must not contain.
    """
    callee, ledger = call.callee, limits.ledger
    upstream, transport, traceparent = callee.upstream, fleet.transport, ledger.traceparent
    guard = None if limits.spending.left is None else MoneyGuard(call.limit)
    payload = fleet.payload(request, callee.target, upstream, call.advice, guard, without=without)
    entry = _open_entry(ledger, request, call)
    entry.dropped, entry.added = payload.dropped, payload.added
    entry.keeps_cache_long = payload.keeps_cache_long
    try:
        if guard is not None:
            _reserve(limits.spending, request, call, entry)
        if not request.stream:
            answer = await complete(upstream, transport, payload.body, entry, traceparent=traceparent)
            return MadeCall(callee, entry, answer=answer, text=entry.response or "")
        stream = await open_stream(
            upstream, transport, payload.body, entry, request.n, traceparent=traceparent, is_kept=not live
        )
        return MadeCall(callee, entry, stream=stream) if live else await _collect(callee, entry, stream)
    except CallFailedError as failure:
        return MadeCall(callee, entry, failure=_with_blame(request, limits.spending, call, failure))


def _open_entry(ledger: Ledger, request: Request, call: ReadyCall) -> Entry:
    """Opens the ledger entry of an attempt to call a target."""
    target, advice = call.callee.target, call.advice
    counted = request.input_tokens + advice.size // 4
    entry = ledger.open_target_call(target.name, target.tool_name, target.price, counted)
    entry.arguments = advice.as_arguments()
    return entry


def _reserve(spending: Spending, request: Request, call: ReadyCall, entry: Entry) -> None:
    """Reserves a call's worst-case cost. Raises CallFailedError if less than this cost is left of the money limit."""
    try:
        entry.hold = spending.reserve(_worst_cost(request, call))
    except UnaffordableError as error:
        entry.close("error", error.message, billed=False)
        raise CallFailedError("unaffordable", error.message, refusal=error) from None


def _with_blame(request: Request, spending: Spending, call: ReadyCall, failure: CallFailedError) -> CallFailedError:
    """Returns `failure`, or a failure of the kind `unaffordable` if the target rejected the router's output limit.

    The router never omits the output limit that a money limit requires. So a target that rejects the output limit
    cannot serve the request, but other targets may.
    """
    upstream = call.callee.upstream
    if call.limit is None or request.max_output is not None or not failure.may_refuse_additions:
        return failure
    if not upstream.refused_additions.names_output_limit(failure.error):
        return failure
    reason = (
        f"{upstream.name}: the target rejected the output limit of {call.limit} tokens that the router added for"
        f" `max_cost`: {str(failure.error.get('message')).rstrip('.')}. Set the target's `max_output` or"
        " `context_length`, or rename `max_tokens` with the target's `params.rename`"
    )
    return CallFailedError("unaffordable", failure.message, refusal=spending.refusal(reason))


def _worst_cost(request: Request, call: ReadyCall) -> Decimal:
    callee = call.callee
    max_input = callee.upstream.dialect.max_input_tokens(request, callee.target) + call.advice.size
    return worst_cost(callee.target.price or FREE, max_input, request.n * (call.limit or 0))


async def _collect(callee: Callee, entry: Entry, stream: ChunkStream) -> MadeCall:
    """Reads the whole stream, so that a policy can review the answer before the client gets the answer."""
    try:
        chunks = tuple([chunk async for batch in stream for chunk in batch])
    finally:
        stream.close()
    entry.response = text_of(assemble(chunks))
    return MadeCall(callee, entry, chunks=chunks, text=entry.response)
