"""Prometheus metrics.

The number of label values of the metrics is bounded, because clients cannot create label values.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest, multiprocess
from prometheus_client.registry import Collector

from .ledger import Entry, Ledger
from .money import NOTHING
from .recorders import EndedRequest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_BATCH = 64
"""The maximum number of requests that are added to prometheus_client's metrics in one step. A larger batch, such as all
requests of one second, would block other requests for several milliseconds."""


@dataclass(frozen=True)
class CurrentState:
    """The current state of the server, as input for the metrics.

    The attribute `open_breakers` maps the name of each upstream to whether the upstream's circuit breaker is not
    closed. The attribute `lost_log_lines` is the number of log lines that this process has failed to write.
    """

    in_flight: int
    configuration_refused: bool
    open_breakers: Mapping[str, bool]
    lost_log_lines: int


@dataclass(slots=True)
class _Calls:
    """The token counts, cost in US dollars and durations of a batch's attempts with the same model, kind and status."""

    input: int = 0
    output: int = 0
    cost: Decimal = NOTHING
    seconds: list[float] = field(default_factory=list)
    """The duration of each attempt in seconds."""


@dataclass(slots=True)
class _Batch:
    """The requests and attempts that have not been added to prometheus_client's metrics yet."""

    requests: Counts[tuple[str, str]] = field(default_factory=Counts)
    """The number of requests by routing strategy and HTTP status."""
    seconds: list[float] = field(default_factory=list)
    """The duration of each request in seconds."""
    first_seconds: list[float] = field(default_factory=list)
    """The seconds from the start of each request with a streamed answer to the answer's first byte."""
    calls: dict[tuple[str, str, str], _Calls] = field(default_factory=dict)
    """The attempts by model, kind and status."""

    def count_call(self, entry: Entry, model: str, kind: str) -> None:
        """Adds one attempt."""
        labels = model, kind, entry.status or "cancelled"
        calls = self.calls.get(labels)
        if calls is None:
            calls = self.calls[labels] = _Calls()
        if (usage := entry.read_usage) is not None:
            calls.input += usage.input
            calls.output += usage.output
        calls.cost += entry.cost
        calls.seconds.append(entry.latency)


