"""Measures the time from the router's start to its first chat completion, and the times of the router's imports."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cases import PINNED
from load import Load
from results import write_section
from run import check_tools
from stacks import rl_router, start_upstream

_TIMES = 5
_APP = "rl_router_api.server.app"


def main() -> None:
    check_tools()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        upstream, url = start_upstream(folder)
        try:
            seconds = [_start(folder, url) for _ in range(_TIMES)]
        finally:
            upstream.stop()
    write_section("Start", _section(seconds))


def _start(folder: Path, upstream: str) -> float:
    """Returns the seconds from the start of the router's process to the router's first chat completion."""
    router = rl_router(folder, upstream)
    try:
        _complete(router.load(PINNED, 1))
        return time.monotonic() - router.process.started
    finally:
        router.process.stop()


def _complete(load: Load) -> None:
    """Sends one request of the load with curl. Raises CalledProcessError if the request fails."""
    headers = [word for name, value in load.headers.items() for word in ("-H", f"{name}: {value}")]
    command = ["curl", "-sf", "-o", "/dev/null", "-H", "Content-Type: application/json", *headers]
    subprocess.run([*command, "-d", load.body.decode(), load.url], check=True)


def _section(seconds: list[float]) -> str:
    rows = "\n".join(f"| {name} | {milliseconds:.0f} |" for name, milliseconds in _imports())
    return (
        f"The time from the router's start to its first chat completion is {statistics.median(seconds):.2f} s, the "
        f"median of {len(seconds)} starts that took from {min(seconds):.2f} s to {max(seconds):.2f} s. The goal is at "
        "most 1 s.\n\nThe table lists the router's main imports, slowest first. The time of a module includes the "
        "module's own imports.\n\n"
        f"| module | ms |\n| --- | --- |\n{rows}"
    )


def _imports() -> list[tuple[str, float]]:
    """Returns the names and import times of the router's main imports in milliseconds, slowest first.

    The import time of a package includes the time of the package's own imports.
    """
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-c",
        "import rl_router_api.server.app, rl_router_api.server.supervisor",
    ]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    lines = [line.partition(":")[2].split("|") for line in report.splitlines()[1:]]
    times = {name.strip(): int(whole) / 1000 for _, whole, name in lines}
    packages = (
        "fastapi",
        "pydantic",
        "uvicorn",
        "prometheus_client",
        "msgspec",
        "yaml",
        "asyncio",
        "rl_router_api.server.app",
    )
    return sorted(((name, times[name]) for name in packages if name in times), key=lambda item: -item[1])


if __name__ == "__main__":
    main()
