"""Children are created without a read before.

An apply with a resourceVersion that no object has creates an object and never changes one. These tests check this for
every kind on a real API server, and how the operator uses it.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import httpx
import pytest
import pytest_asyncio
from rl_router_operator.objects.kinds import BY_NAME, KINDS
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.foreign_objects import foreign_object
from fakes.cluster.kube_client import Kube
from fakes.cluster.optional_kinds import RARELY_USED
from fakes.cluster.proxy import Proxy, Recorded, error
from fakes.cluster.routers import FULL_SPEC, router
from fakes.cluster.running_operator import Start
from fakes.cluster.waiting import eventually

_WRITERS = 8
_APPLY = {"Content-Type": "application/apply-patch+yaml"}


def children(spec: dict[str, Any]) -> tuple[Manifest, ...]:
    """Returns the children of a RouterDeployment that does not exist."""
    metadata = {"name": "demo", "namespace": "any", "uid": "7e0f7a5e-0000-4000-8000-000000000000", "generation": 1}
    return desired(read({"metadata": metadata, "spec": spec}), Defaults())


EXAMPLES = {child["kind"]: child for spec in (FULL_SPEC, *RARELY_USED.values()) for child in children(spec)}
"""A child of every kind that the operator creates."""


@pytest_asyncio.fixture(params=[kind.kind for kind in KINDS])
async def example(request: pytest.FixtureRequest, kube: Kube) -> Manifest:
    """A child of each kind in the test's namespace. The cluster serves the kind."""
    kind = BY_NAME[request.param]
    if kind.optional:
        request.getfixturevalue("install")(kind.kind)
    manifest = copy.deepcopy(EXAMPLES[kind.kind])
    manifest["metadata"]["namespace"] = kube.namespace
    await eventually(lambda: _is_served(kube, kind.kind))
    return manifest


async def _is_served(kube: Kube, kind: str) -> None:
    assert (await kube.client.get(kube.path(kind))).status_code == 200


async def apply(
    kube: Kube,
    manifest: Manifest,
    version: str | None = None,
    manager: str = "rl-router-operator",
    *,
    force: bool = False,
) -> httpx.Response:
    """Sends a server-side apply, with a resourceVersion unless it is None."""
    body = {**manifest, "metadata": {**manifest["metadata"], **({"resourceVersion": version} if version else {})}}
    path = kube.path(manifest["kind"], manifest["metadata"]["name"])
    query = {"fieldManager": manager, "force": str(force).lower()}
    return await kube.client.patch(path, json=body, params=query, headers=_APPLY)


def test_every_kind_has_an_example() -> None:
    assert set(EXAMPLES) == {kind.kind for kind in KINDS}


async def test_an_apply_with_an_unused_version_creates_and_an_equal_apply_writes_nothing(
    kube: Kube, example: Manifest
) -> None:
    created = await apply(kube, example, "1")
    assert created.status_code == 201, created.text
    again = await apply(kube, example, force=True)
    assert again.json()["metadata"]["resourceVersion"] == created.json()["metadata"]["resourceVersion"]


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize("manager", ["somebody", "rl-router-operator"])
async def test_an_apply_with_an_unused_version_does_not_change_an_object(
    kube: Kube, example: Manifest, manager: str, force: bool
) -> None:
    existing = copy.deepcopy(example)
    existing["metadata"]["labels"] = {"mine": "yes"}
    before = (await apply(kube, existing, manager=manager)).json()
    response = await apply(kube, example, "1", force=force)
    assert response.status_code == 409, response.text
    assert await kube.get(example["kind"], example["metadata"]["name"]) == before


async def test_only_one_of_several_writers_creates_an_object(kube: Kube, example: Manifest) -> None:
    writes = [apply(kube, example, "1", f"writer-{number}", force=True) for number in range(_WRITERS)]
    responses = await asyncio.gather(*writes)
    assert sorted(response.status_code for response in responses) == [201] + [409] * (_WRITERS - 1)
    (created,) = [response.json() for response in responses if response.status_code == 201]
    live = await kube.existing(example["kind"], example["metadata"]["name"])
    assert live["metadata"]["uid"] == created["metadata"]["uid"]
    assert len({entry["manager"] for entry in live["metadata"]["managedFields"]}) == 1


