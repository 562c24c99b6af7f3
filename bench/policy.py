"""Measures the decisions of the learned policy in process and over HTTP, and the policy's memory and start time.

Without `--quick`, updates bench/results.md. Other programs on the machine can make all durations longer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from policy_servers import Start, by_client, by_router_api, port_8000, start
from policy_workload import CANDIDATES
from processes import LOAD_CORE, SERVER_CORE, pinned
from results import write_section

Row = tuple[str, str, str]
"""A row of the table: the name of the figure, the result and the goal."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure few decisions and starts; write no files")
    quick = parser.parse_args().quick
    os.sched_setaffinity(0, {LOAD_CORE})
    decisions, starts = (100, 2) if quick else (2_000, 9)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [*_in_process(decisions), *_over_http(folder, decisions), *_of_the_router_api(folder, starts)]
    section = _section(rows, decisions, starts)
    if quick:
        print(f"\n{section}")
    else:
        write_section("The learned policy", section)


def _section(rows: Sequence[Row], decisions: int, starts: int) -> str:
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"Each decision chooses among {CANDIDATES} candidates for a prompt of 2 kB, with the bundled artefact. Each "
        f"figure of decisions comes from {decisions:,} decisions about different prompts. Each figure of the router "
        f"API compares medians of {starts} starts. A start ends with the first decision. The servers run on one core, "
        f"and their client runs on another core.\n\n| figure | result | goal |\n| --- | --- | --- |\n{lines}"
    )


def _in_process(decisions: int) -> Iterator[Row]:
    command = [sys.executable, str(Path(__file__).with_name("policy_in_process.py")), str(decisions)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    output = subprocess.check_output(command, env=environment, preexec_fn=pinned(SERVER_CORE))
    measured = json.loads(output)
    for name, durations, goal in (
        (f"a memory of {measured['prompts']:,} prompts", measured["memory"], "1.2 / 3 ms"),
        ("no memory", measured["no memory"], ""),
    ):
        p50, p99 = statistics.median(durations), statistics.quantiles(durations, n=100)[98]
        yield f"duration of a decision in process with {name}, p50 / p99", f"{p50:.2f} / {p99:.2f} ms", goal


def _over_http(folder: Path, decisions: int) -> Iterator[Row]:
    with port_8000(folder) as server:
        for name, costs, goal in (
            ("a small client and port 8000", by_client(server, decisions), "8 ms"),
            ("the router API and port 8000", by_router_api(server, decisions, folder), ""),
        ):
            result = f"{sum(costs):.1f} ms ({costs[0]:.1f} + {costs[1]:.1f})"
            yield f"CPU time of a decision by tool calls: {name}", result, goal


def _of_the_router_api(folder: Path, starts: int) -> Iterator[Row]:
    fixed, learned = [], []
    for _ in range(starts):
        fixed.append(start("fixed", folder))
        learned.append(start("learned", folder))
    yield "memory of the router API, `learned` minus `fixed`", *_difference(fixed, learned, "memory", "MiB", "+40 MiB")
    yield "part of this memory that all workers share", *_difference(fixed, learned, "shared", "MiB", "")
    yield "start of the router API, `learned` minus `fixed`", *_difference(fixed, learned, "seconds", "s", "+0.4 s")


def _difference(fixed: Sequence[Start], learned: Sequence[Start], name: str, unit: str, goal: str) -> tuple[str, str]:
    low, high = [statistics.median([getattr(each, name) for each in starts]) for starts in (fixed, learned)]
    return f"{high - low:+.2f} {unit} ({high:.2f} - {low:.2f})", goal


if __name__ == "__main__":
    main()
