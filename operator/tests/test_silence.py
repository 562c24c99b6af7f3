"""The operator writes nothing while nothing changes."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from fakes.cluster.kube_client import Kube
from fakes.cluster.proxy import Proxy
from fakes.cluster.routers import FULL_CHILDREN, FULL_SPEC, deployed, router
from fakes.cluster.running_operator import Start
from fakes.cluster.waiting import eventually

pytestmark = pytest.mark.waits
WATCHED_SECONDS = 8.0
LONG_WATCH_SECONDS = 120.0
QUIET_SECONDS = 5.0
ROUTERS = 100


async def _wait_for_silence(proxy: Proxy, seconds: float = 1.0) -> None:
    """Waits until nothing was written for `seconds`."""

    async def is_silent():
        before = len(proxy.writes())
        await asyncio.sleep(seconds)
        assert len(proxy.writes()) == before

    await eventually(is_silent, within=120)


async def _stays_silent(proxy: Proxy, seconds: float = WATCHED_SECONDS) -> None:
    """Fails if anything is written within `seconds`."""
    before = len(proxy.writes())
    await asyncio.sleep(seconds)
    assert [(request.method, request.path) for request in proxy.writes()[before:]] == []


async def test_nothing_is_written_for_many_unchanged_routers(kube: Kube, start: Start, proxy: Proxy):
    await start(resync_seconds=10.0)
    for number in range(ROUTERS):
        await kube.create(router(f"router-{number}", **FULL_SPEC))
    await eventually(lambda: _have_their_children(kube, ROUTERS), within=300)
    await _wait_for_silence(proxy, QUIET_SECONDS)
    await _stays_silent(proxy, LONG_WATCH_SECONDS)


async def _have_their_children(kube: Kube, routers: int):
    """The number of children is checked, because the first status is written before them."""
    for kind, number in Counter(kind for kind, _ in FULL_CHILDREN).items():
        children = await kube.list(kind, "app.kubernetes.io/managed-by=rl-router-operator")
        assert len(children) == routers * number


async def test_an_equal_spec_or_a_foreign_annotation_causes_no_write(kube: Kube, start: Start, proxy: Proxy):
    await deployed(kube, start)
    await _wait_for_silence(proxy)
    before = len(proxy.writes())
    live = await kube.get("RouterDeployment", "demo")
    await kube.replace(live)
    await kube.merge("RouterDeployment", "demo", {"metadata": {"annotations": {"note": "hello"}}})
    await _wait_for_silence(proxy)
    assert proxy.writes()[before:] == []


async def test_a_restart_causes_no_write(kube: Kube, start: Start, proxy: Proxy):
    first = await start()
    await kube.create(router(**FULL_SPEC))
    await eventually(lambda: _have_their_children(kube, 1))
    await _wait_for_silence(proxy)
    await first.stop()
    before = len(proxy.writes())
    second = await start()
    await eventually(lambda: _has_reconciled(second))
    await _stays_silent(proxy)
    assert proxy.writes()[before:] == []


def _has_reconciled(running):
    assert running.reconciles()


async def test_each_child_is_written_once(kube: Kube, start: Start, proxy: Proxy):
    before = await deployed(kube, start)
    await _wait_for_silence(proxy)
    applied = [request.path for request in proxy.writes() if request.method == "PATCH" and "status" not in request.path]
    assert sorted(applied) == sorted(kube.path(*ref) for ref in before)
