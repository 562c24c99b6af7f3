"""Two operators, each behind its own proxy, which shows which of them writes."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from rl_router_operator.cluster.lease import LeaseTerms

from fakes.cluster.control_plane import ApiServer
from fakes.cluster.kube_client import Kube
from fakes.cluster.operator_process import LEASE_SECONDS, operator_process
from fakes.cluster.proxy import Fault, Proxy, Recorded, error, fault_for
from fakes.cluster.routers import router
from fakes.cluster.running_operator import RunningOperator, Start
from fakes.cluster.waiting import eventually

LEASE = "rl-router-operator"
LONG = LeaseTerms(duration=600.0, renew_deadline=400.0, retry=0.3)
WATCHED_SECONDS = 2.0
IDLE_SECONDS = 1.0


@pytest_asyncio.fixture(autouse=True)
async def second(api_server: ApiServer) -> AsyncIterator[Proxy]:
    """The proxy of the second operator. It starts first, so that it stops after the operators."""
    running = Proxy(api_server)
    await running.start()
    yield running
    await running.stop()


# Both work


async def test_a_standby_writes_nothing(kube: Kube, start: Start, second: Proxy):
    await _leading(await start())
    standby = await start(url=second.url)
    await kube.create(router())
    await _appears(kube, "Deployment", "demo-api")
    await eventually(lambda: _is_ready(standby))
    await _repaired(kube)
    assert second.writes() == []


# One stops


async def test_a_standby_takes_a_released_lease_immediately(kube: Kube, start: Start):
    first = await start(lease_terms=LONG)
    await _leading(first)
    standby = await start(lease_terms=LONG)
    await kube.create(router())
    await _appears(kube, "ConfigMap", "demo-api")
    await first.stop()
    await _leading(standby)
    await _repaired(kube)


async def test_a_frozen_process_writes_nothing_after_it_resumes(
    api_server: ApiServer, kube: Kube, start: Start, second: Proxy, tmp_path: Path
):
    async with operator_process(api_server, kube, second, tmp_path) as frozen:
        await kube.create(router())
        await _appears(kube, "ConfigMap", "demo-api", within=30)
        standby = await start()
        # A write that began before the freeze could reach the API server after it.
        await eventually(lambda: _is_idle(second))
        frozen.signal(signal.SIGSTOP)
        await kube.edit_spec(api={"replicas": 2})
        await eventually(lambda: _has_replicas(kube, 2), within=LEASE_SECONDS + 10)
        before = len(second.writes())
        # It cannot read the Lease, so it must rely on its own clock.
        second.faults.append(_hanging)
        frozen.signal(signal.SIGCONT)
        for count in (3, 4, 5):
            await kube.edit_spec(api={"replicas": count})
            await kube.delete("ConfigMap", "demo-api")
            await eventually(lambda count=count: _has_replicas(kube, count))
            await _appears(kube, "ConfigMap", "demo-api")
        await asyncio.sleep(WATCHED_SECONDS)
        assert second.writes()[before:] == []
        assert await _holder(kube) == standby.operator.settings.identity


# A Lease that cannot be renewed


def _rejected(request: Recorded) -> web.StreamResponse | None:
    message = 'leases "rl-router-operator" is forbidden: User "operator" cannot update resource "leases"'
    return error(403, "Forbidden", message) if request.plural == "leases" and request.method == "PUT" else None


def _failing(request: Recorded) -> web.StreamResponse | None:
    return error(500, "InternalError") if request.plural == "leases" and request.method == "PUT" else None


async def _hanging(request: Recorded) -> web.StreamResponse | None:
    if request.plural == "leases":
        await asyncio.sleep(30)
    return None


@pytest.mark.parametrize("fault", [_rejected, _failing, _hanging])
async def test_an_operator_that_cannot_renew_its_lease_stops_writing_and_keeps_running(
    kube: Kube, start: Start, proxy: Proxy, fault: Fault
):
    running = await start()
    await kube.create(router())
    await _appears(kube, "ConfigMap", "demo-api")
    proxy.faults.append(fault)
    await eventually(lambda: _is_not_leading(running))
    before = len(proxy.writes())
    await kube.delete("ConfigMap", "demo-api")
    await asyncio.sleep(WATCHED_SECONDS)
    assert proxy.writes()[before:] == []
    assert (await running.get("/healthz")).status_code == 200
    assert not running.task.done()

    proxy.faults.clear()
    await _appears(kube, "ConfigMap", "demo-api")


async def test_a_standby_takes_over_from_an_operator_that_cannot_renew(
    kube: Kube, start: Start, proxy: Proxy, second: Proxy
):
    first = await start()
    await _leading(first)
    standby = await start(url=second.url)
    proxy.faults.append(_hanging)
    await _leading(standby)
    proxy.faults.clear()
    await eventually(lambda: _is_not_leading(first))
    await kube.create(router())
    await _appears(kube, "ConfigMap", "demo-api")
    assert proxy.writes() == []


async def test_a_write_that_hangs_is_given_up_before_another_operator_may_take_the_lease(
    kube: Kube, start: Start, proxy: Proxy, second: Proxy
):
    writing = asyncio.Event()

    async def hang(request: Recorded) -> web.StreamResponse | None:
        if request.is_write and request.plural == "configmaps":
            writing.set()
        if writing.is_set():
            await asyncio.sleep(30)
        return None

    proxy.faults.append(hang)
    first = await start()
    await _leading(first)
    standby = await start(url=second.url)
    await kube.create(router())
    await _leading(standby)
    assert first.reconciles("not leading") == 1


async def test_an_operator_whose_creation_of_the_lease_conflicts_stands_by_without_a_warning(
    kube: Kube, start: Start, proxy: Proxy, caplog: pytest.LogCaptureFixture
):
    await _leading(await start(lease_terms=LONG))
    missing = fault_for(method="GET", plural="leases", response=lambda: error(404, "NotFound"))
    proxy.faults.append(missing)
    late = await start()
    await eventually(lambda: _is_ready(late))
    await _is_not_leading(late)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_the_leader_recreates_a_deleted_lease(kube: Kube, start: Start):
    running = await start()
    await _leading(running)
    await kube.delete("Lease", LEASE)
    await eventually(lambda: _is_held_by(kube, running.operator.settings.identity))
    await _leading(running)


async def test_a_deleted_lease_belongs_to_its_holder_until_it_would_have_expired(
    kube: Kube, start: Start, proxy: Proxy, second: Proxy
):
    first = await start(lease_terms=LONG)
    await _leading(first)
    standby = await start(url=second.url)
    await eventually(lambda: _has_seen_the_lease(second))
    proxy.faults.append(_hanging)
    await kube.delete("Lease", LEASE)
    await asyncio.sleep(WATCHED_SECONDS)
    await _leading(first)
    await _is_not_leading(standby)


# Helpers


def _has_seen_the_lease(proxy: Proxy) -> None:
    """A second request shows that the first was answered."""
    assert len([request for request in proxy.requests if request.plural == "leases"]) > 1


async def _leading(running: RunningOperator) -> None:
    async def leads() -> None:
        assert (await running.get("/readyz")).text == "leader\n"

    await eventually(leads)


async def _is_not_leading(running: RunningOperator) -> None:
    """Fails if the operator may write."""
    metrics = (await running.get("/metrics")).text
    assert "\nrl_router_operator_leading 0.0\n" in metrics


async def _is_ready(running: RunningOperator) -> None:
    assert (await running.get("/readyz")).status_code == 200


async def _repaired(kube: Kube) -> None:
    await kube.delete("ConfigMap", "demo-api")
    await _appears(kube, "ConfigMap", "demo-api")


async def _is_idle(proxy: Proxy):
    before = len(proxy.writes())
    await asyncio.sleep(IDLE_SECONDS)
    assert len(proxy.writes()) == before


async def _appears(kube: Kube, kind: str, name: str, within: float = 10) -> None:
    await eventually(lambda: kube.existing(kind, name), within)


async def _has_replicas(kube: Kube, count: int) -> None:
    live = await kube.existing("Deployment", "demo-api")
    assert live["spec"]["replicas"] == count


async def _holder(kube: Kube) -> str:
    live = await kube.existing("Lease", LEASE)
    return str(live["spec"].get("holderIdentity", ""))


async def _is_held_by(kube: Kube, identity: str) -> None:
    assert await _holder(kube) == identity
