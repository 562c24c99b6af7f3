"""Creation without a read: what it relies on, for every kind on the API server, and what the operator does with it."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import httpx
import pytest
import pytest_asyncio
from faults import Proxy, Seen, status
from harness import Kube, Start, condition, eventually, router
from rl_router_operator.objects.kinds import BY_NAME, KINDS
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults
from test_drift import FULL
from test_optional_kinds import OF_CHOICE, install, uninstall  # noqa: F401 - fixtures
from test_ownership import foreign

_WRITERS = 8
_APPLY = {"Content-Type": "application/apply-patch+yaml"}


def children(spec: dict[str, Any]) -> tuple[Manifest, ...]:
    """The children of a RouterDeployment that need not exist."""
    metadata = {"name": "demo", "namespace": "any", "uid": "7e0f7a5e-0000-4000-8000-000000000000", "generation": 1}
    return desired(read({"metadata": metadata, "spec": spec}), Defaults())


EXAMPLES = {child["kind"]: child for spec in (FULL, *OF_CHOICE.values()) for child in children(spec)}
"""A child of every kind that the operator creates."""


@pytest_asyncio.fixture(params=[kind.kind for kind in KINDS])
async def example(request: pytest.FixtureRequest, kube: Kube) -> Manifest:
    """A child of each kind, in the test's namespace; the cluster knows the kind."""
    kind = BY_NAME[request.param]
    if kind.optional:
        request.getfixturevalue("install")(kind.kind)
    found = copy.deepcopy(EXAMPLES[kind.kind])
    found["metadata"]["namespace"] = kube.namespace
    await eventually(lambda: _is_served(kube, kind.kind))
    return found


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
    """A server-side apply, with a resourceVersion in it or without."""
    body = {**manifest, "metadata": {**manifest["metadata"], **({"resourceVersion": version} if version else {})}}
    path = kube.path(manifest["kind"], manifest["metadata"]["name"])
    query = {"fieldManager": manager, "force": str(force).lower()}
    return await kube.client.patch(path, json=body, params=query, headers=_APPLY)


def test_there_is_an_example_of_every_kind() -> None:
    assert set(EXAMPLES) == {kind.kind for kind in KINDS}


async def test_a_version_that_no_object_has_creates_and_the_next_equal_apply_writes_nothing(
    kube: Kube, example: Manifest
) -> None:
    created = await apply(kube, example, "1")
    assert created.status_code == 201, created.text
    again = await apply(kube, example, force=True)
    assert again.json()["metadata"]["resourceVersion"] == created.json()["metadata"]["resourceVersion"]


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize("manager", ["somebody", "rl-router-operator"])
async def test_it_touches_nothing_that_exists(kube: Kube, example: Manifest, manager: str, force: bool) -> None:
    theirs = copy.deepcopy(example)
    theirs["metadata"]["labels"] = {"mine": "yes"}
    before = (await apply(kube, theirs, manager=manager)).json()
    answer = await apply(kube, example, "1", force=force)
    assert answer.status_code == 409, answer.text
    assert await kube.get(example["kind"], example["metadata"]["name"]) == before


async def test_of_several_writers_one_creates(kube: Kube, example: Manifest) -> None:
    writes = [apply(kube, example, "1", f"writer-{number}", force=True) for number in range(_WRITERS)]
    answers = await asyncio.gather(*writes)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (_WRITERS - 1)
    (created,) = [answer.json() for answer in answers if answer.status_code == 201]
    live = await kube.get(example["kind"], example["metadata"]["name"])
    assert live
    assert live["metadata"]["uid"] == created["metadata"]["uid"]
    assert len({entry["manager"] for entry in live["metadata"]["managedFields"]}) == 1


# What the operator makes of it


async def _exists(kube: Kube, kind: str, name: str) -> None:
    assert await kube.get(kind, name)


def _reads(proxy: Proxy) -> list[str]:
    """The objects that were read one by one."""
    names = [
        seen
        for seen in proxy.requests
        if seen.method == "GET" and seen.plural != "leases" and "limit" not in seen.query
    ]
    return [seen.path for seen in names if not seen.is_watch]


