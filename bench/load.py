"""Load on a server by wrk, and what it cost the server."""

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
    """What is asked, and by how many connections at once; `rate` requests a second, or as many as can be."""

    url: str
    body: bytes
    headers: dict[str, str]
    connections: int
    rate: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What came of it: microseconds of CPU a request, requests a second, milliseconds until the whole answer."""

    cpu_us: float
    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int


def measure(server: Process, load: Load, seconds: float) -> Cost:
    """Puts the load on the server and takes the CPU time from the kernel's books. Exits where requests fail."""
    before = server.cpu_seconds()
    told = run(load, seconds)
    spent = server.cpu_seconds() - before
    if told["requests"] < load.connections:
        # Too few to count: some servers answer the first only after seconds.
        return measure(server, load, seconds * 4)
    return Cost(
        cpu_us=spent / told["requests"] * 1e6,
        per_second=told["requests"] / told["seconds"],
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        requests=told["requests"],
    )


def run(load: Load, seconds: float) -> dict[str, float]:
    """What wrk says of so many seconds of load."""
    with tempfile.NamedTemporaryFile() as body:
        body.write(load.body)
        body.flush()
        told = {
            "BENCH_BODY": body.name,
            "BENCH_HEADERS": "\n".join(f"{name}: {value}" for name, value in load.headers.items()),
            "BENCH_CONNECTIONS": str(load.connections),
            "BENCH_RATE": str(load.rate),
        }
        command = ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds:.0f}s", "--timeout=30s", f"-s{_SCRIPT}"]
        done = subprocess.run(
            [*command, load.url],
            env=os.environ | told,
            preexec_fn=pinned(LOAD_CORE),
            stdout=subprocess.PIPE,
            check=True,
        )
    answer: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    if answer["failed"]:
        raise SystemExit(f"error: {answer['failed']} of {answer['requests']} requests to {load.url} failed")
    return answer
