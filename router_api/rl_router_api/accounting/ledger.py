"""The ledger: what a request called and what that cost, exactly; `router_metadata` and `call_history` are made of it.

Every upstream attempt opens an entry before it is sent, so that nothing that was paid for can be lost: what is still
open when the request ends is booked as cancelled. A usage that never came is estimated and marked so.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any, Literal

from msgspec import Raw, Struct, field

from ..config import Price
from .money import FREE, NOTHING, cost_of, total
from .spending import NO_HOLD, Hold
from .usage import Usage, read_usage

Status = Literal["ok", "error", "timeout", "cancelled"]
Texts = Literal["full", "brief", "none"]
Strategy = Literal[
    "committed",  # a call's answer goes out without a review
    "direct_response",  # the router model's own answer
    "fallback",  # nobody could decide: the first target of the fallback order that answers
    "last_response",  # the last completed answer, because no decision chose one
    "max_turns_reached",  # the last completed answer, because no further decision is allowed
    "pinned",  # the only target that can answer, or the one that the client or its tool loop names
    "select_response",  # the answer that the router model selected
    "timeout",  # the last completed answer, because the deadline passed
]
"""How a request's answer was chosen: `routing_strategy` of `router_metadata`."""


class Entry(Struct):
    """One upstream attempt."""

    call_id: str
    model_id: str
    price: Price | None
    counted_input: int
    function_name: str | None = None
    arguments: dict[str, Any] = {}
    hold: Hold = NO_HOLD
    """What was reserved for it; settled when it ends."""
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

    def report(self, raw: Raw) -> None:
        """Takes the usage that the upstream reported, on one line; one that makes no sense is passed over."""
        usage = read_usage(raw)
        if usage is not None:
            self.read_usage, self.usage = usage, raw

    def close(self, status: Status, error: str | None = None, *, billed: bool = True) -> None:
        """Ends the attempt; `billed=False` if it was refused before anything was generated."""
        if not self.open:
            return
        self.status, self.error = status, error
        self.latency = time.monotonic() - self.started
        if not billed:
            self.hold.settle(NOTHING)
            return
        if self.read_usage is None:
            self._estimate()
        self._bill(self.read_usage or Usage())

    def _estimate(self) -> None:
        self.estimated = True
        self.read_usage = usage = Usage(self.counted_input, (self.received_bytes + 3) // 4)
        self.usage = {
            "prompt_tokens": usage.input,
            "completion_tokens": usage.output,
            "total_tokens": usage.total,
        }

    def _bill(self, usage: Usage) -> None:
        worst = self.hold.worst
        self.tokens, self.cost = usage.total, cost_of(usage, self.price or FREE)
        self.suspect = bool(worst) and self.cost > worst
        # An estimated call may be billed in full all the same.
        self.hold.settle(max(self.cost, worst) if self.estimated else self.cost)

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
    """What one request called, and whose answer it got."""

    def __init__(self, request_id: str, traceparent: str | None = None) -> None:
        self.request_id = request_id
        self.traceparent = traceparent
        """The client's, by which its traces and those of the upstreams belong together."""
        self.started = time.monotonic()
        self.router_calls: list[Entry] = []
        self.target_calls: list[Entry] = []
        self.turns = 0
        self.repaired = False
        """Whether the request's one try to repair an unreadable decision was used."""
        self.strategy: Strategy | None = None
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

    def open_router_call(self, model: str, price: Price, counted_input: int) -> Entry:
        """A new entry for a decision."""
        entry = Entry(f"router_{len(self.router_calls) + 1}", model, price, counted_input)
        self.router_calls.append(entry)
        return entry

    def open_target_call(self, target: str, function: str, price: Price | None, counted_input: int) -> Entry:
        """A new entry for a target's call."""
        name = f"call_{len(self.target_calls) + 1}"
        entry = Entry(name, target, price, counted_input, function_name=function)
        self.target_calls.append(entry)
        return entry

    def decided(self, *, unreadable: int, repaired: bool) -> None:
        """Counts what a decision took."""
        self.unreadable += unreadable
        self.repaired = self.repaired or repaired

    def chosen(self, strategy: Strategy, entry: Entry | None, model: str) -> None:
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

    @property
    def total_cost(self) -> Decimal:
        return (self._costs or self._sums())[0]

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
