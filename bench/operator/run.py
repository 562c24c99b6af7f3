"""Implements `make bench-operator`, which measures the operator with 1, 100 and 1,000 RouterDeployments.

By default, the benchmark writes the results to bench/operator.md. The API server, the controllers and the scheduler are
real. The nodes and pods are simulated. Each measurement has a new cluster. With `--against`, both revisions must create
the same children for an empty spec, because the benchmark takes the number and names of the children from the working
tree.
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
from comparison import Round, alternate, report
from phases import BareClient, Phases, Result
from processes import SERVER_CORE, Process, free_port
from revisions import WORKING_TREE, Revision, old_and_new
from table import figures, write

_SIZES = (1, 100, 1000)
_BARE_CLIENT = Path(__file__).with_name("bare_client.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes",
        default=",".join(map(str, _SIZES)),
        help="numbers of RouterDeployments, separated by commas (default: %(default)s)",
    )
    parser.add_argument("--rest", type=float, default=120, help="seconds at rest and after a restart (default: 120)")
    parser.add_argument("--keep", type=Path, help="keep the logs of all processes in this folder")
    parser.add_argument("--dry", action="store_true", help="print the results, and do not write bench/operator.md")
    parser.add_argument(
        "--against",
        metavar="REV",
        help="compare the working tree with the git revision REV, and do not write bench/operator.md",
    )
    parser.add_argument(
        "--rounds", type=int, default=1, help="how many times to measure each revision if --against is set (default: 1)"
    )
    options = parser.parse_args()
    if options.rounds != 1 and not options.against:
        parser.error("--rounds has no effect without --against. Add --against REV, or remove --rounds")
    cluster.check_programs()
    if options.against:
        _compare(options)
    else:
        sizes = [int(size) for size in options.sizes.split(",")]
        results = [_measured(size, options, _measured_bare_client(size, options)) for size in sizes]
        write(results, options.rest, dry=options.dry)


def _compare(options: argparse.Namespace) -> None:
    """Prints, for each size, a comparison of the working tree with the revision in `--against`."""
    with old_and_new(options.against, "rl_router_operator") as pair:
        for size in map(int, options.sizes.split(",")):
            rounds = [_both(pair, size, options, round_) for round_ in range(options.rounds)]
            print(
                f"\n{size:,} RouterDeployments. {report(*(revision.title for revision in pair), rounds)}\n", flush=True
            )


def _both(pair: Sequence[Revision], size: int, options: argparse.Namespace, round_: int) -> Round:
    results, bare_client = {}, _measured_bare_client(size, options, f"-{round_ + 1}")
    for revision in alternate(pair, round_):
        print(f"{size:,} RouterDeployments, round {round_ + 1}: {revision.title}", flush=True)
        result = _measured(size, options, bare_client, revision, f"-{revision.label}-{round_ + 1}")
        results[revision.label] = figures(result, options.rest)
    return results["old"], results["new"]


def _measured(
    size: int, options: argparse.Namespace, bare_client: BareClient, revision: Revision = WORKING_TREE, suffix: str = ""
) -> Result:
    """Measures one operator in a new cluster, and returns the figures.

    With `--keep`, the logs of all processes stay in a subfolder whose name consists of `size` and `suffix`.
    """
    with _folder(options, f"{size}{suffix}") as folder:
        return asyncio.run(_run(size, options.rest, bare_client, folder, revision))


def _measured_bare_client(size: int, options: argparse.Namespace, suffix: str = "") -> BareClient:
    """Measures the bare client in a new cluster, and returns the wall time and the CPU time of the bare client."""
    with _folder(options, f"{size}-bare-client{suffix}") as folder:
        return asyncio.run(_run_bare_client(size, folder))


@contextmanager
def _folder(options: argparse.Namespace, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)) / name
        folder.mkdir(parents=True)
        yield folder


async def _run(size: int, rest: float, bare_client: BareClient, folder: Path, revision: Revision) -> Result:
    with cluster.running(folder, revision.folder) as running:
        async with health.serving() as pods:
            phases = Phases(running, partial(_start_operator, revision.python, running.operator, folder), pods)
            try:
                return await phases.run(size, rest, bare_client)
            finally:
                phases.stop()


async def _run_bare_client(size: int, folder: Path) -> BareClient:
    with cluster.running(folder, WORKING_TREE.folder) as running:
        async with health.serving() as pods:
            phases = Phases(running, partial(_start_bare_client, running.operator, folder), pods)
            try:
                return await phases.run_bare_client(size)
            finally:
                phases.stop()


def _start_bare_client(kubeconfig: Path, folder: Path) -> tuple[Process, str]:
    """Starts the bare client. Returns the process, and an empty URL because the bare client serves no endpoints."""
    return Process([sys.executable, str(_BARE_CLIENT), str(kubeconfig)], SERVER_CORE, folder / "bare-client.log"), ""


def _start_operator(python: str, kubeconfig: Path, folder: Path) -> tuple[Process, str]:
    """Starts the operator with the command of the operator's image. Returns the process and the URL of the operator."""
    port = free_port()
    log = folder / f"operator-{port}.log"
    flags = [f"--kubeconfig={kubeconfig}", "--host=127.0.0.1", f"--port={port}"]
    return Process([python, "-m", "rl_router_operator", *flags], SERVER_CORE, log), f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    main()
