"""Faults of the API server: whatever it answers, or does not, the children come, and nothing is lost."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from faults import Proxy, Seen, gone_watch, once, status
from harness import Kube, Start, condition, eventually, router
from test_drift import settled
from test_ownership import foreign

pytestmark = pytest.mark.waits
ANSWERS = {
    "409": lambda: status(409, "Conflict", "the object has been modified"),
    "429": lambda: status(429, "TooManyRequests", "try again", **{"Retry-After": "1"}),
    "500": lambda: status(500, "InternalError", "etcdserver: leader changed"),
    "503": lambda: status(503, "ServiceUnavailable", "the server is shutting down"),
    "nonsense": lambda: web.Response(text="<html>gateway</html>", content_type="text/html"),
}


async def _all_is_well(kube: Kube):
    assert await kube.get("Deployment", "demo-api")
    assert await kube.get("StatefulSet", "demo-model")
    live = await kube.get("RouterDeployment", "demo")
    assert condition(live, "Degraded")["status"] == "False"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(
    ("method", "plural"),
    [("PATCH", "configmaps"), ("PATCH", "routerdeployments/status"), ("GET", "deployments"), ("GET", "pods")],
    ids=["apply", "status", "read", "list"],
)
async def test_a_fault_passes(kube: Kube, start: Start, proxy: Proxy, method, plural, answer):
    proxy.faults.append(once(method=method, plural=plural, answer=answer, times=2))
    await start()
    await kube.create(router())
    await eventually(lambda: _all_is_well(kube), within=20)


async def test_a_request_without_an_answer_is_made_again(kube: Kube, start: Start, proxy: Proxy):
    async def hang(seen: Seen):
        if seen.method == "PATCH" and seen.plural == "configmaps":
            proxy.faults.clear()
            await asyncio.sleep(60)

    proxy.faults.append(hang)
    await start()
    await kube.create(router())
    await eventually(lambda: _all_is_well(kube), within=30)


async def test_a_kind_whose_writes_get_no_answer_is_a_condition_and_stops_no_other(
    kube: Kube, start: Start, proxy: Proxy
):
    """As an admission webhook does that hangs for longer than a request may take."""

    async def hang(seen: Seen):
        if seen.method == "PATCH" and seen.plural == "configmaps":
            await asyncio.sleep(60)

    proxy.faults.append(hang)
    await start()
    await kube.create(router())

    async def told():
        assert await kube.get("NetworkPolicy", "demo-model")
        degraded = condition(await kube.get("RouterDeployment", "demo"), "Degraded")
        assert degraded["reason"] == "Failed"
        assert "ConfigMap demo-api" in degraded["message"]

    await eventually(told, within=30)


async def test_an_event_that_got_no_answer_is_posted_later(kube: Kube, start: Start, proxy: Proxy):
    await kube.create(foreign(kube, "ConfigMap", "demo-api"))
    answers = iter([web.Response(text="<html>gateway</html>", content_type="text/html")])
    proxy.faults.append(lambda seen: next(answers, None) if seen.plural == "events" and seen.is_write else None)
    await start()
    await kube.create(router())

    async def posted():
        assert [each for each in await kube.list("Event") if each["reason"] == "ForeignObject"]

    await eventually(posted)
    assert next(answers, "used") == "used"


async def test_a_refused_child_is_a_condition_in_the_api_servers_words_and_stops_no_other(
    kube: Kube, start: Start, proxy: Proxy
):
    refusal = "admission webhook denied the request: no images by that name"

    def refuse(seen: Seen):
        if seen.method == "PATCH" and seen.plural == "statefulsets":
            return status(422, "Invalid", refusal)
        return None

    proxy.faults.append(refuse)
    await start()
    await kube.create(router())

    async def told():
        assert await kube.get("Deployment", "demo-api")
        assert refusal in condition(await kube.get("RouterDeployment", "demo"), "Degraded")["message"]

    await eventually(told)


def too_old():
    """The next watch of ConfigMaps is from too old a version."""
    answer = once(method="GET", plural="configmaps", answer=gone_watch)
    return lambda seen: answer(seen) if seen.is_watch else None


async def test_a_watch_that_says_nothing_is_opened_anew_without_a_list(kube: Kube, start: Start, proxy: Proxy):
    def watches() -> list[Seen]:
        asked = [seen for seen in proxy.requests if seen.plural == "ingresses"]
        assert len([seen for seen in asked if seen.is_watch]) > 2
        return asked

    await start(idle_timeout=0.5)
    asked = await eventually(watches)
    assert len([seen for seen in asked if not seen.is_watch]) == 1


async def test_watches_that_break_or_are_too_old_miss_nothing(kube: Kube, start: Start, proxy: Proxy):
    await settled(kube, start, {})
    for _ in range(3):
        proxy.faults.append(too_old())
        proxy.close_watches()
        await kube.delete("ConfigMap", "demo-api")
        await eventually(lambda: _exists(kube, "ConfigMap", "demo-api"), within=5)


AWAY_SECONDS = 60.0


async def test_nothing_is_missed_in_a_minute_without_the_api_server_and_its_restart(
    kube: Kube, start: Start, proxy: Proxy, api_server
):
    running = await start()
    await kube.create(router())
    await kube.create(router("other"))
    await eventually(lambda: _exists(kube, "Deployment", "demo-api"))
    await eventually(lambda: _exists(kube, "Deployment", "other-api"))
    await proxy.stop()
    api_server.kill_api_server()
    await asyncio.to_thread(api_server.start_api_server)
    await kube.delete("ConfigMap", "demo-api")
    await kube.delete("RouterDeployment", "other")
    await kube.delete("ConfigMap", "other-api")
    await kube.create(router("third"))
    await asyncio.sleep(AWAY_SECONDS)
    assert (await running.ask("/healthz")).status_code == 200
    await proxy.start()
    await eventually(lambda: _exists(kube, "ConfigMap", "demo-api"))
    await eventually(lambda: _exists(kube, "Deployment", "third-api"))
    assert await kube.get("ConfigMap", "other-api") is None


async def test_a_restarted_api_server_is_found_again(kube: Kube, start: Start, api_server):
    await settled(kube, start, {})
    api_server.kill_api_server()
    await asyncio.to_thread(api_server.start_api_server)
    await kube.delete("ConfigMap", "demo-api")
    await eventually(lambda: _exists(kube, "ConfigMap", "demo-api"), within=15)


async def _exists(kube: Kube, kind: str, name: str):
    assert await kube.get(kind, name)
