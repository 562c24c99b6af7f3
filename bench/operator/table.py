"""Writes bench/operator.md: the measured figures and their conditions."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phases import Result

_FILE = Path(__file__).parents[1] / "operator.md"
_VERBS = ("get", "patch", "status", "Events", "delete")


@dataclass(frozen=True)
class _Row:
    """A row of the table: a figure's name, its value and the number of decimals."""

    name: str
    value: Callable[[Result], float]
    digits: int = 0

    def of(self, results: list[Result]) -> str:
        return f"| {self.name} | {' | '.join(f'{self.value(result):.{self.digits}f}' for result in results)} |"


def figures(result: Result, rest: float) -> dict[str, float]:
    """Returns the values of all rows by name, not rounded."""
    return {row.name: row.value(result) for row in _rows(rest)}


def write(results: list[Result], rest: float, *, dry: bool) -> None:
    """Prints the table and, unless `dry`, writes it to bench/operator.md."""
    text = _text(results, rest)
    print(text)
    if not dry:
        _FILE.write_text(text)


def _text(results: list[Result], rest: float) -> str:
    rows = "\n".join(row.of(results) for row in _rows(rest))
    return f"""# The operator

`make bench-operator` measured these figures on {os.cpu_count()} shared cores ({platform.machine()}, Python \
{platform.python_version()}). The operator runs on one of
the shared cores. The API server, etcd, Kubernetes' controllers, its scheduler and kwok share both cores. On shared
cores, ratios and counts can be compared, but not seconds. Each RouterDeployment has `spec: {{}}`,
which makes {results[0].children // results[0].size} children and two pods.

| RouterDeployments | {" | ".join(f"{result.size:,}" for result in results)} |
| --- |{" ---: |" * len(results)}
{rows}

"Settled" is the time until the operator's last write. The operator renews its Lease every 2 s and its claim of the
cluster every 10 s. Each renewal is one read and one write, which only the rows of requests at rest include.
"Unresponsive pods" are pods of the API that accept connections and never respond. The operator repeats the health
checks of unresponsive pods, and each check ends after the operator's limit of 5 s.

The bare client applies the same manifests as prepared bytes, with the operator's concurrency, and does nothing else. No
operator can be much faster than the bare client on the same cores.
"""


def _rows(rest: float) -> list[_Row]:
    return [
        _Row("start: CPU seconds until ready", lambda r: r.started_cpu, 1),
        _Row("memory before the first RouterDeployment, MiB", lambda r: r.memory),
        _Row("all children created, s", lambda r: r.created, 1),
        _Row("all children created by the bare client, s", lambda r: r.bare_client.created, 1),
        _Row("creation time: operator / bare client", lambda r: r.created / r.bare_client.created, 2),
        _Row("children created per second", lambda r: r.children / r.created),
        _Row(
            "operator: CPU per RouterDeployment until all children are created, ms",
            lambda r: 1000 * r.created_cpu / r.size,
        ),
        _Row(
            "bare client: CPU per RouterDeployment until all children are created, ms",
            lambda r: 1000 * r.bare_client.cpu / r.size,
        ),
        _Row("settled, s", lambda r: r.settled, 1),
        *[_Row(f"requests per RouterDeployment until settled: {verb}", _requests(verb), 1) for verb in _VERBS],
        _Row("reconciles per RouterDeployment until settled", lambda r: r.reconciles / r.size, 1),
        _Row("memory when settled, MiB", lambda r: r.settled_memory),
        _Row("memory per RouterDeployment, KiB", lambda r: 1024 * (r.settled_memory - r.memory) / r.size),
        _Row(f"writes in {rest:g} s at rest", lambda r: r.rest.writes),
        _Row(f"requests in {rest:g} s at rest", lambda r: r.rest.requests),
        _Row("CPU at rest, % of a core", lambda r: r.rest.cpu_percent, 1),
        _Row("memory after the rest, MiB", lambda r: r.rest.memory),
        _Row("writes after a restart", lambda r: r.restarted.writes),
        _Row("memory after a restart, MiB", lambda r: r.restarted.memory),
        _Row("children deleted at the same time", lambda r: r.deleted),
        _Row("deleted children created again, s", lambda r: r.repaired, 2),
        _Row(f"unresponsive pods: writes in {rest / 2:g} s at rest", lambda r: r.unresponsive.writes),
        _Row("unresponsive pods: CPU, % of a core", lambda r: r.unresponsive.cpu_percent, 1),
        _Row("unresponsive pods: memory, MiB", lambda r: r.unresponsive.memory),
        _Row(f"unresponsive pods: health checks in {rest / 2:g} s", lambda r: r.unresponsive.health_checks),
        _Row("unresponsive pods: deleted children created again, s", lambda r: r.repaired_unresponsive, 2),
    ]


def _requests(verb: str) -> Callable[[Result], float]:
    return lambda r: r.requests[verb] / r.size
