"""bench/operator.md: what was measured, in words and figures."""

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
    """A figure: its name, its value, and the digits after the point that are shown."""

    name: str
    value: Callable[[Result], float]
    digits: int = 0

    def of(self, results: list[Result]) -> str:
        return f"| {self.name} | {' | '.join(f'{self.value(each):.{self.digits}f}' for each in results)} |"


def figures(result: Result, rest: float) -> dict[str, float]:
    """Returns every row's value, by the row's name, not rounded."""
    return {row.name: row.value(result) for row in _rows(rest)}


def write(results: list[Result], rest: float, *, dry: bool) -> None:
    """Shows the table, and keeps it."""
    text = _text(results, rest)
    print(text)
    if not dry:
        _FILE.write_text(text)


def _text(results: list[Result], rest: float) -> str:
    rows = "\n".join(row.of(results) for row in _rows(rest))
    return f"""# The operator

Measured by `make bench-operator` on {os.cpu_count()} shared cores ({platform.machine()}, Python \
{platform.python_version()}): an API server, etcd,
Kubernetes' controllers, its scheduler and kwok run on the same cores as the operator, which has one of them. So trust
ratios and counts, not seconds. Each RouterDeployment is `spec: {{}}`: \
{results[0].children // results[0].size} children and two pods.

| RouterDeployments | {" | ".join(f"{each.size:,}" for each in results)} |
| --- |{" ---: |" * len(results)}
{rows}

"Settled" is when the last status is written and nothing follows. A Lease is renewed every 2 s, by one read and one
write, which the counts leave out but "requests at rest" has. "Silent pods" are pods of the API that take a connection
and never answer: each is asked again and again and costs the operator its limit of 5 s.

The bare client applies the same manifests, as bytes, with the operator's concurrency, and does nothing else. No
operator can be much faster on the same cores.
"""


def _rows(rest: float) -> list[_Row]:
    return [
        _Row("start: CPU seconds until ready", lambda r: r.started_cpu, 1),
        _Row("memory before, MiB", lambda r: r.memory),
        _Row("all children made, s", lambda r: r.made, 1),
        _Row("all children made by a bare client, s", lambda r: r.floor.made, 1),
        _Row("operator / bare client", lambda r: r.made / r.floor.made, 2),
        _Row("children made a second", lambda r: r.children / r.made),
        _Row("the operator's CPU each until then, ms", lambda r: 1000 * r.made_cpu / r.size),
        _Row("the bare client's, ms", lambda r: 1000 * r.floor.cpu / r.size),
        _Row("settled, s", lambda r: r.settled, 1),
        *[_Row(f"requests each until settled: {verb}", _each(verb), 1) for verb in _VERBS],
        _Row("looks each until settled", lambda r: r.looks / r.size, 1),
        _Row("memory when settled, MiB", lambda r: r.settled_memory),
        _Row("a RouterDeployment's memory, KiB", lambda r: 1024 * (r.settled_memory - r.memory) / r.size),
        _Row(f"writes in {rest:g} s at rest", lambda r: r.rest.writes),
        _Row(f"requests in {rest:g} s at rest", lambda r: r.rest.requests),
        _Row("CPU at rest, % of a core", lambda r: r.rest.cpu_percent, 1),
        _Row("memory after the rest, MiB", lambda r: r.rest.memory),
        _Row("writes after a restart", lambda r: r.restarted.writes),
        _Row("memory after a restart, MiB", lambda r: r.restarted.memory),
        _Row("children deleted at once", lambda r: r.deleted),
        _Row("all of them back, s", lambda r: r.repaired, 2),
        _Row(f"silent pods: writes in {rest / 2:g} s at rest", lambda r: r.unreachable.writes),
        _Row("silent pods: CPU, % of a core", lambda r: r.unreachable.cpu_percent, 1),
        _Row("silent pods: memory, MiB", lambda r: r.unreachable.memory),
        _Row(f"silent pods: asked in {rest / 2:g} s", lambda r: r.unreachable.asked),
        _Row("silent pods: children back, s", lambda r: r.repaired_then, 2),
    ]


def _each(verb: str) -> Callable[[Result], float]:
    return lambda r: r.requests[verb] / r.size
