"""Writes the page bench/operator.md, which contains the measured figures and describes how they were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phases import QUIET_SECONDS, Result

_FILE = Path(__file__).parents[1] / "operator.md"
_REQUESTS = {
    "get": "get requests",
    "patch": "patch requests (without patches of the status)",
    "status": "patches of the status",
    "Events": "create requests for Events",
    "delete": "delete requests",
}
"""The names of the kinds of requests in the table, by the keys of `Result.requests`."""


@dataclass(frozen=True)
class _Row:
    """A row of the table: the name of a figure, the function that returns the figure, and the number of decimals."""

    name: str
    value: Callable[[Result], float]
    digits: int = 0

    def of(self, results: list[Result]) -> str:
        return f"| {self.name} | {' | '.join(f'{self.value(result):.{self.digits}f}' for result in results)} |"


def figures(result: Result, rest: float) -> dict[str, float]:
    """Returns the values of all rows of the table, not rounded, by the name of the row."""
    return {row.name: row.value(result) for row in _rows(rest)}


def write(results: list[Result], rest: float, *, dry: bool) -> None:
    """Prints the page with the table, and writes the page to bench/operator.md unless `dry` is true."""
    text = _text(results, rest)
    print(text)
    if not dry:
        _FILE.write_text(text)


def _text(results: list[Result], rest: float) -> str:
    rows = "\n".join(row.of(results) for row in _rows(rest))
    return f"""# The operator

`bench/operator/run.py` measured these figures on {os.cpu_count()} shared cores ({platform.machine()}, Python \
{platform.python_version()}). The operator runs on one of
the shared cores. The API server, etcd, the controllers and the scheduler of Kubernetes, and kwok use all shared cores.
On shared cores, you can compare the ratios and counts of two runs, but not the times. Each RouterDeployment has
`spec: {{}}`, for which the operator creates {results[0].children // results[0].size} children, and the controllers \
create two pods.

| RouterDeployments | {" | ".join(f"{result.size:,}" for result in results)} |
| --- |{" ---: |" * len(results)}
{rows}

"At rest" means that the operator has made no write for {QUIET_SECONDS:.0f} s, except the renewals of its leader \
election Lease,
every 2 s, and of its claim of the cluster, every 10 s. "The operator's last write" is the last write before this
period. Each renewal is one read and one write. The requests at rest include the renewals. The numbers of writes and the
requests per RouterDeployment exclude the renewals. "Unresponsive pods" are API pods that accept connections and never
respond. The operator repeats the health checks of unresponsive pods, and each check ends after the operator's timeout
of 5 s.

The bare client only watches RouterDeployments and applies the same manifests as prepared bytes, with the operator's
concurrency. No operator that creates the same children can be much faster than the bare client on the same cores.
"""


def _rows(rest: float) -> list[_Row]:
    return [*_creation_rows(), *_rest_rows(rest), *_fault_rows(rest / 2)]


def _creation_rows() -> list[_Row]:
    """Returns the rows from the start of the operator to the last write."""
    return [
        _Row("the operator's CPU time from the start until ready, s", lambda r: r.started_cpu, 1),
        _Row("the operator's memory before the first RouterDeployment, MiB", lambda r: r.memory),
        _Row("time from the first RouterDeployment until all children exist: operator, s", lambda r: r.created, 1),
        _Row(
            "time from the first RouterDeployment until all children exist: bare client, s",
            lambda r: r.bare_client.created,
            1,
        ),
        _Row(
            "ratio of the creation times of all children: operator / bare client",
            lambda r: r.created / r.bare_client.created,
            2,
        ),
        _Row("children that the operator creates per second", lambda r: r.children / r.created),
        _Row(
            "the operator's CPU time per RouterDeployment until all children are created, ms",
            lambda r: 1000 * r.created_cpu / r.size,
        ),
        _Row(
            "the bare client's CPU time per RouterDeployment until all children are created, ms",
            lambda r: 1000 * r.bare_client.cpu / r.size,
        ),
        _Row("time from the first RouterDeployment to the operator's last write, s", lambda r: r.settled, 1),
        *[
            _Row(f"the operator's {name} per RouterDeployment until the last write", _requests(key), 1)
            for key, name in _REQUESTS.items()
        ],
        _Row("the operator's reconciles per RouterDeployment until the last write", lambda r: r.reconciles / r.size, 1),
        _Row("the operator's memory after the last write, MiB", lambda r: r.settled_memory),
        _Row(
            "additional memory of the operator per RouterDeployment, KiB",
            lambda r: 1024 * (r.settled_memory - r.memory) / r.size,
        ),
    ]


def _rest_rows(seconds: float) -> list[_Row]:
    """Returns the rows of the operator at rest during `seconds` seconds, and of a restart."""
    return [
        _Row(f"the operator's writes in {seconds:g} s at rest", lambda r: r.rest.writes),
        _Row(f"the operator's requests in {seconds:g} s at rest", lambda r: r.rest.requests),
        _Row("the operator's CPU usage at rest, % of a core", lambda r: r.rest.cpu_percent, 1),
        _Row("the operator's memory at the end of the time at rest, MiB", lambda r: r.rest.memory),
        _Row("the operator's writes after a restart", lambda r: r.restarted.writes),
        _Row("the operator's memory after a restart, MiB", lambda r: r.restarted.memory),
    ]


def _fault_rows(seconds: float) -> list[_Row]:
    """Returns the rows of deleted children, and of unresponsive pods during `seconds` seconds."""
    return [
        _Row("number of children that the benchmark deletes", lambda r: r.deleted),
        _Row("time until the deleted children exist again, s", lambda r: r.repaired, 2),
        _Row(f"the operator's writes in {seconds:g} s with unresponsive pods", lambda r: r.unresponsive.writes),
        _Row("the operator's CPU usage with unresponsive pods, % of a core", lambda r: r.unresponsive.cpu_percent, 1),
        _Row("the operator's memory with unresponsive pods, MiB", lambda r: r.unresponsive.memory),
        _Row(
            f"the operator's health checks in {seconds:g} s with unresponsive pods",
            lambda r: r.unresponsive.health_checks,
        ),
        _Row("time until deleted children exist again with unresponsive pods, s", lambda r: r.repaired_unresponsive, 2),
    ]


def _requests(key: str) -> Callable[[Result], float]:
    return lambda r: r.requests[key] / r.size
