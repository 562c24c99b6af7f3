"""Transitions: what a change of the spec, or of the operator, does to what runs."""

from __future__ import annotations

from harness import Kube, Start, eventually, router


async def test_a_suspended_router_runs_no_pods(kube: Kube, start: Start):
    await start()
    await kube.create(router(suspend=True))

    async def suspended():
        assert (await kube.get("StatefulSet", "demo-model"))["spec"]["replicas"] == 0
        assert (await kube.get("Deployment", "demo-api"))["spec"]["replicas"] == 0

    await eventually(suspended)
