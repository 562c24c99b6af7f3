"""Several operators, one Lease: one acts, another takes over, and none writes without it."""

from __future__ import annotations

import asyncio
import signal

from faults import Proxy, Seen
from harness import Kube, Running, Start, eventually, router
from rl_router_operator.cluster.leader_election import LeaseTerms
from test_killed import process


async def _ready(running: Running, word: str):
    answer = await running.ask("/readyz")
    assert (answer.status_code, answer.text.strip()) == (200, word)


async def _exists(kube: Kube, kind: str, name: str):
    assert await kube.get(kind, name)


async def test_one_of_two_acts_and_the_other_takes_over_when_it_dies(
    api_server, kube: Kube, start: Start, proxy: Proxy, tmp_path
):
    async with process(api_server, kube, proxy, tmp_path) as first:

        async def leads():
            assert (await kube.get("Lease", "rl-router-operator"))["spec"]["holderIdentity"]

        await eventually(leads, within=30)
        second = await start()
        await eventually(lambda: _ready(second, "standby"))
        first.signal(signal.SIGKILL)
    await kube.create(router())
    await eventually(lambda: _exists(kube, "Deployment", "demo-api"), within=30)
    await _ready(second, "leader")


async def test_what_happens_while_the_lease_has_lapsed_is_made_good_once_it_is_renewed(
    kube: Kube, start: Start, proxy: Proxy
):
    async def dawdle(seen: Seen):
        if seen.method == "GET" and seen.plural == "leases":
            await asyncio.sleep(0.7)

    def lapsed():
        assert not running.operator.leads()

    running = await start(lease_terms=LeaseTerms(duration=3.0, renew_deadline=1.0, retry=0.8))
    await kube.create(router())
    await eventually(lambda: _exists(kube, "NetworkPolicy", "demo-model"))
    proxy.faults.append(dawdle)
    await eventually(lapsed)
    await kube.delete("ConfigMap", "demo-api")
    await eventually(lambda: _exists(kube, "ConfigMap", "demo-api"))


async def test_two_operators_never_write_at_once(kube: Kube, start: Start, proxy: Proxy):
    writers = []

    def note(seen: Seen):
        if seen.is_write and seen.plural != "leases":
            writers.append(seen.path)

    proxy.faults.append(note)
    await asyncio.gather(start(), start(), start())
    await kube.create(router())
    await eventually(lambda: _exists(kube, "Deployment", "demo-api"))
    applied = [path for path in writers if path.endswith("/deployments/demo-api")]
    assert len(applied) == 1
