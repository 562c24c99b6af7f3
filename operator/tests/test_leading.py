"""Several operators share a Lease: only the leader writes, and a standby takes over when the leader dies."""

from __future__ import annotations

import asyncio
import signal

from rl_router_operator.cluster.lease import LeaseTerms

from fakes.cluster.kube_client import Kube
from fakes.cluster.operator_process import operator_process
from fakes.cluster.proxy import Proxy, Recorded
from fakes.cluster.routers import router
from fakes.cluster.running_operator import RunningOperator, Start
from fakes.cluster.waiting import eventually


async def _has_role(running: RunningOperator, role: str):
    response = await running.get("/readyz")
    assert (response.status_code, response.text.strip()) == (200, role)


async def test_a_standby_takes_over_when_the_leader_is_killed(
    api_server, kube: Kube, start: Start, proxy: Proxy, tmp_path
):
    async with operator_process(api_server, kube, proxy, tmp_path) as first:

        async def leads():
            assert (await kube.existing("Lease", "rl-router-operator"))["spec"]["holderIdentity"]

        await eventually(leads, within=30)
        second = await start()
        await eventually(lambda: _has_role(second, "standby"))
        first.signal(signal.SIGKILL)
    await kube.create(router())
    await eventually(lambda: kube.existing("Deployment", "demo-api"), within=30)
    await _has_role(second, "leader")


async def test_a_change_during_a_lapse_of_the_lease_is_handled_after_its_renewal(
    kube: Kube, start: Start, proxy: Proxy
):
    async def delay(request: Recorded):
        if request.method == "GET" and request.plural == "leases":
            await asyncio.sleep(0.7)

    def has_lapsed():
        assert not running.operator.leads()

    running = await start(lease_terms=LeaseTerms(duration=3.0, renew_deadline=1.0, retry=0.8))
    await kube.create(router())
    await eventually(lambda: kube.existing("NetworkPolicy", "demo-model"))
    proxy.faults.append(delay)
    await eventually(has_lapsed)
    await kube.delete("ConfigMap", "demo-api")
    await eventually(lambda: kube.existing("ConfigMap", "demo-api"))


async def test_only_one_of_three_operators_writes(kube: Kube, start: Start, proxy: Proxy):
    await asyncio.gather(start(), start(), start())
    await kube.create(router())
    await eventually(lambda: kube.existing("Deployment", "demo-api"))
    applied = [request.path for request in proxy.writes() if request.path.endswith("/deployments/demo-api")]
    assert len(applied) == 1
