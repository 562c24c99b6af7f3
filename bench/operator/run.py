"""What the operator costs for 1, 100 and 1,000 RouterDeployments: `make bench-operator`. Writes bench/operator.md.

The API server, the controllers and the scheduler are real; nodes and pods are pretended. Each size has a new cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import cluster
import health
from phases import Phases, Result
from processes import SERVER_CORE, Process, free_port
from table import write

_SIZES = (1, 100, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(map(str, _SIZES)), help="how many RouterDeployments, by commas")
    parser.add_argument("--rest", type=float, default=120, help="seconds at rest that are looked at")
    parser.add_argument("--keep", type=Path, help="a folder for the logs of everything that ran")
    parser.add_argument("--dry", action="store_true", help="show the results, and write none")
    given = parser.parse_args()
    cluster.check_programs()
    results = [asyncio.run(_measured(int(size), given.rest, given.keep)) for size in given.sizes.split(",")]
    write(results, given.rest, dry=given.dry)


async def _measured(size: int, rest: float, keep: Path | None) -> Result:
    with tempfile.TemporaryDirectory() as temporary:
        folder = (keep or Path(temporary)) / str(size)
        folder.mkdir(parents=True)
        with cluster.running(folder) as made:
            async with health.answering() as pods:
                operator, url = _operator(made.operator, folder / "operator.log")
                try:
                    return await Phases(made, operator, url, pods).run(size, rest)
                finally:
                    operator.stop()


def _operator(kubeconfig: Path, log: Path) -> tuple[Process, str]:
    """The operator, as its image runs it, and where it serves its own endpoints."""
    port = free_port()
    flags = [f"--kubeconfig={kubeconfig}", "--host=127.0.0.1", f"--port={port}"]
    return Process([sys.executable, "-m", "rl_router_operator", *flags], SERVER_CORE, log), f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    main()
