"""Implements `PYTHONPATH=. python bench/health.py`, which measures the latency of `/health` during 200 slow requests.

The benchmark starts the router API in front of an upstream that never responds. The benchmark then requests `/health`
200 times in sequence without other requests, and 200 times while 200 requests wait for the upstream. The benchmark
writes the figures to `bench/results.md`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from processes import free_port
from results import write_section

from fakes.upstreams.faults import hang
from fakes.upstreams.server import Upstream

SLOW, PROBES = 200, 200
BODY = {"model": "unresponsive", "messages": [{"role": "user", "content": "Hello"}]}


async def main() -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        Upstream(hang) as upstream,
        _router(upstream.url) as url,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        idle = await _probe(session, url)
        waiting = [asyncio.create_task(_complete(session, url)) for _ in range(SLOW)]
        while (await _in_flight(session, url)) < SLOW:
            await asyncio.sleep(0.05)
        busy = await _probe(session, url)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    _report(idle, busy)


@asynccontextmanager
async def _router(upstream: str) -> AsyncIterator[str]:
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(f"router: {{base_url: '{upstream}', model: none}}\n")
        config.write(
            f"targets: [{{name: unresponsive, base_url: '{upstream}'}}, {{name: other, base_url: '{upstream}'}}]\n"
        )
        config.flush()
        command = [sys.executable, "-m", "rl_router_api", "--config", config.name, "--serve-port", str(port)]
        command += ["--server.admin-port", "0"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "NO_PROXY": "127.0.0.1"})
        try:
            await _until_open(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


async def _until_open(port: int) -> None:
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(
        f"error: the router does not listen on port {port} after 30 s. Remove stderr=subprocess.DEVNULL from "
        "bench/health.py, and run the benchmark again to see the router's error"
    )


async def _complete(session: aiohttp.ClientSession, url: str) -> None:
    async with session.post(f"{url}/v1/chat/completions", json=BODY) as response:
        await response.read()


async def _in_flight(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(f"{url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return int(float(next(line.split()[-1] for line in lines if line.startswith("rl_router_in_flight "))))


async def _probe(session: aiohttp.ClientSession, url: str) -> list[float]:
    """Requests `/health` `PROBES` times in sequence, and returns the durations of the requests in milliseconds."""
    times = []
    for _ in range(PROBES):
        start = time.perf_counter()
        async with session.get(f"{url}/health") as response:
            await response.read()
        times.append((time.perf_counter() - start) * 1000)
    return times


def _report(idle: list[float], busy: list[float]) -> None:
    rows = "\n".join(
        f"| {name} | {statistics.median(times):.1f} | {statistics.quantiles(times, n=100)[98]:.1f} |"
        for name, times in (("idle", idle), (f"with {SLOW} slow requests in flight", busy))
    )
    write_section(
        "/health",
        f"Each row shows the latency of {PROBES} sequential requests for `/health`, in milliseconds.\n\n"
        f"| load | median | p99 |\n| --- | --- | --- |\n{rows}",
    )


if __name__ == "__main__":
    asyncio.run(main())
