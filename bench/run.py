"""Measures the CPU time of the router, and of comparable servers or an older revision of the router.

Without `--only` and `--against`, updates bench/results.md and bench/results.svg.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cases import ALL, Case
from comparison import Round, alternate, report
from load import Cost, measure, run
from plot import write_plot
from report import Measurement, section_of_costs
from results import write_section
from revisions import Revision, old_and_new
from stacks import PEERS, Stack, Start, rl_router, router_of, start_upstream

_PACKAGES = {"gcc": "gcc", "wrk": "wrk"}
_CONNECTIONS = (1, 64, 256)
_PEER_CONNECTIONS = (1, 64)
_WARM_UP = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=5, help="number of rounds; each result is the median of all rounds; default: 5"
    )
    parser.add_argument("--seconds", type=float, default=4, help="minimum seconds of load in a measurement; default: 4")
    parser.add_argument(
        "--only",
        default="",
        metavar="WORDS",
        help="measure only the kinds of requests whose name contains WORDS; write no files",
    )
    parser.add_argument("--against", metavar="REV", help="compare the working tree with revision REV; write no files")
    options = parser.parse_args()
    check_tools()
    if options.against:
        _compare(options)
    else:
        _measure(options)


def _measure(options: argparse.Namespace) -> None:
    with running_stacks() as stacks:
        measurements = [row for round_ in range(options.rounds) for row in _round(stacks, options, round_)]
    section = section_of_costs(measurements, options.rounds)
    if options.only:
        print(f"\n{section}")
        return
    write_section("CPU time", section)
    write_plot(measurements)


def _compare(options: argparse.Namespace) -> None:
    """Prints the ratios of the working tree's figures to those of the `--against` revision."""
    with old_and_new(options.against, "rl_router_api") as pair:
        rounds = [_both(pair, options, round_) for round_ in range(options.rounds)]
        print(f"\n{report(*(revision.title for revision in pair), rounds)}")


def check_tools() -> None:
    """Exits the benchmark if gcc or wrk is not installed. gcc compiles the upstream, and wrk sends the load."""
    missing = [name for name in _PACKAGES if shutil.which(name) is None]
    if missing:
        packages = " ".join(_PACKAGES[name] for name in missing)
        raise SystemExit(f"error: {' and '.join(missing)} not found. On Debian, run: apt-get install {packages}")


@contextmanager
def running_stacks(starts: Sequence[Start] = (rl_router, *PEERS)) -> Iterator[list[Stack]]:
    """Starts the upstream and the servers of `starts`, yields the servers that are installed, and finally stops all.

    All installed servers run at the same time, but only the server that gets the load uses much CPU time.
    """
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        upstream, url = start_upstream(folder)
        running.callback(upstream.stop)
        stacks = []
        for start in starts:
            stack = start(folder, url)
            if stack is not None:
                running.callback(stack.process.stop)
                stacks.append(stack)
        yield stacks


def _round(stacks: list[Stack], options: argparse.Namespace, round_: int) -> Iterator[Measurement]:
    for index, stack in enumerate(stacks):
        for case in stack.cases:
            if options.only not in case.name:
                continue
            for connections in _PEER_CONNECTIONS if index else _CONNECTIONS:
                cost = _cost(stack, case, connections, options.seconds, warm_up=round_ == 0)
                yield Measurement(stack.name, case, connections, cost)


def _both(pair: Sequence[Revision], options: argparse.Namespace, round_: int) -> Round:
    """Returns the figures of the old revision and of the new revision in one round.

    Each load goes to the router of one revision and immediately afterwards to the router of the other revision.

    Every round restarts both routers, because the figures of two processes of the same code differ, and the ratios of
    the rounds must include this difference.
    """
    figures: tuple[dict[str, float], dict[str, float]] = {}, {}
    with running_stacks([router_of(revision) for revision in pair]) as stacks:
        for case in (case for case in ALL if options.only in case.name):
            for connections in _CONNECTIONS:
                for stack, values in alternate(list(zip(stacks, figures, strict=True)), round_):
                    cost = _cost(stack, case, connections, options.seconds, warm_up=True)
                    values.update(_named(f"{case.name}, {connections} connections", cost))
        for stack, values in zip(stacks, figures, strict=True):
            values["memory, MiB"] = stack.process.memory_mb()
    return figures


def _named(load: str, cost: Cost) -> dict[str, float]:
    values = {"CPU, us": cost.cpu_us, "requests/s": cost.per_second, "p50, ms": cost.p50_ms, "p99, ms": cost.p99_ms}
    return {f"{load}: {name}": value for name, value in values.items()}


def _cost(stack: Stack, case: Case, connections: int, seconds: float, *, warm_up: bool) -> Cost:
    load = stack.load(case, connections)
    if warm_up:
        run(load, _WARM_UP)
    cost = measure(stack.process, load, seconds)
    _show(stack, case.name, connections, cost)
    return cost


def _show(stack: Stack, case: str, connections: int, cost: Cost) -> None:
    print(
        f"{stack.name:16} {case:34} {connections:4} connections {cost.cpu_us:8.0f} us of CPU {cost.per_second:7.0f}/s "
        f"p50 {cost.p50_ms:8.2f} ms p99 {cost.p99_ms:8.2f} ms {stack.process.memory_mb():5.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
