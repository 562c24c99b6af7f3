"""bench/operator.md: what was measured, in words and figures."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

from phases import Result

_FILE = Path(__file__).parents[1] / "operator.md"
_VERBS = ("get", "patch", "status", "Events", "delete")


def write(results: list[Result], rest: float, *, dry: bool) -> None:
    """Shows the table, and keeps it."""
    text = _text(results, rest)
    print(text)
    if not dry:
        _FILE.write_text(text)


def _text(results: list[Result], rest: float) -> str:
    rows = "\n".join(_row(name, value, results) for name, value in _rows(rest))
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
"""


def _rows(rest: float) -> list[tuple[str, Callable[[Result], str]]]:
    return [
        ("start: CPU seconds until ready", lambda r: f"{r.started_cpu:.1f}"),
        ("memory before, MiB", lambda r: f"{r.memory:.0f}"),
        ("all children made, s", lambda r: f"{r.made:.1f}"),
        ("children made a second", lambda r: f"{r.children / r.made:.0f}"),
        ("of that, the operator's CPU, s", lambda r: f"{r.made_cpu:.1f}"),
        ("settled, s", lambda r: f"{r.settled:.1f}"),
        *[(f"requests each until settled: {verb}", _each(verb)) for verb in _VERBS],
        ("looks each until settled", lambda r: f"{r.looks / r.size:.1f}"),
        ("memory when settled, MiB", lambda r: f"{r.settled_memory:.0f}"),
        ("a RouterDeployment's memory, KiB", lambda r: f"{1024 * (r.settled_memory - r.memory) / r.size:.0f}"),
        (f"writes in {rest:g} s at rest", lambda r: f"{r.rest.writes}"),
        (f"requests in {rest:g} s at rest", lambda r: f"{r.rest.requests}"),
        ("CPU at rest, % of a core", lambda r: f"{r.rest.cpu_percent:.1f}"),
        ("memory after the rest, MiB", lambda r: f"{r.rest.memory:.0f}"),
        ("children deleted at once", lambda r: f"{r.deleted}"),
        ("all of them back, s", lambda r: f"{r.repaired:.2f}"),
        (f"silent pods: writes in {rest / 2:g} s at rest", lambda r: f"{r.unreachable.writes}"),
        ("silent pods: CPU, % of a core", lambda r: f"{r.unreachable.cpu_percent:.1f}"),
        ("silent pods: memory, MiB", lambda r: f"{r.unreachable.memory:.0f}"),
        (f"silent pods: asked in {rest / 2:g} s", lambda r: f"{r.unreachable.asked}"),
        ("silent pods: children back, s", lambda r: f"{r.repaired_then:.2f}"),
    ]


def _each(verb: str) -> Callable[[Result], str]:
    return lambda r: f"{r.requests[verb] / r.size:.1f}"


def _row(name: str, value: Callable[[Result], str], results: list[Result]) -> str:
    return f"| {name} | {' | '.join(value(each) for each in results)} |"
