"""Two operators with a proxy each, so that it shows which of them writes."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from control_plane import ApiServer
from faults import Fault, Proxy, Seen, once, status
from harness import Kube, Running, Start, eventually, router
from rl_router_operator.cluster.leader_election import LeaseTerms
from test_killed import LEASE_SECONDS, process

LEASE = "rl-router-operator"
LONG = LeaseTerms(duration=600.0, renew_deadline=400.0, retry=0.3)
WATCHED_SECONDS = 2.0
RESTING_SECONDS = 1.0


@pytest_asyncio.fixture(autouse=True)
async def second(api_server: ApiServer) -> AsyncIterator[Proxy]:
    """What stands between the second operator and the API server; made first, so that it outlives the operators."""
    made = Proxy(api_server)
    await made.start()
    yield made
    await made.stop()


# Both are well


async def test_a_standby_writes_nothing(kube: Kube, start: Start, second: Proxy):
    await _leading(await start())
    standby = await start(url=second.url)
    await kube.create(router())
    await _there(kube, "Deployment", "demo-api")
    await eventually(lambda: _is_ready(standby))
    await _repaired(kube)
    assert second.writes() == []


# One goes


async def test_the_next_operator_need_not_wait_for_a_lease_that_was_given_back(kube: Kube, start: Start):
    first = await start(lease_terms=LONG)
    await _leading(first)
    standby = await start(lease_terms=LONG)
    await kube.create(router())
    await _there(kube, "ConfigMap", "demo-api")
    await first.stop()
    await _leading(standby)
    await _repaired(kube)


async def test_a_process_that_was_frozen_writes_nothing_when_it_goes_on(
    api_server: ApiServer, kube: Kube, start: Start, second: Proxy, tmp_path: Path
):
    async with process(api_server, kube, second, tmp_path) as frozen:
        await kube.create(router())
        await _there(kube, "ConfigMap", "demo-api", within=30)
        standby = await start()
        # A write that was let go just before the freeze would go out after it.
        await eventually(lambda: _rests(second))
        frozen.signal(signal.SIGSTOP)
        await kube.merge("RouterDeployment", "demo", {"spec": {"api": {"replicas": 2}}})
        await eventually(lambda: _has_replicas(kube, 2), within=LEASE_SECONDS + 10)
        before = len(second.writes())
        # It cannot ask whose the Lease is: its own clock has to do.
        second.faults.append(_unanswered)
        frozen.signal(signal.SIGCONT)
        for count in (3, 4, 5):
            await kube.merge("RouterDeployment", "demo", {"spec": {"api": {"replicas": count}}})
            await kube.delete("ConfigMap", "demo-api")
            await eventually(lambda count=count: _has_replicas(kube, count))
            await _there(kube, "ConfigMap", "demo-api")
        await asyncio.sleep(WATCHED_SECONDS)
        assert second.writes()[before:] == []
        assert await _holder(kube) == standby.operator.settings.identity


# A Lease that cannot be renewed


def _forbidden(seen: Seen) -> web.StreamResponse | None:
    message = 'leases "rl-router-operator" is forbidden: User "operator" cannot update resource "leases"'
    return status(403, "Forbidden", message) if seen.plural == "leases" and seen.method == "PUT" else None


def _failing(seen: Seen) -> web.StreamResponse | None:
    return status(500, "InternalError") if seen.plural == "leases" and seen.method == "PUT" else None


async def _unanswered(seen: Seen) -> web.StreamResponse | None:
    if seen.plural == "leases":
        await asyncio.sleep(30)
    return None


@pytest.mark.parametrize("fault", [_forbidden, _failing, _unanswered])
async def test_a_lease_that_cannot_be_renewed_stops_the_writes_and_not_the_process(
    kube: Kube, start: Start, proxy: Proxy, fault: Fault
):
    running = await start()
    await kube.create(router())
    await _there(kube, "ConfigMap", "demo-api")
    proxy.faults.append(fault)
    await eventually(lambda: _stands_by(running))
    before = len(proxy.writes())
    await kube.delete("ConfigMap", "demo-api")
    await asyncio.sleep(WATCHED_SECONDS)
    assert proxy.writes()[before:] == []
    assert (await running.ask("/healthz")).status_code == 200
    assert not running.task.done()

    proxy.faults.clear()
    await _there(kube, "ConfigMap", "demo-api")


async def test_a_standby_takes_over_from_an_operator_that_cannot_renew(
    kube: Kube, start: Start, proxy: Proxy, second: Proxy
):
    first = await start()
    await _leading(first)
    standby = await start(url=second.url)
    proxy.faults.append(_unanswered)
    await _leading(standby)
    proxy.faults.clear()
    await eventually(lambda: _stands_by(first))
    await kube.create(router())
    await _there(kube, "ConfigMap", "demo-api")
    assert proxy.writes() == []


async def test_a_write_without_an_answer_is_given_up_before_another_may_take_the_lease(
    kube: Kube, start: Start, proxy: Proxy, second: Proxy
):
    writing = asyncio.Event()

    async def silent(seen: Seen) -> web.StreamResponse | None:
        if seen.is_write and seen.plural == "configmaps":
            writing.set()
        if writing.is_set():
            await asyncio.sleep(30)
        return None

    proxy.faults.append(silent)
    first = await start()
    await _leading(first)
    standby = await start(url=second.url)
    await kube.create(router())
    await _leading(standby)
    given_up = first.operator.metrics.registry.get_sample_value(
        "rl_router_operator_reconciles_total", {"outcome": "not leading"}
    )
    assert given_up == 1


async def test_an_operator_that_finds_the_lease_made_meanwhile_stands_by_without_a_warning(
    kube: Kube, start: Start, proxy: Proxy, caplog: pytest.LogCaptureFixture
):
    await _leading(await start(lease_terms=LONG))
    unseen = once(method="GET", plural="leases", answer=lambda: status(404, "NotFound"))
    proxy.faults.append(unseen)
    late = await start()
    await eventually(lambda: _is_ready(late))
    await _stands_by(late)
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_a_deleted_lease_is_taken_again(kube: Kube, start: Start):
    running = await start()
    await _leading(running)
    await kube.delete("Lease", LEASE)
    await eventually(lambda: _is_held_by(kube, running.operator.settings.identity))
    await _leading(running)


async def test_a_deleted_lease_is_its_holders_until_it_would_have_ended(
    kube: Kube, start: Start, proxy: Proxy, second: Proxy
):
    first = await start(lease_terms=LONG)
    await _leading(first)
    standby = await start(url=second.url)
    await eventually(lambda: _has_seen_the_lease(second))
    proxy.faults.append(_unanswered)
    await kube.delete("Lease", LEASE)
    await asyncio.sleep(WATCHED_SECONDS)
    await _leading(first)
    await _stands_by(standby)


# What the tests look at


def _has_seen_the_lease(proxy: Proxy) -> None:
    """Answered once: it is asked for again."""
    assert len([seen for seen in proxy.requests if seen.plural == "leases"]) > 1


async def _leading(running: Running) -> None:
    async def leads() -> None:
        assert (await running.ask("/readyz")).text == "leader\n"

    await eventually(leads)


async def _stands_by(running: Running) -> None:
    """Whatever readiness says: it may not write."""
    metrics = (await running.ask("/metrics")).text
    assert "\nrl_router_operator_leading 0.0\n" in metrics


async def _is_ready(running: Running) -> None:
    assert (await running.ask("/readyz")).status_code == 200


async def _repaired(kube: Kube) -> None:
    await kube.delete("ConfigMap", "demo-api")
    await _there(kube, "ConfigMap", "demo-api")


async def _rests(proxy: Proxy):
    before = len(proxy.writes())
    await asyncio.sleep(RESTING_SECONDS)
    assert len(proxy.writes()) == before


async def _there(kube: Kube, kind: str, name: str, within: float = 10) -> None:
    async def there() -> None:
        assert await kube.get(kind, name), f"{kind} {name} is not there"

    await eventually(there, within)


async def _has_replicas(kube: Kube, count: int) -> None:
    live = await kube.get("Deployment", "demo-api")
    assert live
    assert live["spec"]["replicas"] == count


async def _holder(kube: Kube) -> str:
    live = await kube.get("Lease", LEASE)
    assert live
    return str(live["spec"].get("holderIdentity", ""))


async def _is_held_by(kube: Kube, identity: str) -> None:
    assert await _holder(kube) == identity
