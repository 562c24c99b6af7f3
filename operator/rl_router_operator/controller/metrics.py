"""Defines the Prometheus metrics of the operator."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
READINESS = ("True", "False", "Unknown")


class Metrics:
    """The Prometheus metrics of one operator.

    The function `readiness` returns the status of the Ready condition of every RouterDeployment.
    """

    def __init__(self, readiness: Callable[[], Iterable[str]]) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = self._counter(
            "reconciles", "The number of reconciliations of RouterDeployments by outcome", "outcome"
        )
        self.seconds = Histogram(
            "rl_router_operator_reconcile_seconds",
            "The duration of a reconciliation of a RouterDeployment in seconds",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.errors = self._counter(
            "errors", "The number of failed reconciliations of RouterDeployments by reason", "reason"
        )
        self.writes = self._counter(
            "writes",
            "The number of successful writes and dry runs on the API server by verb and kind, except writes of Leases",
            "verb",
            "kind",
        )
        self.leading = Gauge(
            "rl_router_operator_leading", "1 if this process is the leader, otherwise 0", registry=self.registry
        )
        self.yielding = Gauge(
            "rl_router_operator_yielding",
            "1 for each watched namespace in which another operator acts. The namespace `*` means all"
            " namespaces that no operator claims separately",
            ["namespace", "operator"],
            registry=self.registry,
        )
        self._resynced: float | None = None
        age = Gauge(
            "rl_router_operator_resync_age_seconds",
            "The number of seconds since all RouterDeployments were last queued for the periodic reconciliation",
            registry=self.registry,
        )
        age.set_function(self._resync_age)
        self.registry.register(_Readiness(readiness))

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(f"rl_router_operator_{name}", description, labels, registry=self.registry)

    def yields(self, operators: Mapping[str, str]) -> None:
        """Records the other operators that act in place of this operator, by namespace."""
        self.yielding.clear()
        for namespace, operator in operators.items():
            self.yielding.labels(namespace, operator).set(1)

    def resynced(self) -> None:
        """Records that all RouterDeployments have just been queued for the periodic reconciliation."""
        self._resynced = time.monotonic()

    def _resync_age(self) -> float:
        return float("nan") if self._resynced is None else time.monotonic() - self._resynced


class _Readiness(Collector):
    """Counts the existing RouterDeployments each time Prometheus collects the metrics."""

    def __init__(self, readiness: Callable[[], Iterable[str]]) -> None:
        self._readiness = readiness

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yields the number of RouterDeployments by the status of the Ready condition."""
        counts = Tally(self._readiness())
        family = GaugeMetricFamily(
            "rl_router_operator_routerdeployments",
            "The number of RouterDeployments by the status of the Ready condition",
            labels=["ready"],
        )
        for state in READINESS:
            family.add_metric([state], counts[state])
        yield family


def ready_of(body: Mapping[str, Any]) -> str:
    """Returns the status of the Ready condition, or Unknown if the RouterDeployment has no Ready condition."""
    conditions = (body.get("status") or {}).get("conditions", ())
    return next((str(condition["status"]) for condition in conditions if condition["type"] == "Ready"), "Unknown")
