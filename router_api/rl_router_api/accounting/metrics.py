"""Prometheus metrics. The number of label values is bounded, because clients cannot create label values."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest, multiprocess
from prometheus_client.registry import Collector

from .ledger import Entry, Ledger
from .recorders import EndedRequest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_BATCH = 64
"""The number of requests that are added to Prometheus' objects in one step. A larger batch, such as
all requests of one second, would block other requests for milliseconds."""

Labels = tuple[str, ...]


@dataclass(frozen=True)
class CurrentState:
    """The server's current state.

    `open_breakers` maps the name of each upstream to True if the upstream's circuit breaker is not closed.
    `lost_log_lines` is the number of log lines that this process could not write since its start.
    """

    in_flight: int
    configuration_refused: bool
    open_breakers: Mapping[str, bool]
    lost_log_lines: int


class Metrics:
    """The metrics of one process. The cost metrics equal the sums of the ledgers.

    Counts are first kept as plain numbers, because counting with Prometheus' own objects takes many times as long. The
    plain numbers are added to Prometheus' objects in batches, and before a client reads the metrics. With several
    workers, each request is added immediately, because another worker may serve the metrics.
    """

    def __init__(self) -> None:
        self._shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._recorded = 0
        """The number of requests since the last batch."""
        self._counted: defaultdict[tuple[Counter, Labels], float] = defaultdict(float)
        self._timed: defaultdict[tuple[Histogram, Labels], list[float]] = defaultdict(list)
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests by routing strategy and HTTP status.", "strategy status")
        self._calls = self._counter("calls", "Attempts to call upstreams.", "model kind status")
        self._tokens = self._counter("tokens", "Tokens, as reported by upstreams or estimated.", "model kind direction")
        self._cost = self._counter("cost_usd", "US dollars spent on calls to upstreams.", "model kind")
        self._probe_tokens = self._counter("probe_tokens", "Tokens of health probes of the router model.", "direction")
        self._probe_cost = self._counter(
            "probe_cost_usd", "US dollars spent on health probes, which are not charged to any request.", ""
        )
        self._seconds = Histogram(
            "rl_router_request_seconds", "Duration of requests in seconds.", registry=self.registry, buckets=_SECONDS
        )
        self._call_seconds = Histogram(
            "rl_router_call_seconds",
            "Duration of upstream attempts in seconds.",
            ["model", "kind"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._first_seconds = Histogram(
            "rl_router_time_to_first_token_seconds",
            "Seconds from the start of a request to the first byte of its streamed answer.",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._unreadable = self._counter("unreadable_decisions", "Number of decisions that could not be parsed.", "")
        self._lost_log_lines = self._counter("log_lines_lost", "Number of log lines that could not be written.", "")
        self._counted_lost_log_lines = 0
        # The most recent value counts, because every worker reports the total of all workers.
        self._in_flight = self._gauge("in_flight", "Number of requests in flight.", mode="livemostrecent")
        self._refused = self._gauge(
            "configuration_refused", "1 while the server rejects the configuration or the keys on disk."
        )
        self._breaker = self._gauge("breaker_open", "1 while an upstream's circuit breaker is not closed.", "model")

    def _counter(self, name: str, description: str, labels: str) -> Counter:
        return Counter(f"rl_router_{name}", description, labels.split(), registry=self.registry)

    def _gauge(
        self, name: str, description: str, labels: str = "", mode: Literal["livemax", "livemostrecent"] = "livemax"
    ) -> Gauge:
        return Gauge(
            f"rl_router_{name}", description, labels.split(), registry=self.registry, multiprocess_mode=mode
        )  # fmt: skip

    def record(self, request: EndedRequest) -> None:
        """Counts a request and all its calls."""
        ledger = request.ledger
        self._counted[self._requests, (ledger.strategy or "none", str(request.status))] += 1
        self._timed[self._seconds, ()].append(ledger.total_time)
        if ledger.unreadable:
            self._counted[self._unreadable, ()] += ledger.unreadable
        if ledger.first_answered is not None:
            self._timed[self._first_seconds, ()].append(ledger.first_answered)
        for entry in ledger.router_calls:
            self._count_call(entry, "router")
        for entry in ledger.target_calls:
            self._count_call(entry, "target")
        self._recorded += 1
        if self._shared or self._recorded >= _BATCH:
            self._flush()

    def record_probe(self, ledger: Ledger) -> None:
        """Counts a health probe of the router model."""
        for entry in ledger.router_calls:
            if entry.read_usage is not None:
                self._counted[self._probe_tokens, ("input",)] += entry.read_usage.input
                self._counted[self._probe_tokens, ("output",)] += entry.read_usage.output
        self._counted[self._probe_cost, ()] += float(ledger.router_cost)

    def _count_call(self, entry: Entry, kind: str) -> None:
        model = entry.model_id if kind == "target" else "router"
        counted = self._counted
        counted[self._calls, (model, kind, entry.status or "cancelled")] += 1
        self._timed[self._call_seconds, (model, kind)].append(entry.latency)
        if entry.read_usage is not None:
            counted[self._tokens, (model, kind, "input")] += entry.read_usage.input
            counted[self._tokens, (model, kind, "output")] += entry.read_usage.output
        counted[self._cost, (model, kind)] += float(entry.cost)

    def _flush(self) -> None:
        """Adds the collected counts to Prometheus' objects."""
        for (counter, labels), amount in self._counted.items():
            (counter.labels(*labels) if labels else counter).inc(amount)
        for (histogram, labels), times in self._timed.items():
            child = histogram.labels(*labels) if labels else histogram
            for seconds in times:
                child.observe(seconds)
        self._counted.clear()
        self._timed.clear()
        self._recorded = 0

    def update(self, state: CurrentState) -> None:
        """Sets the gauges and counts lost log lines.

        Each worker calls this method every second, because another worker may serve the metrics.
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


class _CurrentUpstreams(Collector):
    """Omits the circuit breaker metrics of removed targets, which the shared files of several workers still contain."""

    def __init__(self, source: Collector, names: Collection[str]) -> None:
        self._source = source
        self._names = names

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            if metric.name == "rl_router_breaker_open":
                metric.samples = [sample for sample in metric.samples if sample.labels["model"] in self._names]
            yield metric
