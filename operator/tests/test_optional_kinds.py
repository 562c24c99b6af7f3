"""Kinds that a cluster may lack: named while it does, made when they appear, named again when they go."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from admission import DEFINITIONS
from control_plane import ApiServer
from eventually import eventually as becomes
from faults import Proxy
from harness import Kube, Start, condition, eventually, router
from rl_router_operator.objects.kinds import BY_NAME
from test_drift import is_repaired_field_by_field

OPTIONAL = {
    "ServiceMonitor": {"monitoring": {"serviceMonitor": {"enabled": True}}},
    "HTTPRoute": {"api": {"auth": {"anonymous": True}, "httpRoute": {"parentRefs": [{"name": "gateway"}]}}},
}
"""Each with the spec that asks for it."""
OF_CHOICE = {**OPTIONAL, "HorizontalPodAutoscaler": {"api": {"autoscaling": {"maxReplicas": 4}}}}
"""With the kind that every cluster has and few ask for."""
_THEIRS = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}, "maxReplicas": 2}
Install = Callable[[str], None]
Uninstall = Callable[[str], None]


@pytest.fixture
def install(api_server: ApiServer, uninstall: Uninstall) -> Iterator[Install]:
    """Makes kinds known to the cluster until the test's end."""

    def installed(kind: str) -> None:
        api_server.client.post(DEFINITIONS, json=_definition(kind)).raise_for_status()

    yield installed
    for kind in OPTIONAL:
        uninstall(kind)


@pytest.fixture
def uninstall(api_server: ApiServer) -> Uninstall:
    """Takes a kind from the cluster, and all its objects with it."""

    def uninstalled(kind: str) -> None:
        path = f"{DEFINITIONS}/{_definition(kind)['metadata']['name']}"
        api_server.client.delete(path)
        becomes(lambda: api_server.client.get(path).status_code == 404, f"{kind} is gone")

    return uninstalled


def _definition(kind: str) -> dict:
    known = BY_NAME[kind]
    group, version = known.api_version.split("/")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # Groups under k8s.io are for those who can show an approval.
        "metadata": {
            "name": f"{known.plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": known.plural, "singular": kind.lower()},
            "versions": [served],
        },
    }


async def test_a_kind_that_nobody_asks_for_is_no_fault(kube: Kube, start: Start):
    await start()
    await kube.create(router())
    await eventually(lambda: _is_well(kube))


@pytest.mark.parametrize("kind", OPTIONAL)
async def test_a_kind_that_the_cluster_lacks_is_named_and_once_it_appears_used_and_watched(
    kube: Kube, start: Start, install: Install, kind: str
):
    await start()
    await kube.create(router(**OPTIONAL[kind]))
    await eventually(lambda: _is_missing(kube, kind))
    assert await kube.get("Deployment", "demo-api")
    install(kind)
    await eventually(lambda: _is_made(kube, kind))
    await eventually(lambda: _is_well(kube))
    await kube.delete(kind, "demo-api")
    await eventually(lambda: _is_made(kube, kind), within=5)
    await kube.merge(kind, "demo-api", {"spec": None})
    await eventually(lambda: _has_spec(kube, kind), within=5)


@pytest.mark.parametrize("kind", OPTIONAL)
async def test_a_kind_that_is_no_longer_asked_for_is_removed(kube: Kube, start: Start, install: Install, kind: str):
    install(kind)
    await start()
    await kube.create(router(**OPTIONAL[kind]))
    await eventually(lambda: _is_made(kube, kind))
    await kube.merge("RouterDeployment", "demo", {"spec": {"monitoring": None, "api": {"httpRoute": None}}})

    async def removed():
        assert await kube.get(kind, "demo-api") is None

    await eventually(removed)


@pytest.mark.parametrize("kind", OPTIONAL)
async def test_a_kind_that_goes_is_named_again_and_comes_back(
    kube: Kube, start: Start, install: Install, uninstall: Uninstall, kind: str
):
    running = await start()
    install(kind)
    await kube.create(router(**OPTIONAL[kind]))
    await eventually(lambda: _is_made(kube, kind))
    uninstall(kind)
    await eventually(lambda: _is_missing(kube, kind))
    assert (await running.ask("/readyz")).status_code == 200
    install(kind)
    await eventually(lambda: _is_made(kube, kind))
    await eventually(lambda: _is_well(kube))


async def test_a_kind_that_stays_away_is_told_once(kube: Kube, start: Start, proxy: Proxy):
    running = await start()
    await kube.create(router(**OPTIONAL["HTTPRoute"]))
    await eventually(lambda: _is_missing(kube, "HTTPRoute"))
    before = len(proxy.writes())
    asked = _lists(proxy)
    await eventually(lambda: _is_more(_lists(proxy), asked + 2))
    assert [seen for seen in proxy.writes()[before:] if seen.plural == "routerdeployments/status"] == []
    assert (await running.ask("/readyz")).status_code == 200


@pytest.mark.parametrize("kind", OF_CHOICE)
async def test_every_field_of_one_that_is_ours_is_repaired(kube: Kube, start: Start, install: Install, kind: str):
    if kind in OPTIONAL:
        install(kind)
    await start()
    await kube.create(router(**OF_CHOICE[kind]))
    await eventually(lambda: _is_made(kube, kind))
    before = await kube.get(kind, "demo-api")
    assert before
    await is_repaired_field_by_field(kube, (kind, "demo-api"), before)


@pytest.mark.parametrize("kind", OF_CHOICE)
async def test_somebodys_object_in_its_place_is_left_alone_and_named(
    kube: Kube, start: Start, install: Install, kind: str
):
    if kind in OPTIONAL:
        install(kind)
    body = {"apiVersion": kube.api_version(kind), "kind": kind, "metadata": {"name": "demo-api"}, "spec": _THEIRS}
    theirs = await eventually(lambda: kube.create(body))
    await start()
    await kube.create(router(**OF_CHOICE[kind]))
    await eventually(lambda: _is_foreign(kube, kind))
    assert await kube.get(kind, "demo-api") == theirs
    await kube.delete(kind, "demo-api")
    await eventually(lambda: _is_well(kube))
    live = await kube.get(kind, "demo-api")
    assert live
    assert live["metadata"]["ownerReferences"][0]["name"] == "demo"


def _lists(proxy: Proxy) -> int:
    return len([seen for seen in proxy.requests if seen.plural == "httproutes"])


def _is_more(now: int, before: int) -> None:
    assert now >= before


async def _is_made(kube: Kube, kind: str) -> None:
    assert await kube.get(kind, "demo-api")


async def _has_spec(kube: Kube, kind: str) -> None:
    live = await kube.get(kind, "demo-api")
    assert live
    assert live["spec"]


async def _is_missing(kube: Kube, kind: str) -> None:
    live = await kube.get("RouterDeployment", "demo")
    assert live
    degraded = condition(live, "Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "KindMissing"), degraded
    assert kind in degraded["message"]


async def _is_foreign(kube: Kube, kind: str) -> None:
    live = await kube.get("RouterDeployment", "demo")
    assert live
    degraded = condition(live, "Degraded")
    assert degraded["reason"] == "ForeignObject", degraded
    assert f"{kind} demo-api" in degraded["message"]


async def _is_well(kube: Kube) -> None:
    live = await kube.get("RouterDeployment", "demo")
    assert live
    degraded = condition(live, "Degraded")
    assert degraded["status"] == "False", degraded
