"""What a request called and what that cost, exactly.

Every upstream attempt opens an entry before it is sent, so that nothing that was paid for can be lost: what is still
open when the request ends is booked as cancelled. Costs are Decimals, computed from the usage that upstreams report and
the prices configured; a usage that never came is estimated and marked so.
"""

from __future__ import annotations

import math
import time
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from functools import reduce
from typing import Any, Literal

from msgspec import Raw, Struct, field

from ..config import Price

Status = Literal["ok", "error", "timeout", "cancelled"]
Texts = Literal["full", "brief", "none"]
FREE = Price()
# Wide enough that no product or sum of prices and tokens is ever rounded.
_EXACT = Context(prec=80)
NOTHING, _ONE = Decimal(0), Decimal(1)
_FINEST = Decimal("1e-18")
"""What a token costs at the smallest price there is, in US dollars."""


class _PromptDetails(Struct):
    cached_tokens: int | None = None


class Usage(Struct):
    """OpenAI's usage, as far as it is paid for; tokens."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None

    @property
    def input(self) -> int:
        return max(self.prompt_tokens or 0, 0)

    @property
    def output(self) -> int:
        return max(self.completion_tokens or 0, 0)

    @property
    def cached(self) -> int:
        details = self.prompt_tokens_details
        return min(max((details.cached_tokens if details else 0) or 0, 0), self.input)

    @property
    def total(self) -> int:
        return self.total_tokens if self.total_tokens and self.total_tokens > 0 else self.input + self.output


def cost_of(usage: Usage, price: Price) -> Decimal:
    """US dollars, exact."""
    cached_price, cached = price.input if price.cached_input is None else price.cached_input, usage.cached
    millionths = _EXACT.multiply(price.input, usage.input - cached)
    millionths = _EXACT.fma(cached_price, cached, millionths)
    millionths = _EXACT.fma(price.output, usage.output, millionths)
    return shortest(_EXACT.add(millionths.scaleb(-6, _EXACT), price.request))


def worst_cost(price: Price, input_tokens: int, output_tokens: int) -> Decimal:
    """What a call costs at most, in US dollars: nothing cached, every output token written."""
    dearest_input = max(price.input, price.cached_input or NOTHING)
    millionths = _EXACT.fma(price.output, output_tokens, _EXACT.multiply(dearest_input, input_tokens))
    return _EXACT.add(millionths.scaleb(-6, _EXACT), price.request)


def bought_tokens(dollars: Decimal, price: Price) -> int:
    """The output tokens that so much pays for at most, at a price that is not 0."""
    with localcontext(_EXACT) as exact:
        exact.rounding = ROUND_FLOOR
        return int(dollars.scaleb(6) / price.output)


def share_of(dollars: Decimal, calls: int) -> Decimal:
    """What each of so many calls may spend; rounded down, so that together they never spend more."""
    with localcontext(_EXACT) as exact:
        exact.rounding = ROUND_FLOOR
        return (dollars / calls).quantize(_FINEST)


def picodollars(dollars: Decimal) -> int:
    """The whole picodollars that pay for it."""
    return math.ceil(dollars.scaleb(12, _EXACT))


def total(costs: list[Decimal]) -> Decimal:
    """The exact sum, as the shortest number where the costs are such numbers."""
    some = list(filter(None, costs))
    if len(some) == 1:
        return some[0]
    return shortest(reduce(_EXACT.add, some)) if some else NOTHING


def shortest(value: Decimal) -> Decimal:
    """The same number without trailing zeros, so that it is written as the shortest plain JSON number."""
    plain = value.normalize(_EXACT)
    # Where the last digit stands for more than ones, it would be written with an exponent.
    return plain.quantize(_ONE, context=_EXACT) if plain and plain == plain.to_integral_value() else plain


class Entry(Struct):
    """One upstream attempt."""

    call_id: str
    model_id: str
    price: Price | None
    counted_input: int
    function_name: str | None = None
    arguments: dict[str, Any] = {}
    reserved: Decimal = NOTHING
    """What it may still cost beyond `cost`: while it is under way, and if its usage never came."""
    response: str | None = None
    usage: Raw | dict[str, int] | None = None
    read_usage: Usage | None = None
    cost: Decimal = NOTHING
    """As the shortest number."""
    tokens: int = 0
    status: Status | None = None
    error: str | None = None
    estimated: bool = False
    suspect: bool = False
    """Whether the upstream's usage costs more than the worst case of what it was sent."""
    selected: bool = False
    dropped: tuple[str, ...] = ()
    received_bytes: int = 0
    """Text received so far, in bytes, for the estimate when the call is cut."""
    started: float = field(default_factory=time.monotonic)
    latency: float = 0.0
    first_byte: float | None = None

    @property
    def open(self) -> bool:
        return self.status is None

    def report(self, usage: Usage, raw: Raw) -> None:
        """Takes the usage that the upstream reported."""
        self.read_usage, self.usage = usage, raw

    def close(self, status: Status, error: str | None = None, *, billed: bool = True) -> None:
        """Ends the attempt; `billed=False` where it was refused before anything was generated."""
        if not self.open:
            return
        self.status, self.error = status, error
        self.latency = time.monotonic() - self.started
        worst, self.reserved = self.reserved, NOTHING
        if not billed:
            return
        if self.read_usage is None:
            self.estimated = True
            self.read_usage = Usage(self.counted_input, (self.received_bytes + 3) // 4)
            self.usage = {
                "prompt_tokens": self.read_usage.input,
                "completion_tokens": self.read_usage.output,
                "total_tokens": self.read_usage.total,
            }
        self.tokens = self.read_usage.total
        self.cost = cost_of(self.read_usage, self.price or FREE)
        self.suspect = bool(worst) and self.cost > worst
        if self.estimated:
            # It may be billed in full all the same.
            self.reserved = max(worst - self.cost, NOTHING)

    def as_json(self) -> dict[str, Any]:
        """What all entries say in `router_metadata`."""
        said: dict[str, Any] = {
            "call_id": self.call_id,
            "model_id": self.model_id,
            "cost": self.cost,
            "tokens_used": self.tokens,
            "usage": self.usage,
            "latency": round(self.latency, 4),
            "status": self.status or "cancelled",
        }
        if self.error:
            said["error"] = self.error
        if self.estimated:
            said["estimated"] = True
        if self.suspect:
            said["suspect"] = True
        if self.price is None:
            said["unpriced"] = True
        return said

    def as_target_json(self, texts: Texts) -> dict[str, Any]:
        """An entry of `call_history`."""
        said = self.as_json()
        said["function_name"], said["selected"], said["arguments"] = self.function_name, self.selected, self.arguments
        if texts == "full":
            said["response"] = self.response
        if texts == "none":
            said["arguments"] = {name: value for name, value in self.arguments.items() if not isinstance(value, str)}
        if self.dropped:
            said["dropped_params"] = list(self.dropped)
        return said


class Ledger:
    """The books of one request."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.started = time.monotonic()
        self.router_calls: list[Entry] = []
        self.target_calls: list[Entry] = []
        self.turns = 0
        self.repaired = False
        """Whether the request's one repair try was used."""
        self.strategy: str | None = None
        self.model_used: str | None = None
        self.unreadable = 0
        """Decisions that could not be read."""
        self.first_answered: float | None = None
        """Seconds until the first byte of a streamed answer went out."""
        self._end: float | None = None
        self._costs: tuple[Decimal, Decimal, Decimal] | None = None
        """In all, of the router model and of the targets, once they are final."""

    def began_to_answer(self) -> None:
        """A part of a streamed answer goes out."""
        if self.first_answered is None:
            self.first_answered = time.monotonic() - self.started

    def open_router_call(self, model: str, price: Price, counted_input: int, reserved: Decimal) -> Entry:
        """A new entry for a decision."""
        entry = Entry(f"router_{len(self.router_calls) + 1}", model, price, counted_input, reserved=reserved)
        self.router_calls.append(entry)
        return entry

    def open_target_call(
        self, target: str, function: str, price: Price | None, counted_input: int, reserved: Decimal
    ) -> Entry:
        """A new entry for a target's call."""
        name = f"call_{len(self.target_calls) + 1}"
        entry = Entry(name, target, price, counted_input, function_name=function, reserved=reserved)
        self.target_calls.append(entry)
        return entry

    def committed(self) -> Decimal:
        """What was spent and what the calls under way may still cost, in US dollars."""
        entries = self.router_calls + self.target_calls
        return total([entry.cost + entry.reserved for entry in entries])

    def chosen(self, strategy: str, entry: Entry | None, model: str) -> None:
        """Writes down whose answer goes out and why."""
        self.strategy, self.model_used = strategy, model
        if entry is not None:
            entry.selected = True

    def close(self) -> None:
        """Books what is still open as cancelled; called once nothing more is asked, however the request ends."""
        if self._end is not None:
            return
        for entry in self.router_calls + self.target_calls:
            entry.close("cancelled")
        self._end, self._costs = time.monotonic(), self._sums()

    @property
    def total_time(self) -> float:
        return (self._end or time.monotonic()) - self.started

    @property
    def router_cost(self) -> Decimal:
        return total([entry.cost for entry in self.router_calls]) if self.router_calls else NOTHING

    @property
    def target_cost(self) -> Decimal:
        return total([entry.cost for entry in self.target_calls])

    def _sums(self) -> tuple[Decimal, Decimal, Decimal]:
        router_cost, target_cost = self.router_cost, self.target_cost
        return total([router_cost, target_cost]), router_cost, target_cost

    def metadata(self, texts: Texts) -> dict[str, Any]:
        """`router_metadata`: all of it, or without the answers (`brief`), or without any text (`none`, for the log)."""
        total_cost, router_cost, target_cost = self._costs or self._sums()
        return {
            "model_used": self.model_used,
            "routing_strategy": self.strategy,
            "turns_used": self.turns,
            "total_cost": total_cost,
            "router_cost": router_cost,
            "target_models_cost": target_cost,
            "total_time": round(self.total_time, 4),
            "call_history": [entry.as_target_json(texts) for entry in self.target_calls],
            "router_calls": [entry.as_json() for entry in self.router_calls],
            "request_id": self.request_id,
        }