async def test_a_birth_reads_nothing_and_writes_every_child_once(kube: Kube, start: Start, proxy: Proxy) -> None:
    await start()
    await kube.create(router())
    await eventually(lambda: _exists(kube, "NetworkPolicy", "demo-model"))
    applied = [
        seen.path for seen in proxy.writes() if seen.method == "PATCH" and seen.plural != "routerdeployments/status"
    ]
    assert sorted(applied) == sorted(kube.path(child["kind"], child["metadata"]["name"]) for child in children({}))
    assert _reads(proxy) == []


async def test_the_first_status_comes_before_the_first_child(kube: Kube, start: Start, proxy: Proxy) -> None:
    await start()
    await kube.create(router())
    await eventually(lambda: _exists(kube, "NetworkPolicy", "demo-model"))
    assert proxy.writes()[0].plural == "routerdeployments/status"


def _knows_no_such_version(seen: Seen) -> Any:
    """An API server that takes the version in an apply for one of an object that must exist."""
    if seen.method == "PATCH" and b'"resourceVersion": "1"' in seen.body:
        return status(409, "Conflict", "the object has been modified")
    return None


async def test_an_api_server_that_behaves_otherwise_gets_every_child_after_a_look(
    kube: Kube, start: Start, proxy: Proxy
) -> None:
    proxy.faults.append(_knows_no_such_version)
    await start()
    await kube.create(router())
    await eventually(lambda: _exists(kube, "NetworkPolicy", "demo-model"))
    reads = _reads(proxy)
    assert {reads.count(path) for path in reads} == {2}


async def test_there_too_what_appears_after_the_look_is_left_as_it_was(kube: Kube, start: Start, proxy: Proxy) -> None:
    made: list[Manifest] = []

    async def make_first(seen: Seen) -> Any:
        fault = _knows_no_such_version(seen)
        if fault is None and not made and seen.method == "PATCH" and seen.path.endswith("/configmaps/demo-api"):
            made.append(await kube.create(foreign(kube, "ConfigMap", "demo-api")))
        return fault

    proxy.faults.append(make_first)
    await start()
    await kube.create(router())

    async def named() -> None:
        live = await kube.get("RouterDeployment", "demo")
        assert live
        assert "ConfigMap demo-api" in condition(live, "Degraded")["message"]

    await eventually(named)
    live = await kube.get("ConfigMap", "demo-api")
    assert live
    assert live["data"] == {"mine": "yes"}
    assert "labels" not in live["metadata"]


# A status for another object of the name


async def _successor(kube: Kube) -> Manifest:
    await kube.delete("RouterDeployment", "demo")
    return await kube.create(router())


async def test_a_late_status_does_not_land_in_a_successor(kube: Kube, start: Start, proxy: Proxy) -> None:
    running = await start()
    await kube.create(router())
    await eventually(lambda: _exists(kube, "NetworkPolicy", "demo-model"))
    await running.stop()
    before = await _successor(kube)
    writes = [seen for seen in proxy.writes() if seen.plural == "routerdeployments/status"]
    assert writes
    for late in writes:
        answer = await kube.client.patch(late.path, content=late.body, params=late.query, headers=_APPLY)
        assert answer.status_code == 409, answer.text
    assert await kube.get("RouterDeployment", "demo") == before


async def test_a_uid_alone_would_not_keep_it_out(kube: Kube) -> None:
    first = await kube.create(router())
    await _successor(kube)
    metadata = {"name": "demo", "namespace": kube.namespace, "uid": first["metadata"]["uid"]}
    body = {"apiVersion": first["apiVersion"], "kind": first["kind"], "metadata": metadata, "status": {"replicas": 7}}
    query = {"fieldManager": "rl-router-operator", "force": "true"}
    path = kube.path("RouterDeployment", "demo", "status")
    assert (await kube.client.patch(path, json=body, params=query, headers=_APPLY)).status_code == 200