# How the operator creates children


def _reads(proxy: Proxy) -> list[str]:
    """Returns the paths of the objects that were read one by one."""
    return [
        request.path
        for request in proxy.requests
        if request.method == "GET"
        and request.plural != "leases"
        and "limit" not in request.query
        and not request.is_watch
    ]


async def _create_all_children(kube: Kube, start: Start) -> None:
    await start()
    await kube.create(router())
    await eventually(lambda: kube.existing("NetworkPolicy", "demo-model"))


async def test_the_operator_writes_each_new_child_once_and_reads_none(kube: Kube, start: Start, proxy: Proxy) -> None:
    await _create_all_children(kube, start)
    applied = [
        request.path
        for request in proxy.writes()
        if request.method == "PATCH" and request.plural != "routerdeployments/status"
    ]
    assert sorted(applied) == sorted(kube.path(child["kind"], child["metadata"]["name"]) for child in children({}))
    assert _reads(proxy) == []


async def test_the_operator_writes_a_status_before_the_first_child(kube: Kube, start: Start, proxy: Proxy) -> None:
    await _create_all_children(kube, start)
    assert proxy.writes()[0].plural == "routerdeployments/status"


def _rejects_unused_version(request: Recorded) -> Any:
    """Acts as an API server that expects an object with the resourceVersion of an apply."""
    if request.method == "PATCH" and b'"resourceVersion": "1"' in request.body:
        return error(409, "Conflict", "the object has been modified")
    return None


async def test_the_operator_reads_before_it_creates_if_the_api_server_rejects_an_unused_version(
    kube: Kube, start: Start, proxy: Proxy
) -> None:
    proxy.faults.append(_rejects_unused_version)
    await _create_all_children(kube, start)
    reads = _reads(proxy)
    assert {reads.count(path) for path in reads} == {2}


async def test_the_operator_does_not_change_a_foreign_object_that_appears_after_that_read(
    kube: Kube, start: Start, proxy: Proxy
) -> None:
    created: list[Manifest] = []

    async def create_first(request: Recorded) -> Any:
        fault = _rejects_unused_version(request)
        if (
            fault is None
            and not created
            and request.method == "PATCH"
            and request.path.endswith("/configmaps/demo-api")
        ):
            created.append(await kube.create(foreign_object(kube, "ConfigMap", "demo-api")))
        return fault

    proxy.faults.append(create_first)
    await start()
    await kube.create(router())

    async def is_named() -> None:
        assert "ConfigMap demo-api" in (await kube.condition("Degraded"))["message"]

    await eventually(is_named)
    live = await kube.existing("ConfigMap", "demo-api")
    assert live["data"] == {"mine": "yes"}
    assert "labels" not in live["metadata"]


# Statuses of another object with the same name


async def _replaced(kube: Kube) -> Manifest:
    await kube.delete("RouterDeployment", "demo")
    return await kube.create(router())


async def test_a_late_status_does_not_change_a_new_object_of_the_same_name(
    kube: Kube, start: Start, proxy: Proxy
) -> None:
    running = await start()
    await kube.create(router())
    await eventually(lambda: kube.existing("NetworkPolicy", "demo-model"))
    await running.stop()
    before = await _replaced(kube)
    writes = [request for request in proxy.writes() if request.plural == "routerdeployments/status"]
    assert writes
    for late in writes:
        response = await kube.client.patch(late.path, content=late.body, params=late.query, headers=_APPLY)
        assert response.status_code == 409, response.text
    assert await kube.get("RouterDeployment", "demo") == before


async def test_the_api_server_does_not_compare_the_uid_of_a_status(kube: Kube) -> None:
    """Therefore the operator's status writes also have a resourceVersion."""
    first = await kube.create(router())
    await _replaced(kube)
    metadata = {"name": "demo", "namespace": kube.namespace, "uid": first["metadata"]["uid"]}
    body = {"apiVersion": first["apiVersion"], "kind": first["kind"], "metadata": metadata, "status": {"replicas": 7}}
    query = {"fieldManager": "rl-router-operator", "force": "true"}
    path = kube.path("RouterDeployment", "demo", "status")
    assert (await kube.client.patch(path, json=body, params=query, headers=_APPLY)).status_code == 200
