"""Objects of other owners: the operator does not change them, reports them, and waits until their name is free."""

from __future__ import annotations

import pytest

from fakes.cluster.foreign_objects import foreign_object
from fakes.cluster.kube_client import Kube
from fakes.cluster.proxy import Proxy, Recorded
from fakes.cluster.routers import FULL_CHILDREN, FULL_SPEC, deployed, router
from fakes.cluster.running_operator import Start
from fakes.cluster.waiting import eventually


async def _config_map_is_reported(kube: Kube):
    assert "ConfigMap demo-api" in (await kube.condition("Degraded"))["message"]


async def test_foreign_objects_of_every_kind_are_reported_and_not_changed_and_replaced_when_deleted(
    kube: Kube, start: Start
):
    foreign = {ref: await kube.create(foreign_object(kube, *ref)) for ref in FULL_CHILDREN}
    await start()
    await kube.create(router(**FULL_SPEC))

    async def are_reported():
        degraded = await kube.condition("Degraded")
        assert degraded["status"] == "True"
        assert degraded["reason"] == "ForeignObject"

    await eventually(are_reported)
    for ref, body in foreign.items():
        assert await kube.get(*ref) == body
        await kube.delete(*ref)

    async def are_replaced():
        for ref in FULL_CHILDREN:
            assert (await kube.existing(*ref))["metadata"]["ownerReferences"][0]["name"] == "demo"
        assert (await kube.condition("Degraded"))["reason"] != "ForeignObject"

    await eventually(are_replaced)


@pytest.mark.parametrize("ref", [("ConfigMap", "demo-api"), ("StatefulSet", "demo-model")], ids="/".join)
async def test_the_condition_names_the_foreign_object(kube: Kube, start: Start, ref):
    await kube.create(foreign_object(kube, *ref))
    await start()
    await kube.create(router())

    async def is_named():
        assert " ".join(ref) in (await kube.condition("Degraded"))["message"]

    await eventually(is_named)


async def test_a_foreign_object_is_read_repeatedly_and_written_once(kube: Kube, start: Start, proxy: Proxy):
    await kube.create(foreign_object(kube, "ConfigMap", "demo-api"))
    await start()
    await kube.create(router())

    def requests(method: str) -> int:
        path = "/configmaps/demo-api"
        return len([request for request in proxy.requests if request.method == method and request.path.endswith(path)])

    def is_read_again():
        assert requests("GET") >= 3

    await eventually(is_read_again, within=20)
    assert requests("PATCH") == 1


async def test_an_object_of_another_controller_cannot_be_adopted(kube: Kube, start: Start):
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1-2-3", "controller": True}
    body = foreign_object(kube, "ConfigMap", "demo-api")
    body["metadata"].update(ownerReferences=[owner], annotations={"rlrouter.dev/adopt": "true"})
    foreign = await kube.create(body)
    await start()
    await kube.create(router())
    await eventually(lambda: _config_map_is_reported(kube))
    assert await kube.get("ConfigMap", "demo-api") == foreign


async def test_an_object_without_a_controller_is_adopted_by_annotation(kube: Kube, start: Start):
    foreign = await kube.create(foreign_object(kube, "ConfigMap", "demo-api"))
    await start()
    await kube.create(router())
    await kube.annotate("adopt", "true", "ConfigMap", "demo-api")

    async def adopted():
        live = await kube.existing("ConfigMap", "demo-api")
        assert live["metadata"]["ownerReferences"][0]["name"] == "demo"
        assert "router.yaml" in live["data"]
        return live

    live = await eventually(adopted)
    assert live["metadata"]["uid"] == foreign["metadata"]["uid"]
    assert live["data"]["mine"] == "yes"


async def test_a_service_that_cannot_be_adopted_keeps_its_fields_and_is_reported(
    kube: Kube, start: Start, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    body = foreign_object(kube, "Service", "demo-model-pods")
    body["metadata"]["annotations"] = {"rlrouter.dev/adopt": "true"}
    body["spec"] |= {"sessionAffinity": "ClientIP", "externalIPs": ["192.0.2.1"]}
    foreign = await kube.create(body)
    await start()
    await kube.create(router())

    async def is_reported():
        degraded = await kube.condition("Degraded")
        assert degraded["reason"] == "Immutable"
        assert "Service demo-model-pods" in degraded["message"]

    await eventually(is_reported)
    assert await kube.get("Service", "demo-model-pods") == foreign
    assert "patched" not in caplog.text


async def test_a_foreign_object_that_appears_just_before_the_creation_is_not_changed(
    kube: Kube, start: Start, proxy: Proxy
):
    created = []

    async def create_first(request: Recorded):
        if not created and request.method == "PATCH" and request.path.endswith("/configmaps/demo-api"):
            created.append(await kube.create(foreign_object(kube, "ConfigMap", "demo-api")))

    proxy.faults.append(create_first)
    await start()
    await kube.create(router())
    await eventually(lambda: _config_map_is_reported(kube))
    live = await kube.existing("ConfigMap", "demo-api")
    assert live["data"] == {"mine": "yes"}
    assert "ownerReferences" not in live["metadata"]
    assert "labels" not in live["metadata"]


async def test_a_foreign_object_that_replaces_a_child_is_not_overwritten(kube: Kube, start: Start, proxy: Proxy):
    """It replaces the child after the operator has seen the child and before it applies it."""
    await deployed(kube, start)
    foreign = []

    async def replace_child(request: Recorded):
        if not foreign and request.method == "PATCH" and request.path.endswith("/configmaps/demo-api"):
            await kube.delete("ConfigMap", "demo-api")
            foreign.append(await kube.create(foreign_object(kube, "ConfigMap", "demo-api")))

    proxy.faults.append(replace_child)
    await kube.merge("ConfigMap", "demo-api", {"data": {"router.yaml": "edited"}})
    await eventually(lambda: _is_not_empty(foreign))
    await eventually(lambda: _config_map_is_reported(kube))
    assert (await kube.existing("ConfigMap", "demo-api"))["data"] == {"mine": "yes"}


def _is_not_empty(objects: list):
    assert objects
