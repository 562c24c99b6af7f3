"""How fast `/health` answers while 200 slow requests are under way: `PYTHONPATH=. python bench/health.py`.

Starts an upstream that keeps silent, the router API in front of it, and 200 requests that wait; then asks `/health` 200
times, one after another, idle and under that load. Writes the figures into `bench/results.md`.
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
from results import put

from fakes.upstreams.faults import hang
from fakes.upstreams.server import Upstream

SLOW, ASKED = 200, 200
BODY = {"model": "silent", "messages": [{"role": "user", "content": "Hello"}]}


async def main() -> None:
    unlimited = aiohttp.TCPConnector(limit=0)
    async with (
        Upstream(hang) as upstream,
        _router(upstream.url) as url,
        aiohttp.ClientSession(connector=unlimited) as session,
    ):
        idle = await _ask(session, url)
        waiting = [asyncio.create_task(_wait(session, url)) for _ in range(SLOW)]
        while (await _in_flight(session, url)) < SLOW:
            await asyncio.sleep(0.05)
        busy = await _ask(session, url)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    _report(idle, busy)


@asynccontextmanager
async def _router(upstream: str) -> AsyncIterator[str]:
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(f"router: {{base_url: '{upstream}', model: none}}\n")
        config.write(f"targets: [{{name: silent, base_url: '{upstream}'}}, {{name: other, base_url: '{upstream}'}}]\n")
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
    raise SystemExit("error: the router API did not start")


async def _wait(session: aiohttp.ClientSession, url: str) -> None:
    async with session.post(f"{url}/v1/chat/completions", json=BODY) as response:
        await response.read()


async def _in_flight(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(f"{url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return int(float(next(line.split()[-1] for line in lines if line.startswith("rl_router_in_flight "))))


async def _ask(session: aiohttp.ClientSession, url: str) -> list[float]:
    took = []
    for _ in range(ASKED):
        begun = time.perf_counter()
        async with session.get(f"{url}/health") as response:
            await response.read()
        took.append((time.perf_counter() - begun) * 1000)
    return took


def _report(idle: list[float], busy: list[float]) -> None:
    rows = "\n".join(
        f"| {name} | {statistics.median(took):.1f} | {statistics.quantiles(took, n=100)[98]:.1f} |"
        for name, took in (("idle", idle), (f"{SLOW} slow requests under way", busy))
    )
    put("/health", f"{ASKED} times, milliseconds.\n\n| load | median | p99 |\n| --- | --- | --- |\n{rows}")


if __name__ == "__main__":
    asyncio.run(main())
