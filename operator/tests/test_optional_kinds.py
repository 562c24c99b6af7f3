"""Kinds that a cluster may lack: named while they do, made when they appear."""

from __future__ import annotations

from harness import Kube, Start, eventually, router


async def test_a_kind_that_the_cluster_lacks_is_named(kube: Kube, start: Start):
    await start()
    await kube.create(router(monitoring={"serviceMonitor": {"enabled": True}}))

    async def named():
        status = (await kube.get("RouterDeployment", "demo"))["status"]
        (degraded,) = [each for each in status["conditions"] if each["type"] == "Degraded"]
        assert (degraded["status"], degraded["reason"]) == ("True", "KindMissing")
        assert "ServiceMonitor" in degraded["message"]

    await eventually(named)
