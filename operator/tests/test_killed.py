"""An operator that is killed during any write leaves a state that the next operator completes."""

from __future__ import annotations

import asyncio
import signal
import sys

import httpx
from rl_router_operator.objects.manifest import ref_of
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.control_plane import OPERATOR
from fakes.cluster.kube_client import Kube
from fakes.cluster.operator_process import OperatorProcess, operator_process
from fakes.cluster.proxy import Proxy, Recorded, error
from fakes.cluster.routers import FULL_SPEC, router
from fakes.cluster.waiting import eventually
from fakes.ports import free_port


async def _release_lease(kube: Kube):
    """Ends the Lease of a killed operator, so that the test need not wait until it expires."""
    if await kube.get("Lease", "rl-router-operator"):
        await kube.merge("Lease", "rl-router-operator", {"spec": {"holderIdentity": ""}})


def killer(victim: list[OperatorProcess], *, written: bool):
    """Returns a fault that kills the operator at its next write. `written` is whether the API server gets the write."""

    def kill(request: Recorded):
        if not request.is_write or request.plural == "leases" or not victim:
            return None
        victim.pop().signal(signal.SIGKILL)
        return None if written else error(503)

    return kill


async def test_operators_that_are_killed_during_each_write_still_complete_the_router(
    api_server, kube: Kube, proxy, tmp_path
):
    body = await kube.create(router(**FULL_SPEC))
    refs = {ref_of(child) for child in desired(read(body), Defaults())}

    async def is_complete():
        for ref in refs:
            await kube.existing(*ref)
        await kube.condition("Ready")

    async def is_killed(started: OperatorProcess) -> bool:
        """Returns whether the operator was killed. It is not when nothing is left to write."""
        await _release_lease(kube)
        ended = asyncio.create_task(started.ended())
        complete = asyncio.create_task(eventually(is_complete, within=60))
        await asyncio.wait([ended, complete], return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, complete):
            task.cancel()
        await asyncio.gather(ended, complete, return_exceptions=True)
        return started.exit_code == -signal.SIGKILL

    killed = 0
    for number in range(4 * len(refs)):
        victim: list[OperatorProcess] = []
        # Each write is lost once and then reaches the API server. The next operator continues from there.
        proxy.faults[:] = [killer(victim, written=number % 2 == 1)]
        async with operator_process(api_server, kube, proxy, tmp_path) as started:
            victim.append(started)
            if not await is_killed(started):
                break
            killed += 1
    assert killed >= 2 * len(refs)
    proxy.faults.clear()
    await eventually(is_complete, within=30)
    for kind in {kind for kind, _ in refs}:
        names = {child["metadata"]["name"] for child in await kube.list(kind, "rlrouter.dev/router")}
        assert names == {name for other, name in refs if other == kind}


async def test_sigterm_stops_the_operator_with_exit_code_0_and_releases_the_lease(
    api_server, kube: Kube, proxy: Proxy, tmp_path
):
    async with operator_process(api_server, kube, proxy, tmp_path) as started:

        async def leads():
            assert (await kube.existing("Lease", "rl-router-operator"))["spec"]["holderIdentity"]

        await eventually(leads, within=30)
        started.signal(signal.SIGTERM)
        assert await asyncio.wait_for(started.ended(), 20) == 0
    assert (await kube.existing("Lease", "rl-router-operator"))["spec"]["holderIdentity"] == ""


async def test_without_an_api_server_the_operator_is_alive_and_not_ready(api_server, kube: Kube, tmp_path):
    config = api_server.write_kubeconfig(f"http://127.0.0.1:{free_port()}", OPERATOR, tmp_path / "nowhere")
    port = free_port()
    flags = (f"--kubeconfig={config}", "--host=127.0.0.1", f"--port={port}")
    started = await asyncio.create_subprocess_exec(sys.executable, "-m", "rl_router_operator", *flags)
    try:
        async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:

            async def is_alive():
                try:
                    assert (await client.get("/healthz")).status_code == 200
                except httpx.TransportError as exception:
                    raise AssertionError from exception

            await eventually(is_alive, within=30)
            assert (await client.get("/readyz")).status_code == 503
            assert "rl_router_operator_leading 0.0" in (await client.get("/metrics")).text
    finally:
        started.terminate()
        assert await asyncio.wait_for(started.wait(), 20) == 0
