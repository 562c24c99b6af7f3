"""Silence: what has not changed is not written."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from faults import Proxy
from harness import Kube, Start, eventually, router
from test_drift import CHILDREN, FULL, settled

pytestmark = pytest.mark.waits
WATCHED_SECONDS = 8.0
LONG_SECONDS = 120.0
QUIET_SECONDS = 5.0
MANY = 100


async def _falls_silent(proxy: Proxy, seconds: float = 1.0) -> None:
    """Returns once nothing was written for these seconds."""

    async def silent():
        before = len(proxy.writes())
        await asyncio.sleep(seconds)
        assert len(proxy.writes()) == before

    await eventually(silent, within=120)


async def _is_silent(proxy: Proxy, seconds: float = WATCHED_SECONDS) -> None:
    """Watches that nothing is written."""
    before = len(proxy.writes())
    await asyncio.sleep(seconds)
    assert [(seen.method, seen.path) for seen in proxy.writes()[before:]] == []


async def test_nothing_is_written_where_nothing_changes(kube: Kube, start: Start, proxy: Proxy):
    await start(resync_seconds=10.0)
    for number in range(MANY):
        await kube.create(router(f"router-{number}", **FULL))
    await eventually(lambda: _have_their_children(kube, MANY), within=300)
    await _falls_silent(proxy, QUIET_SECONDS)
    await _is_silent(proxy, LONG_SECONDS)


async def _have_their_children(kube: Kube, routers: int):
    """A status is no sign that the children are there: the first one comes before them."""
    for kind, number in Counter(kind for kind, _ in CHILDREN).items():
        made = await kube.list(kind, "app.kubernetes.io/managed-by=rl-router-operator")
        assert len(made) == routers * number


async def test_an_equal_spec_writes_nothing(kube: Kube, start: Start, proxy: Proxy):
    await settled(kube, start)
    await _falls_silent(proxy)
    before = len(proxy.writes())
    live = await kube.get("RouterDeployment", "demo")
    await kube.replace(live)
    await kube.merge("RouterDeployment", "demo", {"metadata": {"annotations": {"note": "hello"}}})
    await _falls_silent(proxy)
    assert proxy.writes()[before:] == []


async def test_a_restart_writes_nothing(kube: Kube, start: Start, proxy: Proxy):
    first = await start()
    await kube.create(router(**FULL))
    await eventually(lambda: _have_their_children(kube, 1))
    await _falls_silent(proxy)
    await first.stop()
    before = len(proxy.writes())
    second = await start()
    await eventually(lambda: _looked(second))
    await _is_silent(proxy)
    assert proxy.writes()[before:] == []


def _looked(running):
    assert running.operator.metrics.registry.get_sample_value("rl_router_operator_reconciles_total", {"outcome": "ok"})


async def test_each_child_is_written_once(kube: Kube, start: Start, proxy: Proxy):
    before = await settled(kube, start)
    await _falls_silent(proxy)
    applied = [seen.path for seen in proxy.writes() if seen.method == "PATCH" and "status" not in seen.path]
    assert sorted(applied) == sorted(kube.path(*ref) for ref in before)
