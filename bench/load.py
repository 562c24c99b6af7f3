"""Uses wrk to send load to a server, and measures the server's cost."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from processes import LOAD_CORE, Process, pinned

_SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Load:
    """A load: the request that wrk repeats, and the number of parallel connections.

    The attribute `rate` is the maximum average rate in requests per second, and 0 means an unlimited rate.
    """

    url: str
    body: bytes
    headers: dict[str, str]
    connections: int
    rate: float = 0.0


@dataclass(frozen=True)
class Cost:
    """The measured cost of a server: the CPU time per request in microseconds, the requests per second, the p50 and p99
    of the latency of complete answers in milliseconds, and the number of requests."""

    cpu_us: float
    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int


def measure(server: Process, load: Load, seconds: float) -> Cost:
    """Returns the cost of the server during `seconds` seconds of load.

    If the server answers fewer requests than there are connections, repeats the measurement for four times as long.

    The kernel reports the CPU time of the server. Exits the benchmark if a request fails.
    """
    before = server.cpu_seconds()
    result = run(load, seconds)
    spent = server.cpu_seconds() - before
    if result["requests"] < load.connections:
        # Some servers take seconds for their first answer. A longer load then completes enough requests.
        return measure(server, load, seconds * 4)
    return Cost(
        cpu_us=spent / result["requests"] * 1e6,
        per_second=result["requests"] / result["seconds"],
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        requests=result["requests"],
    )


def run(load: Load, seconds: float) -> dict[str, float]:
    """Runs the load generator wrk, and returns the result of wrk.

    The result has the fields `requests`, `seconds`, `failed`, `p50_ms` and `p99_ms`. Exits the benchmark if a request
    fails.
    """
    with tempfile.NamedTemporaryFile() as body:
        body.write(load.body)
        body.flush()
        variables = {
            "BENCH_BODY": body.name,
            "BENCH_HEADERS": "\n".join(f"{name}: {value}" for name, value in load.headers.items()),
            "BENCH_CONNECTIONS": str(load.connections),
            "BENCH_RATE": str(load.rate),
        }
        command = ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds:.0f}s", "--timeout=30s", f"-s{_SCRIPT}"]
        process = subprocess.run(
            [*command, load.url],
            env=os.environ | variables,
            preexec_fn=pinned(LOAD_CORE),
            stdout=subprocess.PIPE,
            check=True,
        )
    result: dict[str, float] = json.loads(process.stdout.strip().splitlines()[-1])
    if result["failed"]:
        raise SystemExit(
            f"error: {result['failed']} of {result['requests']} requests to {load.url} failed. "
            "Start the upstream and the server as bench/stacks.py does, and send a request with curl to see the error"
        )
    return result
