"""Health probes of the API's pods: which pods are probed, how often, and when a report counts."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from rl_router_operator.controller.pod_health import HealthClient, PodHealth, ProbeIntervals
from rl_router_operator.objects.observed import Health

from fakes.cluster.health import health
from fakes.cluster.pods import api_pod

KEY = ("team", "demo")
HEALTHY, UNHEALTHY = health(), Health(None, "refused")


def pod(ready: bool = True, terminating: bool = False):
    manifest = api_pod("api-1", ready=ready, terminating=terminating).manifest()
    manifest["status"]["podIP"] = "10.0.0.1"
    return manifest


class Pods:
    """A prober with a clock that the test sets, and the report of its pods."""

    def __init__(self) -> None:
        self.now, self.report, self.probes, self.changes = 0.0, HEALTHY, 0, 0
        self.prober = PodHealth(self._probe, self._changed, ProbeIntervals(confirming=0.0), clock=lambda: self.now)

    async def _probe(self, _address: str) -> Health:
        self.probes += 1
        return self.report

    def _changed(self, _key) -> None:
        self.changes += 1

    async def poll(self, *pods, settled: bool = False):
        """Polls, waits for the probes, and returns the reports that count."""
        self.prober.poll(KEY, pods, settled=settled)
        for _ in range(5):
            await asyncio.sleep(0)
        return self.prober.poll(KEY, pods, settled=settled)


async def test_a_report_counts_after_two_equal_probes():
    pods = Pods()
    pods.report = UNHEALTHY
    await pods.poll()
    assert await pods.poll(pod()) == {}
    pods.now = 10.0
    assert await pods.poll(pod()) == {"api-1": UNHEALTHY}
    pods.report, pods.now = HEALTHY, 20.0
    assert await pods.poll(pod()) == {"api-1": UNHEALTHY}
    pods.now = 30.0
    assert await pods.poll(pod()) == {"api-1": HEALTHY}
    assert pods.changes == 3


async def test_the_first_report_counts_after_another_operator_has_led():
    pods = Pods()
    pods.prober.poll(KEY, (pod(),), settled=True)
    assert await pods.poll(pod(), settled=True) == {"api-1": HEALTHY}
    pods.prober.forget_all()
    pods.report = UNHEALTHY
    assert pods.prober.poll(KEY, (pod(),), settled=True) == {}
    assert await pods.poll(pod(), settled=True) == {"api-1": UNHEALTHY}


async def test_a_good_report_of_a_new_pod_is_confirmed_immediately():
    pods = Pods()
    await pods.poll()
    pods.prober.poll(KEY, (pod(),), settled=False)
    assert pods.prober.is_waiting(KEY)
    assert await pods.poll(pod()) == {"api-1": HEALTHY}
    assert not pods.prober.is_waiting(KEY)
    assert (pods.probes, pods.changes) == (2, 1)


async def test_a_bad_report_of_a_new_pod_is_confirmed_by_the_next_regular_probe():
    pods = Pods()
    pods.report = UNHEALTHY
    await pods.poll()
    assert await pods.poll(pod()) == {}
    assert not pods.prober.is_waiting(KEY)
    assert (pods.probes, pods.changes) == (1, 1)
    pods.now = 10.0
    assert await pods.poll(pod()) == {"api-1": UNHEALTHY}


async def test_the_first_report_counts_when_the_operator_starts():
    pods = Pods()
    pods.prober.poll(KEY, (pod(),), settled=True)
    assert pods.prober.is_waiting(KEY)
    assert await pods.poll(pod(), settled=True) == {"api-1": HEALTHY}
    assert not pods.prober.is_waiting(KEY)


@pytest.mark.parametrize(("settled", "probes"), [(False, 7), (True, 3)])
async def test_a_pod_is_probed_every_10_s_until_the_router_is_settled_and_then_every_30_s(settled, probes):
    pods = Pods()
    for second in range(61):
        pods.now = float(second)
        await pods.poll(pod(), settled=settled)
    assert pods.probes == probes


async def test_a_pod_that_does_not_respond_is_not_probed_a_second_time():
    probes = 0

    async def probe(_address: str) -> Health:
        nonlocal probes
        probes += 1
        return await asyncio.Future()

    now = 0.0
    prober = PodHealth(probe, lambda _key: None, ProbeIntervals(confirming=0.0), clock=lambda: now)
    for second in range(0, 60, 10):
        now = float(second)
        prober.poll(KEY, (pod(),), settled=False)
        await asyncio.sleep(0)
    await prober.close()
    assert probes == 1


@pytest.mark.parametrize("other", [pod(ready=False), pod(terminating=True)])
async def test_only_ready_pods_that_are_not_terminating_are_probed(other):
    pods = Pods()
    await pods.poll(other)
    assert pods.probes == 0


async def served(handler):
    """Starts an admin port with this handler. Returns its runner and its port."""
    app = web.Application()
    app.router.add_get("/health", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, runner.addresses[0][1]


async def _complete(request):
    return web.json_response(HEALTHY.document.as_json())


async def _later_version(request):
    """Responds with a field that only a later version of the API has."""
    return web.json_response(HEALTHY.document.as_json() | {"store": {"state": "ok"}})


async def _without_details(request):
    return web.json_response({"status": "ok"})


async def _too_long(request):
    return web.Response(body=b" " * 70_000 + b"{}", content_type="application/json")


async def _redirect(request):
    raise web.HTTPFound("/other")


async def _no_json(request):
    return web.Response(text="hello")


async def _too_deep(request):
    return web.Response(text="[" * 60_000)


@pytest.mark.parametrize(
    ("handler", "document", "error"),
    [
        (_complete, HEALTHY.document, None),
        (_later_version, HEALTHY.document, None),
        (_without_details, None, "health document of a router API"),
        (_too_long, None, "more than 64 KiB"),
        (_redirect, None, "returned status 302"),
        (_no_json, None, "did not return JSON"),
        (_too_deep, None, "did not return JSON"),
    ],
)
async def test_a_report_is_a_health_document_of_at_most_64_kib_and_no_redirect(handler, document, error, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    runner, port = await served(handler)
    client = HealthClient(port)
    try:
        report = await client("127.0.0.1")
        assert report.document == document
        assert (error is None) == (report.error is None)
        assert error is None or error in report.error
    finally:
        await client.close()
        await runner.cleanup()


async def test_a_connection_error_is_reported():
    client = HealthClient(9)
    try:
        assert "failed: " in (await client("127.0.0.1")).error
    finally:
        await client.close()


async def test_reports_of_deleted_pods_are_forgotten():
    pods = Pods()
    await pods.poll(pod())
    assert await pods.poll() == {}