class Metrics:
    """The metrics of one process. The cost metrics are the sums of the costs in the ledgers.

    Most counts are first kept as plain numbers, because counting with prometheus_client takes many times as long. These
    counts are added to prometheus_client's metrics after 64 requests, every second, and before a client reads the
    metrics. With several workers, the counts of each request are added immediately, because another worker may serve
    the metrics.
    """

    def __init__(self) -> None:
        self._shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._batch = _Batch()
        self.registry = CollectorRegistry()
        self._requests = self._counter(
            "requests", "Number of requests by routing strategy and HTTP status.", "strategy status"
        )
        self._calls = self._counter("calls", "Number of attempts to call upstreams for requests.", "model kind status")
        self._tokens = self._counter(
            "tokens", "Number of tokens for requests, as reported by upstreams or estimated.", "model kind direction"
        )
        self._cost = self._counter("cost_usd", "US dollars spent on requests.", "model kind")
        self._probe_tokens = self._counter(
            "probe_tokens", "Number of tokens of health probes of the router model.", "direction"
        )
        self._probe_cost = self._counter("probe_cost_usd", "US dollars spent on health probes of the router model.", "")
        self._seconds = self._histogram("request_seconds", "Duration of requests in seconds.", "")
        self._call_seconds = self._histogram("call_seconds", "Seconds per attempt to call an upstream.", "model kind")
        self._first_seconds = self._histogram(
            "time_to_first_token_seconds",
            "Seconds from the start of a request to the first byte of a streamed answer.",
            "",
        )
        self._unreadable = self._counter("unreadable_decisions", "Number of decisions that could not be parsed.", "")
        self._policy_errors = self._counter(
            "policy_errors", "Number of decisions that an error in the policy prevented.", ""
        )
        self._lost_log_lines = self._counter("log_lines_lost", "Number of log lines that could not be written.", "")
        self._counted_lost_log_lines = 0
        # The metric has the most recent value of any worker, because every worker reports the total of all workers.
        self._in_flight = self._gauge("in_flight", "Number of in-flight requests.", mode="livemostrecent")
        self._refused = self._gauge(
            "configuration_refused",
            "1 while the server rejects the configuration file or the keys file, and otherwise 0.",
        )
        self._breaker = self._gauge(
            "breaker_open", "1 while the upstream's circuit breaker is not closed, and otherwise 0.", "model"
        )

    def _counter(self, name: str, description: str, labels: str) -> Counter:
        return Counter(f"rl_router_{name}", description, labels.split(), registry=self.registry)

    def _histogram(self, name: str, description: str, labels: str) -> _Histogram:
        return _Histogram(f"rl_router_{name}", description, labels.split(), registry=self.registry, buckets=_SECONDS)

    def _gauge(
        self, name: str, description: str, labels: str = "", mode: Literal["livemax", "livemostrecent"] = "livemax"
    ) -> Gauge:
        return Gauge(
            f"rl_router_{name}", description, labels.split(), registry=self.registry, multiprocess_mode=mode
        )  # fmt: skip

    def record(self, request: EndedRequest) -> None:
        """Counts a request and all attempts of the request."""
        ledger, batch = request.ledger, self._batch
        batch.requests[ledger.strategy or "none", str(request.status)] += 1
        batch.seconds.append(ledger.total_time)
        if ledger.unreadable:
            self._unreadable.inc(ledger.unreadable)
        if ledger.policy_errors:
            self._policy_errors.inc(ledger.policy_errors)
        if ledger.first_answered is not None:
            batch.first_seconds.append(ledger.first_answered)
        for entry in ledger.router_calls:
            batch.count_call(entry, "router", "router")
        for entry in ledger.target_calls:
            batch.count_call(entry, entry.model_id, "target")
        if self._shared or len(batch.seconds) >= _BATCH:
            self._flush()

    def record_probe(self, ledger: Ledger) -> None:
        """Counts the tokens and the cost of a health probe of the router model."""
        for entry in ledger.router_calls:
            if entry.read_usage is not None:
                self._probe_tokens.labels("input").inc(entry.read_usage.input)
                self._probe_tokens.labels("output").inc(entry.read_usage.output)
        self._probe_cost.inc(float(ledger.router_cost))

    def _flush(self) -> None:
        """Adds the batch to prometheus_client's metrics and begins a new batch."""
        batch, self._batch = self._batch, _Batch()
        for (strategy, status), count in batch.requests.items():
            self._requests.labels(strategy, status).inc(count)
        self._seconds.observe_all(batch.seconds)
        self._first_seconds.observe_all(batch.first_seconds)
        for (model, kind, call_status), calls in batch.calls.items():
            self._calls.labels(model, kind, call_status).inc(len(calls.seconds))
            self._call_seconds.labels(model, kind).observe_all(calls.seconds)
            self._tokens.labels(model, kind, "input").inc(calls.input)
            self._tokens.labels(model, kind, "output").inc(calls.output)
            self._cost.labels(model, kind).inc(float(calls.cost))

    def update(self, state: CurrentState) -> None:
        """Adds the batch to prometheus_client's metrics, sets the gauges, and counts the newly lost log lines.

        Each worker calls the method `update` every second, because another worker may serve the metrics.
        """
        self._flush()
        self._in_flight.set(state.in_flight)
        self._refused.set(state.configuration_refused)
        self._lost_log_lines.inc(state.lost_log_lines - self._counted_lost_log_lines)
        self._counted_lost_log_lines = state.lost_log_lines
        for name, is_open in state.open_breakers.items():
            self._breaker.labels(name).set(is_open)

    def exposition(self, state: CurrentState) -> bytes:
        """Returns the metrics of all workers in Prometheus' text format."""
        self.update(state)
        registry = CollectorRegistry()
        registry.register(_CurrentUpstreams(self._source(), state.open_breakers.keys()))
        return generate_latest(registry)

    def _source(self) -> Collector:
        if not self._shared:
            return self.registry
        return multiprocess.MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]


class _Histogram(Histogram):
    """A histogram that adds many values in one step, because one `observe` call per value takes many times as long."""

    def observe_all(self, values: Sequence[float]) -> None:
        """Adds all values."""
        if not values:
            return
        self._sum.inc(sum(values))
        bounds = self._upper_bounds
        for bucket, count in Counts([bisect_left(bounds, value) for value in values]).items():
            self._buckets[bucket].inc(count)


class _CurrentUpstreams(Collector):
    """Collects the metrics of `source` without the circuit breaker metrics of removed targets.

    The metrics of `source`, and the files that several workers share, still contain these metrics.
    """

    def __init__(self, source: Collector, names: Collection[str]) -> None:
        self._source = source
        self._names = names

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            if metric.name == "rl_router_breaker_open":
                metric.samples = [sample for sample in metric.samples if sample.labels["model"] in self._names]
            yield metric
