"""The measured costs as tables, medians of all rounds."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cases import PINNED, PINNED_STREAM, TWO_HOPS, Case
from load import Cost

OURS = "RL Router"


@dataclass(frozen=True)
class Measured:
    """One measurement."""

    stack: str
    case: Case
    connections: int
    cost: Cost


def median(measured: Sequence[Measured], stack: str, case: str, connections: int, of: Callable[[Cost], float]) -> float:
    """Of one figure over all rounds; not a number where it was not measured."""
    found = [of(each.cost) for each in measured
             if (each.stack, each.case.name, each.connections) == (stack, case, connections)]  # fmt: skip
    return statistics.median(found) if found else float("nan")


def cpu(measured: Sequence[Measured], stack: str, case: str, connections: int = 64) -> float:
    """Microseconds a request."""
    return median(measured, stack, case, connections, lambda cost: cost.cpu_us)


def section_of_costs(measured: Sequence[Measured], rounds: int) -> str:
    """The text."""
    return "\n\n".join(
        [
            f"CPU time a request as the kernel books it (user and system, all threads), median of {rounds}. The router "
            "runs on one core with keys, prices, metrics and its log on; upstream and load run on another. "
            f"Python {platform.python_version()}, {platform.python_compiler()}. See [results.svg](results.svg).",
            _ours(measured),
            _ratios(measured),
        ]
    )


def _ours(measured: Sequence[Measured]) -> str:
    rows = ["| request | connections | CPU, us | aimed at | requests/s | p50, ms | p99, ms |", "| --- " * 7 + "|"]
    keys = dict.fromkeys((each.case, each.connections) for each in measured if each.stack == OURS)
    for case, connections in keys:
        figures = [
            median(measured, OURS, case.name, connections, of)
            for of in (
                lambda cost: cost.cpu_us,
                lambda cost: cost.per_second,
                lambda cost: cost.p50_ms,
                lambda cost: cost.p99_ms,
            )
        ]
        aimed = f"{case.at_most:.0f}" if case.at_most and connections == 64 else ""
        rows.append(
            f"| {case.name} | {connections} | {figures[0]:.0f} | {aimed} | {figures[1]:,.0f} "
            f"| {figures[2]:.1f} | {figures[3]:.1f} |"
        )
    return "\n".join(rows)


def _ratios(measured: Sequence[Measured]) -> str:
    rows = ["| at 64 connections | CPU, us | times the router's |", "| --- " * 3 + "|"]
    others = dict.fromkeys((each.stack, each.case) for each in measured if each.stack != OURS)
    for stack, case in others:
        theirs, ours = cpu(measured, stack, case.name), cpu(measured, OURS, case.name)
        rows.append(f"| {stack}, {case.name} | {theirs:,.0f} | {theirs / ours:.1f} |")
    return "\n".join(rows)


def bars(measured: Sequence[Measured]) -> list[tuple[str, float]]:
    """What the plot shows: names and microseconds at 64 connections."""
    shown = [(OURS, case) for case in dict.fromkeys(each.case for each in measured if each.stack == OURS)]
    peers = dict.fromkeys(each.stack for each in measured if each.stack != OURS)
    shown += [(stack, case) for stack in peers for case in (PINNED, TWO_HOPS, PINNED_STREAM)]
    values = [(f"{stack}: {case.name}", cpu(measured, stack, case.name)) for stack, case in shown]
    return [(name, value) for name, value in values if value == value]  # those that were measured
