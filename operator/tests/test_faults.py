"""Faults of the API server: whatever it returns, the operator creates the children and misses no change."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from fakes.cluster.foreign_objects import foreign_object
from fakes.cluster.kube_client import Kube
from fakes.cluster.proxy import Proxy, Recorded, error, expired_watch, fault_for
from fakes.cluster.routers import deployed, router
from fakes.cluster.running_operator import Start
from fakes.cluster.waiting import eventually

pytestmark = pytest.mark.waits
RESPONSES = {
    "409": lambda: error(409, "Conflict", "the object has been modified"),
    "429": lambda: error(429, "TooManyRequests", "try again", **{"Retry-After": "1"}),
    "500": lambda: error(500, "InternalError", "etcdserver: leader changed"),
    "503": lambda: error(503, "ServiceUnavailable", "the server is shutting down"),
    "html": lambda: web.Response(text="<html>gateway</html>", content_type="text/html"),
    "no object": lambda: web.json_response({}),
    "no metadata": lambda: web.json_response({"kind": "List", "metadata": None, "items": None}),
    "no items": lambda: web.json_response({"kind": "List", "metadata": {"resourceVersion": "1"}, "items": [{}]}),
}


async def _is_healthy(kube: Kube):
    await kube.existing("Deployment", "demo-api")
    await kube.existing("StatefulSet", "demo-model")
    assert (await kube.condition("Degraded"))["status"] == "False"


@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
@pytest.mark.parametrize(
    ("method", "plural"),
    [("PATCH", "configmaps"), ("PATCH", "routerdeployments/status"), ("GET", "deployments"), ("GET", "pods")],
    ids=["apply", "status", "read", "list"],
)
async def test_the_operator_recovers_from_error_responses(
    kube: Kube, start: Start, proxy: Proxy, method, plural, response
):
    proxy.faults.append(fault_for(method=method, plural=plural, response=response, times=2))
    await start()
    await kube.create(router())
    await eventually(lambda: _is_healthy(kube), within=20)


async def test_a_request_without_a_response_is_retried(kube: Kube, start: Start, proxy: Proxy):
    async def hang(request: Recorded):
        if request.method == "PATCH" and request.plural == "configmaps":
            proxy.faults.clear()
            await asyncio.sleep(60)

    proxy.faults.append(hang)
    await start()
    await kube.create(router())
    await eventually(lambda: _is_healthy(kube), within=30)


async def test_writes_of_a_kind_that_hang_degrade_the_router_and_do_not_block_other_kinds(
    kube: Kube, start: Start, proxy: Proxy
):
    """This happens if an admission webhook takes longer than the request timeout."""

    async def hang(request: Recorded):
        if request.method == "PATCH" and request.plural == "configmaps":
            await asyncio.sleep(60)

    proxy.faults.append(hang)
    await start()
    await kube.create(router())

    async def is_degraded():
        await kube.existing("NetworkPolicy", "demo-model")
        degraded = await kube.condition("Degraded")
        assert degraded["reason"] == "Failed"
        assert "ConfigMap demo-api" in degraded["message"]

    await eventually(is_degraded, within=30)


async def test_an_event_whose_creation_fails_is_created_later(kube: Kube, start: Start, proxy: Proxy):
    await kube.create(foreign_object(kube, "ConfigMap", "demo-api"))
    responses = iter([web.Response(text="<html>gateway</html>", content_type="text/html")])
    proxy.faults.append(
        lambda request: next(responses, None) if request.plural == "events" and request.is_write else None
    )
    await start()
    await kube.create(router())

    async def is_created():
        assert [event for event in await kube.list("Event") if event["reason"] == "ForeignObject"]

    await eventually(is_created)
    assert next(responses, "used") == "used"


async def test_a_rejected_child_degrades_the_router_with_the_api_servers_message_and_does_not_block_others(
    kube: Kube, start: Start, proxy: Proxy
):
    message = "admission webhook denied the request: no images by that name"

    def reject(request: Recorded):
        if request.method == "PATCH" and request.plural == "statefulsets":
            return error(422, "Invalid", message)
        return None

    proxy.faults.append(reject)
    await start()
    await kube.create(router())

    async def is_degraded():
        await kube.existing("Deployment", "demo-api")
        assert message in (await kube.condition("Degraded"))["message"]

    await eventually(is_degraded)


def expire_next_watch():
    """Returns a fault for the next watch of ConfigMaps: its resourceVersion is too old."""
    fault = fault_for(method="GET", plural="configmaps", response=expired_watch)
    return lambda request: fault(request) if request.is_watch else None


async def test_an_idle_watch_is_reopened_without_a_list(kube: Kube, start: Start, proxy: Proxy):
    def several_watches() -> list[Recorded]:
        requests = [request for request in proxy.requests if request.plural == "ingresses"]
        assert len([request for request in requests if request.is_watch]) > 2
        return requests

    await start(idle_timeout=1.2)
    requests = await eventually(several_watches)
    assert len([request for request in requests if not request.is_watch]) == 1


async def test_aborted_and_expired_watches_miss_no_change(kube: Kube, start: Start, proxy: Proxy):
    await deployed(kube, start, {})
    for _ in range(3):
        proxy.faults.append(expire_next_watch())
        proxy.close_watches()
        await kube.delete("ConfigMap", "demo-api")
        await eventually(lambda: kube.existing("ConfigMap", "demo-api"), within=5)


MALFORMED = {
    "unknown type": '{"type": "WEIRD", "object": {}}',
    "unknown type of an object": '{"type": "WEIRD", "object": {"metadata": {"resourceVersion": "1"}}}',
    "no type": '{"object": {}}',
    "no object": '{"type": "ADDED", "object": null}',
    "no metadata": '{"type": "MODIFIED", "object": {}}',
    "no name": '{"type": "DELETED", "object": {"metadata": {"resourceVersion": "7"}}}',
    "no error": '{"type": "ERROR", "object": null}',
    "error with a wrong field": '{"type": "ERROR", "object": {"code": 500, "details": "none"}}',
    "list": "[]",
    "garbage": "garbage",
    "no event": "",
}


def watched_kinds(proxy: Proxy) -> set[str]:
    return {request.plural for request in proxy.requests if request.is_watch}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED)
async def test_a_watch_without_valid_events_is_repeated_with_pauses_and_misses_no_change(
    kube: Kube, start: Start, proxy: Proxy, event
):
    running = await start()
    await kube.create(router())
    await eventually(lambda: _is_healthy(kube))
    proxy.faults.append(lambda request: web.Response(text=f"{event}\n" if event else "") if request.is_watch else None)
    proxy.close_watches()
    before = len(proxy.requests)
    await asyncio.sleep(4)
    # Each of the kinds has at most nine attempts with growing pauses, of a list and a watch.
    assert len(proxy.requests) - before < 20 * len(watched_kinds(proxy))
    assert not running.task.done()
    await kube.delete("ConfigMap", "demo-api")
    await eventually(lambda: kube.existing("ConfigMap", "demo-api"), within=10)


OUTAGE_SECONDS = 60.0


async def test_the_operator_misses_no_change_during_an_outage_of_a_minute(
    kube: Kube, start: Start, proxy: Proxy, api_server
):
    running = await start()
    await kube.create(router())
    await kube.create(router("other"))
    await eventually(lambda: kube.existing("Deployment", "demo-api"))
    await eventually(lambda: kube.existing("Deployment", "other-api"))
    await proxy.stop()
    api_server.kill_api_server()
    await asyncio.to_thread(api_server.start_api_server)
    await kube.delete("ConfigMap", "demo-api")
    await kube.delete("RouterDeployment", "other")
    await kube.delete("ConfigMap", "other-api")
    await kube.create(router("third"))
    await asyncio.sleep(OUTAGE_SECONDS)
    assert (await running.get("/healthz")).status_code == 200
    await proxy.start()
    await eventually(lambda: kube.existing("ConfigMap", "demo-api"))
    await eventually(lambda: kube.existing("Deployment", "third-api"))
    assert await kube.get("ConfigMap", "other-api") is None


async def test_the_operator_reconnects_to_a_restarted_api_server(kube: Kube, start: Start, api_server):
    await deployed(kube, start, {})
    api_server.kill_api_server()
    await asyncio.to_thread(api_server.start_api_server)
    await kube.delete("ConfigMap", "demo-api")
    await eventually(lambda: kube.existing("ConfigMap", "demo-api"), within=15)
