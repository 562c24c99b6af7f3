"""Prometheus metrics; every label's values are bounded by the configuration."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest, multiprocess
from prometheus_client.registry import Collector

from ..upstreams.fleet import Fleet
from .ledger import Entry, Ledger

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


_AT_ONCE = 64
"""Requests whose figures are handed over together; those of a second would hold up all others for milliseconds."""

Labels = tuple[str, ...]


class Metrics:
    """The counters of one process; the cost sums of requests equal their ledgers'.

    What is booked is kept as plain numbers, for Prometheus' own objects take many times as long to count; these get it
    when somebody looks, by the batch, or at once where other workers may be asked for it.
    """

    def __init__(self) -> None:
        self._shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._booked = 0
        """Requests since the last time."""
        self._counted: defaultdict[tuple[Counter, Labels], float] = defaultdict(float)
        self._timed: defaultdict[tuple[Histogram, Labels], list[float]] = defaultdict(list)
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests, by how they were routed and answered.", "strategy status")
        self._calls = self._counter("calls", "Upstream attempts.", "model kind status")
        self._tokens = self._counter("tokens", "Tokens as reported or estimated.", "model kind direction")
        self._cost = self._counter("cost_usd", "US dollars spent.", "model kind")
        self._probe_tokens = self._counter("probe_tokens", "Tokens of probes of the router model.", "direction")
        self._probe_cost = self._counter("probe_cost_usd", "US dollars spent on them, which no request pays.", "")
        self._seconds = Histogram(
            "rl_router_request_seconds", "Whole requests.", registry=self.registry, buckets=_SECONDS
        )
        self._call_seconds = Histogram(
            "rl_router_call_seconds", "Upstream attempts.", ["model", "kind"], registry=self.registry, buckets=_SECONDS
        )
        self._first_seconds = Histogram(
            "rl_router_time_to_first_token_seconds",
            "Until a streamed answer begins.",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._unreadable = self._counter("unreadable_decisions", "Decisions that could not be read.", "")
        # Every worker knows the number of all of them.
        self._in_flight = self._gauge("in_flight", "Requests under way.", mode="livemostrecent")
        self._refused = self._gauge("configuration_refused", "1 while the file's configuration is not in force.")
        self._breaker = self._gauge("breaker_open", "1 while an upstream is not asked.", "model")

    def _counter(self, name: str, description: str, labels: str) -> Counter:
        return Counter(f"rl_router_{name}", description, labels.split(), registry=self.registry)

    def _gauge(
        self, name: str, description: str, labels: str = "", mode: Literal["livemax", "livemostrecent"] = "livemax"
    ) -> Gauge:
        return Gauge(
            f"rl_router_{name}", description, labels.split(), registry=self.registry, multiprocess_mode=mode
        )  # fmt: skip

    def book(self, ledger: Ledger, status: int) -> None:
        """Counts an ended request and all its calls."""
        self._counted[self._requests, (ledger.strategy or "none", str(status))] += 1
        self._timed[self._seconds, ()].append(ledger.total_time)
        if ledger.unreadable:
            self._counted[self._unreadable, ()] += ledger.unreadable
        if ledger.first_answered is not None:
            self._timed[self._first_seconds, ()].append(ledger.first_answered)
        for entry in ledger.router_calls:
            self._book_call(entry, "router")
        for entry in ledger.target_calls:
            self._book_call(entry, "target")
        self._booked += 1
        if self._shared or self._booked >= _AT_ONCE:
            self._hand_over()

    def book_probe(self, ledger: Ledger) -> None:
        """Counts a decision that was asked for to see how the router model is."""
        for entry in ledger.router_calls:
            if entry.read_usage is not None:
                self._counted[self._probe_tokens, ("input",)] += entry.read_usage.input
                self._counted[self._probe_tokens, ("output",)] += entry.read_usage.output
        self._counted[self._probe_cost, ()] += float(ledger.router_cost)

    def _book_call(self, entry: Entry, kind: str) -> None:
        model = entry.model_id if kind == "target" else "router"
        counted = self._counted
        counted[self._calls, (model, kind, entry.status or "cancelled")] += 1
        self._timed[self._call_seconds, (model, kind)].append(entry.latency)
        if entry.read_usage is not None:
            counted[self._tokens, (model, kind, "input")] += entry.read_usage.input
            counted[self._tokens, (model, kind, "output")] += entry.read_usage.output
        counted[self._cost, (model, kind)] += float(entry.cost)

    def _hand_over(self) -> None:
        """Gives what was booked to Prometheus' objects."""
        for (counter, labels), amount in self._counted.items():
            (counter.labels(*labels) if labels else counter).inc(amount)
        for (histogram, labels), times in self._timed.items():
            child = histogram.labels(*labels) if labels else histogram
            for seconds in times:
                child.observe(seconds)
        self._counted.clear()
        self._timed.clear()
        self._booked = 0

    def look(self, fleet: Fleet, in_flight: int, *, refused: bool) -> None:
        """Takes down how things are; each worker does so all the time, for another one may be asked for the metrics."""
        self._hand_over()
        self._in_flight.set(in_flight)
        self._refused.set(refused)
        self._breaker.labels("router").set(fleet.router_model.breaker.state != "closed")
        for target, upstream in fleet.targets:
            self._breaker.labels(target.name).set(upstream.breaker.state != "closed")

    def exposition(self, fleet: Fleet, in_flight: int, *, refused: bool) -> bytes:
        """All metrics in Prometheus' text format, those of all workers together."""
        self.look(fleet, in_flight, refused=refused)
        shown = CollectorRegistry()
        shown.register(_Present(self._source(), {"router", *(target.name for target, _ in fleet.targets)}))
        return generate_latest(shown)

    def _source(self) -> Collector:
        if not self._shared:
            return self.registry
        return multiprocess.MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]


class _Present(Collector):
    """Leaves out the breakers of targets that are no more: in the files of several workers nothing can be removed."""

    def __init__(self, source: Collector, models: Collection[str]) -> None:
        self._source = source
        self._models = models

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            if metric.name == "rl_router_breaker_open":
                metric.samples = [sample for sample in metric.samples if sample.labels["model"] in self._models]
            yield metric
