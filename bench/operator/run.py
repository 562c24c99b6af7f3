"""What the operator costs for 1, 100 and 1,000 RouterDeployments: `make bench-operator`. Writes bench/operator.md.

The API server, the controllers and the scheduler are real; nodes and pods are pretended. Each measurement has a new
cluster. With `--against`, both revisions must create the same children for an empty spec, because the benchmark takes
their number and names from the working tree.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cluster
import health
from against import Round, in_turn, report
from phases import Floor, Phases, Result
from processes import SERVER_CORE, Process, free_port
from revisions import WORKING_TREE, Revision, old_and_new
from table import figures, write

_SIZES = (1, 100, 1000)
_FLOOR = Path(__file__).with_name("floor.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(map(str, _SIZES)), help="how many RouterDeployments, by commas")
    parser.add_argument("--rest", type=float, default=120, help="seconds at rest that are looked at")
    parser.add_argument("--keep", type=Path, help="a folder for the logs of everything that ran")
    parser.add_argument("--dry", action="store_true", help="show the results, and write none")
    parser.add_argument("--against", metavar="REV", help="compare with this git revision; nothing is written")
    parser.add_argument("--rounds", type=int, default=1, help="how often --against measures both (default: 1)")
    given = parser.parse_args()
    if given.rounds != 1 and not given.against:
        parser.error("--rounds needs --against: without it each size is measured once")
    cluster.check_programs()
    if given.against:
        _compare(given)
    else:
        sizes = [int(size) for size in given.sizes.split(",")]
        results = [_measured(size, given, _measured_floor(size, given)) for size in sizes]
        write(results, given.rest, dry=given.dry)


def _compare(given: argparse.Namespace) -> None:
    """Prints, for each size, the ratios of the working tree's figures to those of the revision in `--against`."""
    with old_and_new(given.against, "rl_router_operator") as pair:
        for size in map(int, given.sizes.split(",")):
            rounds = [_both(pair, size, given, round_) for round_ in range(given.rounds)]
            print(f"\n{size:,} RouterDeployments. {report(*(each.title for each in pair), rounds)}\n", flush=True)


def _both(pair: Sequence[Revision], size: int, given: argparse.Namespace, round_: int) -> Round:
    found, floor = {}, _measured_floor(size, given, f"-{round_ + 1}")
    for revision in in_turn(pair, round_):
        print(f"{size:,} RouterDeployments, round {round_ + 1}: {revision.title}", flush=True)
        result = _measured(size, given, floor, revision, f"-{revision.label}-{round_ + 1}")
        found[revision.label] = figures(result, given.rest)
    return found["old"], found["new"]


def _measured(
    size: int, given: argparse.Namespace, floor: Floor, revision: Revision = WORKING_TREE, suffix: str = ""
) -> Result:
    """Measures one operator in a new cluster, whose logs are kept under the size and `suffix`."""
    with _folder(given, f"{size}{suffix}") as folder:
        return asyncio.run(_run(size, given.rest, floor, folder, revision))


def _measured_floor(size: int, given: argparse.Namespace, suffix: str = "") -> Floor:
    """Measures the bare client in a new cluster."""
    with _folder(given, f"{size}-floor{suffix}") as folder:
        return asyncio.run(_run_floor(size, folder))


@contextmanager
def _folder(given: argparse.Namespace, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.keep or Path(temporary)) / name
        folder.mkdir(parents=True)
        yield folder


async def _run(size: int, rest: float, floor: Floor, folder: Path, revision: Revision) -> Result:
    with cluster.running(folder, revision.folder) as made:
        async with health.answering() as pods:
            phases = Phases(made, partial(_operator, revision.python, made.operator, folder), pods)
            try:
                return await phases.run(size, rest, floor)
            finally:
                phases.stop()


async def _run_floor(size: int, folder: Path) -> Floor:
    with cluster.running(folder, WORKING_TREE.folder) as made:
        async with health.answering() as pods:
            phases = Phases(made, partial(_bare_client, made.operator, folder), pods)
            try:
                return await phases.run_floor(size)
            finally:
                phases.stop()


def _bare_client(kubeconfig: Path, folder: Path) -> tuple[Process, str]:
    """The bare client, which serves nothing."""
    return Process([sys.executable, str(_FLOOR), str(kubeconfig)], SERVER_CORE, folder / "floor.log"), ""


def _operator(python: str, kubeconfig: Path, folder: Path) -> tuple[Process, str]:
    """The operator, as its image runs it, and where it serves its own endpoints."""
    port = free_port()
    log = folder / f"operator-{port}.log"
    flags = [f"--kubeconfig={kubeconfig}", "--host=127.0.0.1", f"--port={port}"]
    return Process([python, "-m", "rl_router_operator", *flags], SERVER_CORE, log), f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    main()
