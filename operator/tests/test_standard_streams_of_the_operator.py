"""The operator runs even if its standard streams are closed, broken or full, or its terminal is closed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import httpx
import pytest

from fakes.cluster.control_plane import OPERATOR, ApiServer
from fakes.cluster.kube_client import Kube
from fakes.cluster.waiting import eventually
from fakes.ports import free_port
from fakes.testbed.streams import broken_pipe, full_pipe, redirected

STREAMS = {
    "all closed": "<&- >&- 2>&-",
    "both full": ">&{full} 2>&{full}",
    "both broken": ">&{broken} 2>&{broken}",
    "both on a full disk": ">/dev/full 2>/dev/full",
}


async def _is_leading(port: int) -> None:
    async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:
        try:
            assert (await client.get("/healthz")).status_code == 200
            assert "rl_router_operator_leading 1.0" in (await client.get("/metrics")).text
        except httpx.TransportError as error:
            raise AssertionError("the operator does not answer") from error


@pytest.mark.parametrize("streams", STREAMS)
async def test_it_leads_and_stops_whatever_its_standard_streams_are(
    api_server: ApiServer, kube: Kube, tmp_path, streams: str
):
    config = api_server.write_kubeconfig(api_server.url, OPERATOR, tmp_path / "kubeconfig")
    port = free_port()
    flags = [f"--kubeconfig={config}", f"--watch-namespaces={kube.namespace}", "--host=127.0.0.1", f"--port={port}"]
    command = [sys.executable, "-m", "rl_router_operator", *flags]
    with full_pipe() as (_, full), broken_pipe() as broken:
        process = await asyncio.create_subprocess_exec(
            *redirected(command, STREAMS[streams].format(full=full, broken=broken)),
            pass_fds=(full, broken),
            env={**os.environ, "POD_NAMESPACE": kube.namespace, "POD_NAME": f"operator-{port}"},
        )
        await eventually(lambda: _is_leading(port), within=60)
        process.send_signal(signal.SIGHUP)
        await _is_leading(port)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
