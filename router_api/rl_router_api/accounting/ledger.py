"""Records the attempts of a request with their costs, and creates the field `router_metadata` from these records.

The ledger opens an entry before each attempt is sent to an upstream, so that every billed attempt is recorded. Entries
of the ledger that are still open when the request ends are recorded as cancelled. If the reported usage of a billed
attempt is missing or incomplete, the ledger estimates the missing counts and marks the entry as `estimated`.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any, Literal

from msgspec import Raw, Struct, field
from msgspec.structs import replace

from ..config import Price
from .money import FREE, NOTHING, cost_of, total
from .spending import NO_HOLD, Hold
from .usage import Usage

Status = Literal["ok", "error", "timeout", "cancelled"]
Texts = Literal["full", "brief", "none"]
Strategy = Literal[
    "committed",  # the answer of a call, without a review
    "direct_response",  # the router model's own answer
    "fallback",  # no decision: the first target of the fallback order that answers
    "last_response",  # the last completed answer, because no decision selected an answer
    "max_turns_reached",  # the last completed answer, because no further decision is allowed
    "pinned",  # the only target that can answer, or the target that the request or the tool loop names
    "select_response",  # the answer that the router model selected
    "timeout",  # the last completed answer, because the deadline passed
]
"""The rule that chose a request's answer, as in the field `routing_strategy` of `router_metadata`."""


