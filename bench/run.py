"""What the router costs, beside its peers: `make bench`. Writes bench/results.md and bench/results.svg."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from against import Round, in_turn, report
from cases import ALL, Case
from load import Cost, measure, run
from plot import write_plot
from report import Measured, section_of_costs
from results import put
from revisions import Revision, old_and_new
from stacks import PEERS, Stack, Start, rl_router, router_of, start_upstream

_NEEDED = {"gcc": "gcc", "wrk": "wrk"}
_CONNECTIONS = (1, 64, 256)
_PEER_CONNECTIONS = (1, 64)
_WARM_UP = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured; the median counts")
    parser.add_argument("--seconds", type=float, default=4, help="of load in each measurement")
    parser.add_argument("--only", default="", metavar="WORDS", help="such cases alone; nothing is written")
    parser.add_argument("--against", metavar="REV", help="compare with this git revision; nothing is written")
    given = parser.parse_args()
    check_tools()
    if given.against:
        _compare(given)
    else:
        _measure(given)


def _measure(given: argparse.Namespace) -> None:
    with everything() as stacks:
        measured = [each for round_ in range(given.rounds) for each in _round(stacks, given, round_)]
    section = section_of_costs(measured, given.rounds)
    if given.only:
        print(f"\n{section}")
        return
    put("CPU time", section)
    write_plot(measured)


def _compare(given: argparse.Namespace) -> None:
    """Prints the ratios of the working tree's figures to those of the revision in `--against`."""
    with old_and_new(given.against, "rl_router_api") as pair:
        rounds = [_both(pair, given, round_) for round_ in range(given.rounds)]
        print(f"\n{report(*(each.title for each in pair), rounds)}")


def check_tools() -> None:
    """Exits where a program is missing that load or the upstream needs."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        packages = " ".join(_NEEDED[name] for name in missing)
        raise SystemExit(f"error: {' and '.join(missing)} not found; on Debian: apt-get install {packages}")


@contextmanager
def everything(starts: Sequence[Start] = (rl_router, *PEERS)) -> Iterator[list[Stack]]:
    """The router and each peer that is installed, all running; only the one under load takes CPU time."""
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


def _round(stacks: list[Stack], given: argparse.Namespace, round_: int) -> Iterator[Measured]:
    for at, stack in enumerate(stacks):
        for case in stack.cases:
            if given.only not in case.name:
                continue
            for connections in _PEER_CONNECTIONS if at else _CONNECTIONS:
                cost = _cost(stack, case, connections, given.seconds, warm_up=round_ == 0)
                yield Measured(stack.name, case, connections, cost)


def _both(pair: Sequence[Revision], given: argparse.Namespace, round_: int) -> Round:
    """Returns the figures of both revisions: each load is put on one router, then at once on the other.

    Every round starts both anew: two processes of the same code differ too, and the spread must show that.
    """
    figures: tuple[dict[str, float], dict[str, float]] = {}, {}
    with everything([router_of(each) for each in pair]) as stacks:
        for case in (each for each in ALL if given.only in each.name):
            for connections in _CONNECTIONS:
                for stack, found in in_turn(list(zip(stacks, figures, strict=True)), round_):
                    cost = _cost(stack, case, connections, given.seconds, warm_up=True)
                    found.update(_named(f"{case.name}, {connections} at once", cost))
        for stack, found in zip(stacks, figures, strict=True):
            found["memory, MB"] = stack.process.memory_mb()
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
        f"p50 {cost.p50_ms:8.2f} ms p99 {cost.p99_ms:8.2f} ms {stack.process.memory_mb():5.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
