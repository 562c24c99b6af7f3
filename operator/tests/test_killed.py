"""kill -9 in the middle of every write: the operator that comes next completes it, and makes nothing twice."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess

import httpx
from control_plane import OPERATOR, free_port
from faults import Proxy, Seen, status
from harness import Kube, condition, eventually, router
from rl_router_operator.__main__ import main
from rl_router_operator.objects.manifest import ref_of
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults
from test_drift import FULL

LEASE_SECONDS = 3
_FORKS = multiprocessing.get_context("forkserver")
# A process that has imported everything is forked: an operator's start is mostly its imports.
_FORKS.set_forkserver_preload(["rl_router_operator.__main__"])


def _operate(flags: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    sys.argv[1:] = flags
    sys.exit(main())


@dataclass
class Process:
    """An operator in a process of its own."""

    process: ForkServerProcess

    @property
    def code(self) -> int | None:
        """Its exit status, None while it runs; of one that a signal ended the signal's number, negative."""
        return self.process.exitcode

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to a process that has not been waited for."""
        if self.process.pid and self.code is None:
            os.kill(self.process.pid, number)

    async def ended(self) -> int:
        """Waits for its end; its exit status."""

        def known() -> int:
            assert self.code is not None
            return self.code

        return int(await eventually(known, within=120))


@asynccontextmanager
async def process(api_server, kube: Kube, proxy: Proxy, folder) -> AsyncIterator[Process]:
    """The operator as its own process, over the proxy."""
    config = api_server.write_kubeconfig(proxy.url, OPERATOR, folder / "operator.kubeconfig")
    environment = {"POD_NAMESPACE": kube.namespace, "POD_NAME": f"operator-{free_port()}"}
    where = [f"--kubeconfig={config}", f"--watch-namespaces={kube.namespace}", "--host=127.0.0.1"]
    flags = [*where, f"--port={free_port()}", f"--lease-seconds={LEASE_SECONDS}"]
    started = Process(_FORKS.Process(target=_operate, args=(flags, environment)))
    started.process.start()
    try:
        yield started
    finally:
        started.signal(signal.SIGKILL)
        await started.ended()


async def _free_the_lease(kube: Kube):
    """In place of waiting for its end."""
    if await kube.get("Lease", "rl-router-operator"):
        await kube.merge("Lease", "rl-router-operator", {"spec": {"holderIdentity": ""}})


def killer(victim: list[Process], *, written: bool):
    """Kills the operator at its next write, which the API server sees, or not."""

    def kill(seen: Seen):
        if not seen.is_write or seen.plural == "leases" or not victim:
            return None
        victim.pop().signal(signal.SIGKILL)
        return None if written else status(503)

    return kill


async def test_killed_in_the_middle_of_every_write_it_converges(api_server, kube: Kube, proxy, tmp_path):
    body = await kube.create(router(**FULL))
    wanted = {ref_of(child) for child in desired(read(body), Defaults())}

    async def whole():
        for ref in wanted:
            assert await kube.get(*ref), ref
        condition(await kube.get("RouterDeployment", "demo"), "Ready")

    async def dies(started: Process) -> bool:
        """Whether it was killed; it is not once there is nothing left to write."""
        await _free_the_lease(kube)
        ended = asyncio.create_task(started.ended())
        done = asyncio.create_task(eventually(whole, within=60))
        await asyncio.wait([ended, done], return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, done):
            task.cancel()
        await asyncio.gather(ended, done, return_exceptions=True)
        return started.code == -signal.SIGKILL

    killed = 0
    for number in range(4 * len(wanted)):
        victim: list[Process] = []
        # Each write is lost once, then seen: the next operator goes on where this one was killed.
        proxy.faults[:] = [killer(victim, written=number % 2 == 1)]
        async with process(api_server, kube, proxy, tmp_path) as started:
            victim.append(started)
            if not await dies(started):
                break
            killed += 1
    assert killed >= 2 * len(wanted)
    proxy.faults.clear()
    await eventually(whole, within=30)
    for kind in {kind for kind, _ in wanted}:
        names = {each["metadata"]["name"] for each in await kube.list(kind, "rlrouter.dev/router")}
        assert names == {name for each, name in wanted if each == kind}


async def test_sigterm_ends_it_well_and_gives_the_lease_back(api_server, kube: Kube, proxy: Proxy, tmp_path):
    async with process(api_server, kube, proxy, tmp_path) as started:

        async def leads():
            assert (await kube.get("Lease", "rl-router-operator"))["spec"]["holderIdentity"]

        await eventually(leads, within=30)
        started.signal(signal.SIGTERM)
        assert await asyncio.wait_for(started.ended(), 20) == 0
    assert (await kube.get("Lease", "rl-router-operator"))["spec"]["holderIdentity"] == ""


async def test_without_an_api_server_it_lives_and_says_that_it_is_not_ready(api_server, kube: Kube, tmp_path):
    config = api_server.write_kubeconfig(f"http://127.0.0.1:{free_port()}", OPERATOR, tmp_path / "nowhere")
    port = free_port()
    flags = (f"--kubeconfig={config}", "--host=127.0.0.1", f"--port={port}")
    started = await asyncio.create_subprocess_exec(sys.executable, "-m", "rl_router_operator", *flags)
    try:
        async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:

            async def answers():
                try:
                    assert (await client.get("/healthz")).status_code == 200
                except httpx.TransportError as error:
                    raise AssertionError from error

            await eventually(answers, within=30)
            assert (await client.get("/readyz")).status_code == 503
            assert "rl_router_operator_leading 0.0" in (await client.get("/metrics")).text
    finally:
        started.terminate()
        assert await asyncio.wait_for(started.wait(), 20) == 0
