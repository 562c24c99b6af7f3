"""The router model is served even if the standard streams of its server are closed, broken or full."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from fakes.ports import free_ports
from fakes.testbed.streams import broken_pipe, full_pipe, redirected
from fakes.testbed.waiting import until

STREAMS = {
    "all closed": "<&- >&- 2>&-",
    "both full": ">&{full} 2>&{full}",
    "both broken": ">&{broken} 2>&{broken}",
    "both on a full disk": ">/dev/full 2>/dev/full",
}
LANGUAGE_MODEL = ["--decide", "language-model"]
SERVERS = {
    "the CPU fallback": ["rl_router_model", *LANGUAGE_MODEL],
    "the command that hosts it": ["rl_router_cli", "model", "--device", "cpu", *LANGUAGE_MODEL],
}
EXIT_CODES = {"the CPU fallback": 0, "the command that hosts it": 143}


@contextmanager
def running(module: list[str], port: int, streams: str) -> Iterator[subprocess.Popen[bytes]]:
    with full_pipe() as (_, full), broken_pipe() as broken:
        command = [sys.executable, "-m", *module, "--port", str(port)]
        redirections = streams.format(full=full, broken=broken)
        process = subprocess.Popen(redirected(command, redirections), pass_fds=(full, broken))
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


async def is_healthy(process: subprocess.Popen[bytes], port: int) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:

        async def healthy() -> bool:
            assert process.poll() is None
            try:
                return (await client.get(f"http://127.0.0.1:{port}/health")).status_code == 200
            except httpx.TransportError:
                return False

        await until(healthy, "the server", within=60)


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("server", SERVERS)
async def test_it_serves_and_stops_whatever_its_standard_streams_are(server: str, streams: str) -> None:
    (port,) = free_ports(1)
    with running(SERVERS[server], port, STREAMS[streams]) as process:
        await is_healthy(process, port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == EXIT_CODES[server]


async def test_the_cpu_fallback_survives_a_closed_terminal() -> None:
    (port,) = free_ports(1)
    with running(SERVERS["the CPU fallback"], port, "") as process:
        await is_healthy(process, port)
        process.send_signal(signal.SIGHUP)
        await is_healthy(process, port)
