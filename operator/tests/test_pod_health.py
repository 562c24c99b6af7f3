"""Asking the API's pods: who is asked, how often, and when an answer counts."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from rl_router_operator.controller.pod_health import HealthClient, PodHealth, ProbeIntervals
from rl_router_operator.objects.observed import Health
from world import api_pod, health

KEY = ("team", "demo")
WELL, ILL = health(), Health(None, "refused")


def pod(ready: bool = True, going: bool = False):
    found = api_pod("api-1", ready=ready, going=going).manifest()
    found["status"]["podIP"] = "10.0.0.1"
    return found


class Pods:
    """A clock that is set, and what the pods answer."""

    def __init__(self) -> None:
        self.now, self.says, self.asked, self.changes = 0.0, WELL, 0, 0
        self.prober = PodHealth(self._ask, self._changed, ProbeIntervals(confirming=0.0), clock=lambda: self.now)

    async def _ask(self, _address: str) -> Health:
        self.asked += 1
        return self.says

    def _changed(self, _key) -> None:
        self.changes += 1

    async def look(self, *pods, settled: bool = False):
        """What counts, once what was asked has been answered."""
        self.prober.poll(KEY, pods, settled=settled)
        for _ in range(5):
            await asyncio.sleep(0)
        return self.prober.poll(KEY, pods, settled=settled)


async def test_two_equal_answers_count():
    pods = Pods()
    pods.says = ILL
    await pods.look()
    assert await pods.look(pod()) == {}
    pods.now = 10.0
    assert await pods.look(pod()) == {"api-1": ILL}
    pods.says, pods.now = WELL, 20.0
    assert await pods.look(pod()) == {"api-1": ILL}
    pods.now = 30.0
    assert await pods.look(pod()) == {"api-1": WELL}
    assert pods.changes == 3


async def test_after_another_operator_led_the_first_answer_counts_again():
    pods = Pods()
    pods.prober.poll(KEY, (pod(),), settled=True)
    assert await pods.look(pod(), settled=True) == {"api-1": WELL}
    pods.prober.forget_all()
    pods.says = ILL
    assert pods.prober.poll(KEY, (pod(),), settled=True) == {}
    assert await pods.look(pod(), settled=True) == {"api-1": ILL}


async def test_a_new_pods_good_answer_is_confirmed_at_once():
    pods = Pods()
    await pods.look()
    pods.prober.poll(KEY, (pod(),), settled=False)
    assert pods.prober.is_waiting(KEY)
    assert await pods.look(pod()) == {"api-1": WELL}
    assert not pods.prober.is_waiting(KEY)
    assert (pods.asked, pods.changes) == (2, 1)


async def test_a_new_pods_bad_answer_is_told_and_confirmed_when_it_is_asked_again():
    pods = Pods()
    pods.says = ILL
    await pods.look()
    assert await pods.look(pod()) == {}
    assert not pods.prober.is_waiting(KEY)
    assert (pods.asked, pods.changes) == (1, 1)
    pods.now = 10.0
    assert await pods.look(pod()) == {"api-1": ILL}


async def test_at_the_operators_start_the_first_answer_counts():
    pods = Pods()
    pods.prober.poll(KEY, (pod(),), settled=True)
    assert pods.prober.is_waiting(KEY)
    assert await pods.look(pod(), settled=True) == {"api-1": WELL}
    assert not pods.prober.is_waiting(KEY)


@pytest.mark.parametrize(("settled", "times"), [(False, 7), (True, 3)])
async def test_it_is_asked_every_10_s_while_not_ready_else_every_30_s(settled, times):
    pods = Pods()
    for second in range(61):
        pods.now = float(second)
        await pods.look(pod(), settled=settled)
    assert pods.asked == times


async def test_a_pod_that_keeps_silent_is_not_asked_again_meanwhile():
    asked = 0

    async def ask(_address: str) -> Health:
        nonlocal asked
        asked += 1
        return await asyncio.Future()

    now = 0.0
    prober = PodHealth(ask, lambda _key: None, ProbeIntervals(confirming=0.0), clock=lambda: now)
    for second in range(0, 60, 10):
        now = float(second)
        prober.poll(KEY, (pod(),), settled=False)
        await asyncio.sleep(0)
    await prober.close()
    assert asked == 1


@pytest.mark.parametrize("other", [pod(ready=False), pod(going=True)])
async def test_only_ready_pods_that_stay_are_asked(other):
    pods = Pods()
    await pods.look(other)
    assert pods.asked == 0


async def served(handler):
    """An admin port that answers so."""
    app = web.Application()
    app.router.add_get("/health", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, runner.addresses[0][1]


async def _well(request):
    return web.json_response(WELL.document.as_json())


async def _later(request):
    """What an API of a later version may say besides."""
    return web.json_response(WELL.document.as_json() | {"store": {"state": "ok"}})


async def _without_details(request):
    return web.json_response({"status": "ok"})


async def _endless(request):
    return web.Response(body=b" " * 70_000 + b"{}", content_type="application/json")


async def _elsewhere(request):
    raise web.HTTPFound("/other")


async def _no_json(request):
    return web.Response(text="hello")


async def _too_deep(request):
    return web.Response(text="[" * 60_000)


@pytest.mark.parametrize(
    ("handler", "answer", "trouble"),
    [
        (_well, WELL.document, None),
        (_later, WELL.document, None),
        (_without_details, None, "health document of a router API"),
        (_endless, None, "more than 64 KiB"),
        (_elsewhere, None, "returned status 302"),
        (_no_json, None, "did not return JSON"),
        (_too_deep, None, "did not return JSON"),
    ],
)
async def test_an_answer_is_json_of_64_kib_at_most_and_no_redirect(handler, answer, trouble, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    runner, port = await served(handler)
    asker = HealthClient(port)
    try:
        health = await asker("127.0.0.1")
        assert health.document == answer
        assert (trouble is None) == (health.error is None)
        assert trouble is None or trouble in health.error
    finally:
        await asker.close()
        await runner.cleanup()


async def test_a_pod_that_cannot_be_reached_is_told_as_such():
    asker = HealthClient(9)
    try:
        assert "cannot connect to" in (await asker("127.0.0.1")).error
    finally:
        await asker.close()


async def test_answers_of_pods_that_are_gone_are_forgotten():
    pods = Pods()
    await pods.look(pod())
    assert await pods.look() == {}
