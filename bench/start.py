"""How long the router takes from its start to its first answer, and what it imports meanwhile."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cases import PINNED
from load import Load
from results import put
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
            took = [_start(folder, url) for _ in range(_TIMES)]
        finally:
            upstream.stop()
    put("Start", _section(took))


def _start(folder: Path, upstream: str) -> float:
    """Seconds until a completion is answered."""
    router = rl_router(folder, upstream)
    try:
        _until_answered(router.load(PINNED, 1))
        return time.monotonic() - router.process.started
    finally:
        router.process.stop()


def _until_answered(load: Load) -> None:
    headers = [word for name, value in load.headers.items() for word in ("-H", f"{name}: {value}")]
    command = ["curl", "-sf", "-o", "/dev/null", "-H", "Content-Type: application/json", *headers]
    subprocess.run([*command, "-d", load.body.decode(), load.url], check=True)


def _section(took: list[float]) -> str:
    rows = "\n".join(f"| {name} | {milliseconds:.0f} |" for name, milliseconds in _imports())
    return (
        f"From the command to the first answered completion: {statistics.median(took):.2f} s, median of {len(took)} "
        f"(aimed at: 1; from {min(took):.2f} to {max(took):.2f}).\n\n"
        f"The imports that take longest, with all that they import:\n\n| module | ms |\n| --- | --- |\n{rows}"
    )


def _imports() -> list[tuple[str, float]]:
    """The longest imports of top-level packages, in milliseconds."""
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-c",
        "import rl_router_api.server.app, rl_router_api.server.workers",
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    lines = [line.partition(":")[2].split("|") for line in told.splitlines()[1:]]
    found = {name.strip(): int(whole) / 1000 for _, whole, name in lines}
    wanted = (
        "fastapi",
        "pydantic",
        "uvicorn",
        "prometheus_client",
        "msgspec",
        "yaml",
        "asyncio",
        "rl_router_api.server.app",
    )
    return sorted(((name, found[name]) for name in wanted if name in found), key=lambda each: -each[1])


if __name__ == "__main__":
    main()
