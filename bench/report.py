"""Formats the measured costs as tables of medians over all rounds."""

from __future__ import annotations

import math
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cases import PINNED, PINNED_STREAM, TWO_HOPS, Case
from load import Cost

ROUTER = "RL Router"


@dataclass(frozen=True)
class Measurement:
    """The measured cost of one server for one kind of request and one number of connections, in one round."""

    stack: str
    case: Case
    connections: int
    cost: Cost


def median(
    measurements: Sequence[Measurement], stack: str, case: str, connections: int, of: Callable[[Cost], float]
) -> float:
    """Returns the median of one figure over all rounds, or NaN if the figure was not measured."""
    values = [of(measurement.cost) for measurement in measurements
              if (measurement.stack, measurement.case.name, measurement.connections)
              == (stack, case, connections)]  # fmt: skip
    return statistics.median(values) if values else float("nan")


def cpu(measurements: Sequence[Measurement], stack: str, case: str, connections: int = 64) -> float:
    """Returns the median CPU time per request in microseconds, or NaN if the CPU time was not measured."""
    return median(measurements, stack, case, connections, lambda cost: cost.cpu_us)


def section_of_costs(measurements: Sequence[Measurement], rounds: int) -> str:
    """Returns the text about CPU time for `bench/results.md`.

    The text contains the conditions of the measurement, the figures of the router, and the ratio of each comparable
    server's CPU time to the router's CPU time.
    """
    return "\n\n".join(
        [
            "The CPU time per request is the user and system time of all threads of the server, as the kernel reports "
            f"it, divided by the number of requests. Each figure is the median of {rounds} rounds. The router runs on "
            "one core with the features of a production router: API keys, prices, metrics and a log file. The upstream "
            f"and the load generator run on another core. The router runs on Python {platform.python_version()}, which "
            f"was compiled with {platform.python_compiler()}. See [results.svg](results.svg).",
            _router_figures(measurements),
            _ratios(measurements),
        ]
    )


def _router_figures(measurements: Sequence[Measurement]) -> str:
    rows = ["| request | connections | CPU, us | goal | requests/s | p50, ms | p99, ms |", "| --- " * 7 + "|"]
    keys = dict.fromkeys((row.case, row.connections) for row in measurements if row.stack == ROUTER)
    for case, connections in keys:
        figures = [
            median(measurements, ROUTER, case.name, connections, of)
            for of in (
                lambda cost: cost.cpu_us,
                lambda cost: cost.per_second,
                lambda cost: cost.p50_ms,
                lambda cost: cost.p99_ms,
            )
        ]
        goal = f"{case.goal:.0f}" if case.goal and connections == 64 else ""
        rows.append(
            f"| {case.name} | {connections} | {figures[0]:.0f} | {goal} | {figures[1]:,.0f} "
            f"| {figures[2]:.1f} | {figures[3]:.1f} |"
        )
    return "\n".join(rows)


def _ratios(measurements: Sequence[Measurement]) -> str:
    rows = [
        "| server and kind of request, with 64 connections | CPU, us | ratio to the router's CPU time |",
        "| --- " * 3 + "|",
    ]
    peers = dict.fromkeys((row.stack, row.case) for row in measurements if row.stack != ROUTER)
    for stack, case in peers:
        peer, router = cpu(measurements, stack, case.name), cpu(measurements, ROUTER, case.name)
        rows.append(f"| {stack}, {case.name} | {peer:,.0f} | {peer / router:.1f} |")
    return "\n".join(rows)


def bars(measurements: Sequence[Measurement]) -> list[tuple[str, float]]:
    """Returns the bars of the chart: the name of each bar, and the CPU time per request in microseconds.

    The CPU times were measured with 64 connections.
    """
    stacks = sorted(dict.fromkeys(row.stack for row in measurements), key=lambda stack: stack != ROUTER)
    shown = [(stack, case) for stack in stacks for case in (PINNED, TWO_HOPS, PINNED_STREAM)]
    values = [(f"{stack}: {case.name}", cpu(measurements, stack, case.name)) for stack, case in shown]
    return [(name, value) for name, value in values if not math.isnan(value)]
