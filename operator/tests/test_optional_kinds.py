"""Kinds that a cluster may lack: reported while they are missing, and used when they are installed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fakes.cluster.field_edits import each_edit_is_repaired
from fakes.cluster.kube_client import Kube
from fakes.cluster.optional_kinds import OPTIONAL, RARELY_USED
from fakes.cluster.proxy import Proxy
from fakes.cluster.routers import router
from fakes.cluster.running_operator import Start
from fakes.cluster.waiting import eventually

_FOREIGN_SPEC = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}, "maxReplicas": 2}
Install = Callable[[str], None]


async def test_a_missing_kind_that_the_spec_does_not_require_is_no_fault(kube: Kube, start: Start):
    await start()
    await kube.create(router())
    await eventually(lambda: _is_healthy(kube))


@pytest.mark.parametrize("kind", OPTIONAL)
async def test_a_missing_kind_is_reported_and_used_and_watched_after_its_installation(
    kube: Kube, start: Start, install: Install, kind: str
):
    await start()
    await kube.create(router(**OPTIONAL[kind]))
    await eventually(lambda: _is_missing(kube, kind))
    await kube.existing("Deployment", "demo-api")
    install(kind)
    await eventually(lambda: kube.existing(kind, "demo-api"))
    await eventually(lambda: _is_healthy(kube))
    await kube.delete(kind, "demo-api")
    await eventually(lambda: kube.existing(kind, "demo-api"), within=5)
    await kube.merge(kind, "demo-api", {"spec": None})
    await eventually(lambda: _has_spec(kube, kind), within=5)


@pytest.mark.parametrize("kind", OPTIONAL)
async def test_a_child_of_an_optional_kind_is_deleted_when_the_spec_no_longer_requires_it(
    kube: Kube, start: Start, install: Install, kind: str
):
    install(kind)
    await start()
    await kube.create(router(**OPTIONAL[kind]))
    await eventually(lambda: kube.existing(kind, "demo-api"))
    await kube.edit_spec(monitoring=None, api={"httpRoute": None})

    async def is_deleted():
        assert await kube.get(kind, "demo-api") is None

    await eventually(is_deleted)


@pytest.mark.parametrize("kind", OPTIONAL)
async def test_a_kind_that_is_uninstalled_is_reported_and_its_child_returns_with_the_kind(
    kube: Kube, start: Start, install: Install, uninstall: Install, kind: str
):
    running = await start()
    install(kind)
    await kube.create(router(**OPTIONAL[kind]))
    await eventually(lambda: kube.existing(kind, "demo-api"))
    uninstall(kind)
    await eventually(lambda: _is_missing(kube, kind))
    assert (await running.get("/readyz")).status_code == 200
    install(kind)
    await eventually(lambda: kube.existing(kind, "demo-api"))
    await eventually(lambda: _is_healthy(kube))


async def test_a_kind_that_stays_missing_is_reported_with_one_status_write(kube: Kube, start: Start, proxy: Proxy):
    running = await start()
    await kube.create(router(**OPTIONAL["HTTPRoute"]))
    await eventually(lambda: _is_missing(kube, "HTTPRoute"))
    before = len(proxy.writes())
    lists = _lists(proxy)
    await eventually(lambda: _has_grown(_lists(proxy), lists + 2))
    assert [request for request in proxy.writes()[before:] if request.plural == "routerdeployments/status"] == []
    assert (await running.get("/readyz")).status_code == 200


@pytest.mark.parametrize("kind", RARELY_USED)
async def test_an_edit_of_each_owned_field_of_a_rare_kind_is_repaired(
    kube: Kube, start: Start, install: Install, kind: str
):
    install(kind)
    await start()
    await kube.create(router(**RARELY_USED[kind]))
    before = await eventually(lambda: kube.existing(kind, "demo-api"))
    await each_edit_is_repaired(kube, (kind, "demo-api"), before)


@pytest.mark.parametrize("kind", RARELY_USED)
async def test_a_foreign_object_of_a_rare_kind_is_reported_and_not_changed(
    kube: Kube, start: Start, install: Install, kind: str
):
    install(kind)
    body = {
        "apiVersion": kube.api_version(kind),
        "kind": kind,
        "metadata": {"name": "demo-api"},
        "spec": _FOREIGN_SPEC,
    }
    foreign = await eventually(lambda: kube.create(body))
    await start()
    await kube.create(router(**RARELY_USED[kind]))
    await eventually(lambda: _is_foreign(kube, kind))
    assert await kube.get(kind, "demo-api") == foreign
    await kube.delete(kind, "demo-api")
    await eventually(lambda: _is_healthy(kube))
    live = await kube.existing(kind, "demo-api")
    assert live["metadata"]["ownerReferences"][0]["name"] == "demo"


def _lists(proxy: Proxy) -> int:
    return len([request for request in proxy.requests if request.plural == "httproutes"])


def _has_grown(count: int, minimum: int) -> None:
    assert count >= minimum


async def _has_spec(kube: Kube, kind: str) -> None:
    assert (await kube.existing(kind, "demo-api"))["spec"]


async def _is_missing(kube: Kube, kind: str) -> None:
    degraded = await kube.condition("Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "KindMissing"), degraded
    assert kind in degraded["message"]


async def _is_foreign(kube: Kube, kind: str) -> None:
    degraded = await kube.condition("Degraded")
    assert degraded["reason"] == "ForeignObject", degraded
    assert f"{kind} demo-api" in degraded["message"]


async def _is_healthy(kube: Kube) -> None:
    degraded = await kube.condition("Degraded")
    assert degraded["status"] == "False", degraded
