"""Measures the latency of `/health` during 200 slow requests: `python bench/health.py`.

Starts an upstream that never responds and the router API in front of it. Then it requests `/health` 200 times in
sequence, first without other requests and then during 200 requests that wait. Writes the figures to `bench/results.md`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from results import write_section

SLOW, PROBES = 200, 200
BODY = {"model": "unresponsive", "messages": [{"role": "user", "content": "Hello"}]}


async def main() -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        _unresponsive_upstream() as upstream,
        _router(upstream) as url,
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
async def _unresponsive_upstream() -> AsyncIterator[str]:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.Response()

    application = web.Application()
    application.router.add_post("/v1/chat/completions", never)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


@asynccontextmanager
async def _router(upstream: str) -> AsyncIterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
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
    raise SystemExit("error: the router API did not start")


async def _complete(session: aiohttp.ClientSession, url: str) -> None:
    async with session.post(f"{url}/v1/chat/completions", json=BODY) as response:
        await response.read()


async def _in_flight(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(f"{url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return int(float(next(line.split()[-1] for line in lines if line.startswith("rl_router_in_flight "))))


async def _probe(session: aiohttp.ClientSession, url: str) -> list[float]:
    """Returns the time of each request for `/health`, in milliseconds."""
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
        for name, times in (("idle", idle), (f"{SLOW} slow requests in flight", busy))
    )
    write_section(
        "/health",
        f"Milliseconds of {PROBES} requests in sequence.\n\n| load | median | p99 |\n| --- | --- | --- |\n{rows}",
    )


if __name__ == "__main__":
    asyncio.run(main())