class Entry(Struct):
    """One attempt to call an upstream, with the usage and the cost of the attempt."""

    call_id: str
    model_id: str
    price: Price | None
    counted_input: int
    function_name: str | None = None
    arguments: dict[str, Any] = {}
    hold: Hold = NO_HOLD
    """The money that is reserved for the attempt. At the end of the attempt, the real cost replaces the reservation,
    unless the real cost is unknown."""
    response: str | None = None
    usage: Raw | dict[str, Any] | None = None
    read_usage: Usage | None = None
    service_tier: str | None = None
    """The service tier that the upstream reports in the answer. A service tier may have prices of its own."""
    cost: Decimal = NOTHING
    """The cost of the attempt in US dollars, without trailing zeros."""
    tokens: int = 0
    status: Status | None = None
    error: str | None = None
    estimated: bool = False
    suspect: bool = False
    """True if the reported token counts are invalid or contradict each other, or if money was reserved for the attempt
    and the attempt costs more."""
    selected: bool = False
    keeps_cache_long: bool = False
    """True if the field `prompt_cache_options` of the body that was sent to the upstream requests the longer of the two
    lifetimes of cache writes."""
    dropped: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    """The names of the router API's additions to the request that the target might reject."""
    received_bytes: int = 0
    """The number of bytes of generated text, from which a missing number of output tokens is estimated. If an answer
    that is not a stream is truncated or damaged JSON, all bytes of the JSON count."""
    counted_bytes: int = 0
    """The value of `received_bytes` when the upstream reported the latest number of output tokens."""
    started: float = field(default_factory=time.monotonic)
    latency: float = 0.0
    first_byte: float | None = None
    """The seconds from the start of the attempt until the first part of the answer arrived, or None before."""

    @property
    def open(self) -> bool:
        return self.status is None

    def report(self, usage: Usage | None, raw: Raw | bytes, service_tier: str | None = None) -> None:
        """Stores the usage and the service tier that the upstream reported.

        A missing usage or service tier leaves the stored value unchanged. The argument `raw` is the reported usage as
        JSON on one line. Each reported usage replaces the usage that was reported before.
        """
        if service_tier:
            self.service_tier = service_tier
        if usage is None:
            return
        if self.keeps_cache_long:
            usage = usage.with_long_writes()
        if self.read_usage is None or usage.output != self.read_usage.output:
            self.counted_bytes = self.received_bytes
        self.read_usage, self.usage = usage, Raw(raw)

    def close(self, status: Status, error: str | None = None, *, billed: bool = True) -> None:
        """Ends an open attempt. If `billed` is False, it costs nothing unless the upstream reported a usage."""
        if not self.open:
            return
        self.status, self.error = status, error
        self.latency = time.monotonic() - self.started
        if not billed and self.read_usage is None:
            self.hold.settle(NOTHING)
            return
        usage = self._completed(self.read_usage or Usage(), is_whole=status == "ok")
        self.read_usage = usage
        self._bill(usage)

    def _completed(self, usage: Usage, *, is_whole: bool) -> Usage:
        """Returns the usage with estimates for missing numbers of input and output tokens. A 0 is treated as missing.

        If the answer is incomplete and text arrived after the output tokens were reported, the upstream has generated
        more output tokens than reported. The number of output tokens is then estimated too.
        """
        is_counted = usage.output and (is_whole or self.received_bytes <= self.counted_bytes)
        output = usage.output if is_counted else max(usage.output, (self.received_bytes + 3) // 4)
        if usage.input and output == usage.output:
            return usage
        self.estimated = True
        counted = replace(usage, input=usage.input or self.counted_input, output=output, reported_total=None)
        self.usage = _as_reported(counted)
        return counted

    def _bill(self, usage: Usage) -> None:
        worst = self.hold.worst
        self.tokens, self.cost = usage.total, cost_of(usage, self.price or FREE, self.service_tier)
        self.suspect = usage.suspect or (bool(worst) and self.cost > worst)
        # If the usage is estimated, the upstream may bill up to the worst-case cost of the call.
        self.hold.settle(max(self.cost, worst) if self.estimated else self.cost)

    def as_json(self) -> dict[str, Any]:
        """Returns the fields in `router_metadata` that entries of targets and of the router model have in common."""
        fields: dict[str, Any] = {
            "call_id": self.call_id,
            "model_id": self.model_id,
            "cost": self.cost,
            "tokens_used": self.tokens,
            "usage": self.usage,
            "latency": _rounded(self.latency),
            "status": self.status or "cancelled",
        }
        if self.error:
            fields["error"] = self.error
        if self.estimated:
            fields["estimated"] = True
        if self.suspect:
            fields["suspect"] = True
        if self.price is None:
            fields["unpriced"] = True
        return fields

    def as_target_json(self, texts: Texts) -> dict[str, Any]:
        """Returns the fields of an attempt to call a target in the list `call_history` of `router_metadata`."""
        fields = self.as_json()
        fields["function_name"], fields["selected"] = self.function_name, self.selected
        fields["arguments"] = self.arguments
        if texts == "full":
            fields["response"] = self.response
        if texts == "none":
            fields["arguments"] = {name: value for name, value in self.arguments.items() if not isinstance(value, str)}
        if self.dropped:
            fields["dropped_params"] = list(self.dropped)
        if self.added:
            fields["added_params"] = list(self.added)
        return fields


class Ledger(Struct, eq=False):
    """The record of all attempts of one request, and of the choice of the request's answer."""

    request_id: str
    traceparent: str | None = None
    """The client's `traceparent` header, or None. The header links the traces of client and upstreams."""
    started: float = field(default_factory=time.monotonic)
    router_calls: list[Entry] = field(default_factory=list)
    target_calls: list[Entry] = field(default_factory=list)
    turns: int = 0
    repaired: bool = False
    """True if the policy tried to call the router model again after an unreadable answer. The policy tries this at most
    once per request."""
    strategy: Strategy | None = None
    model_used: str | None = None
    unreadable: int = 0
    """The number of the router model's answers that could not be parsed as decisions."""
    policy_errors: int = 0
    """The number of decisions that an error in the policy prevented."""
    decision: dict[str, Any] | None = None
    """The explanation of the first decision that the policy explained, or None if the policy explained no decision."""
    first_answered: float | None = None
    """The seconds from the start of the request to the first byte of a streamed answer, or None before this byte."""
    _end: float | None = None
    _costs: tuple[Decimal, Decimal, Decimal] | None = None
    """The final costs in US dollars (total, router model, targets), or None while the ledger is open."""
    _final: dict[str, Any] | None = None
    """The metadata of the closed ledger with an empty `call_history`, or None if this metadata has not been built."""

    def began_to_answer(self) -> None:
        """Records the time of the first byte of a streamed answer. Later calls of the method change nothing."""
        if self.first_answered is None:
            self.first_answered = time.monotonic() - self.started

    def open_router_call(self, model: str, price: Price, counted_input: int) -> Entry:
        """Opens and returns an entry for an attempt to call the router model."""
        entry = Entry(f"router_{len(self.router_calls) + 1}", model, price, counted_input)
        self.router_calls.append(entry)
        return entry

    def open_target_call(self, target: str, function: str, price: Price | None, counted_input: int) -> Entry:
        """Opens and returns an entry for an attempt to call a target."""
        call_id = f"call_{len(self.target_calls) + 1}"
        entry = Entry(call_id, target, price, counted_input, function)
        self.target_calls.append(entry)
        return entry

    def decided(
        self, *, unreadable: int, repaired: bool, failed: bool = False, explanation: dict[str, Any] | None = None
    ) -> None:
        """Records a decision of the policy.

        The argument `unreadable` is the number of the router model's answers that could not be parsed as decisions, and
        `repaired` says whether the policy tried to call the router model again after one. The argument `failed` says
        whether an error in the policy prevented the decision.
        """
        self.unreadable += unreadable
        self.repaired = self.repaired or repaired
        self.policy_errors += failed
        if self.decision is None:
            self.decision = explanation

    def chosen(self, strategy: Strategy, entry: Entry | None, model: str) -> None:
        """Records the entry, if any, and the model of the returned answer, and the strategy that chose the answer."""
        self.strategy, self.model_used = strategy, model
        if entry is not None:
            entry.selected = True

    def close(self) -> None:
        """Closes all open entries as cancelled, and records the final costs and the end of the request.

        Callers call the method `close` when the request makes no more attempts to call upstreams.
        """
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
        """Returns the content of the field `router_metadata`.

        If `texts` is `brief`, the content includes no answers of targets. If `texts` is `none`, the content includes
        neither answers of targets nor those arguments of calls that are texts. The log uses `full` or `none`.
        """
        fields = self._final or self._fields()
        if self._costs is not None:
            # A closed ledger is written twice, for the client and for the log.
            self._final = fields
        return {**fields, "call_history": [entry.as_target_json(texts) for entry in self.target_calls]}

    def _fields(self) -> dict[str, Any]:
        total_cost, router_cost, target_cost = self._costs or self._sums()
        fields: dict[str, Any] = {
            "model_used": self.model_used,
            "routing_strategy": self.strategy,
            "turns_used": self.turns,
            "total_cost": total_cost,
            "router_cost": router_cost,
            "target_models_cost": target_cost,
            "total_time": _rounded(self.total_time),
            "call_history": (),
            "router_calls": [entry.as_json() for entry in self.router_calls],
            "request_id": self.request_id,
        }
        if self.decision is not None:
            fields["decision"] = self.decision
        return fields


def _as_reported(usage: Usage) -> dict[str, Any]:
    """Returns a usage in OpenAI's format."""
    reported: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
    }
    written = usage.written + usage.written_long
    if usage.cached or written:
        lifetimes = {"ttl_30m_tokens": usage.written, "ttl_12h_tokens": usage.written_long}
        reported["prompt_tokens_details"] = {
            "cached_tokens": usage.cached,
            "cache_write_tokens": written,
            **({"cache_write_tokens_details": lifetimes} if usage.written_long else {}),
        }
    return reported


def _rounded(seconds: float) -> float:
    """Returns a time in seconds, rounded to 0.1 ms. `round(seconds, 4)` would take four times as long."""
    return round(seconds * 10_000) / 10_000
