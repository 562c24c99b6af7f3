"""Drift: within 5 s the operator restores children and fields that are deleted or edited. Fields of others stay."""

from __future__ import annotations

import pytest
from aiohttp import web
from rl_router_operator.changes.edit_conflicts import MANAGER
from rl_router_operator.objects.manifest import ref_of
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.field_edits import REPAIR_SECONDS, each_edit_is_repaired
from fakes.cluster.kube_client import Kube
from fakes.cluster.proxy import Proxy, Recorded
from fakes.cluster.routers import FULL_CHILDREN, FULL_SPEC, deployed, router
from fakes.cluster.running_operator import Start
from fakes.cluster.waiting import eventually


def test_these_tests_cover_every_child():
    body = router(**FULL_SPEC)
    body["metadata"].update(namespace="x", uid="y")
    assert {ref_of(child) for child in desired(read(body), Defaults())} == set(FULL_CHILDREN)


async def test_a_deleted_child_of_every_kind_is_recreated(kube: Kube, start: Start):
    before = await deployed(kube, start)
    for ref in before:
        await kube.delete(*ref)

    async def is_restored():
        for ref in before:
            live = await kube.existing(*ref)
            assert live["metadata"]["uid"] != before[ref]["metadata"]["uid"], ref

    await eventually(is_restored, within=REPAIR_SECONDS)


async def test_an_edit_of_each_owned_field_is_repaired(kube: Kube, start: Start):
    for ref, before in (await deployed(kube, start)).items():
        await each_edit_is_repaired(kube, ref, before)


async def test_fields_that_others_add_stay(kube: Kube, start: Start):
    await deployed(kube, start)
    marked = {"metadata": {"labels": {"team": "red"}, "annotations": {"mesh.example/mode": "on"}}}
    for ref in FULL_CHILDREN:
        await kube.merge(*ref, marked)
    live = await kube.get("Deployment", "demo-api")
    live["spec"]["template"]["spec"]["containers"].append({"name": "mesh", "image": "mesh:1"})
    live["spec"]["template"]["metadata"]["annotations"] = {"mesh.example/injected": "true"}
    await kube.replace(live)
    # The repair of this later edit shows that the operator has seen the others.
    await kube.merge("Deployment", "demo-api", {"spec": {"replicas": 9}})

    async def is_repaired():
        deployment = await kube.get("Deployment", "demo-api")
        assert deployment["spec"]["replicas"] == 2
        return deployment

    deployment = await eventually(is_repaired, within=REPAIR_SECONDS)
    assert [container["name"] for container in deployment["spec"]["template"]["spec"]["containers"]] == ["api", "mesh"]
    assert deployment["spec"]["template"]["metadata"]["annotations"] == {"mesh.example/injected": "true"}
    for ref in FULL_CHILDREN:
        metadata = (await kube.get(*ref))["metadata"]
        assert metadata["labels"]["team"] == "red"
        assert metadata["annotations"]["mesh.example/mode"] == "on"


async def test_a_removed_label_is_restored(kube: Kube, start: Start):
    await deployed(kube, start)
    await kube.merge("Service", "demo-api", {"metadata": {"labels": {"rlrouter.dev/router": None}}})

    async def is_restored():
        live = await kube.get("Service", "demo-api")
        assert live["metadata"]["labels"]["rlrouter.dev/router"] == "demo"

    await eventually(is_restored, within=REPAIR_SECONDS)


async def test_a_removed_owner_reference_is_restored(kube: Kube, start: Start):
    before = await deployed(kube, start)
    live = before["ConfigMap", "demo-api"]
    owners = live["metadata"]["ownerReferences"]
    await kube.merge("ConfigMap", "demo-api", {"metadata": {"ownerReferences": None}})

    async def is_restored():
        assert (await kube.get("ConfigMap", "demo-api"))["metadata"].get("ownerReferences") == owners

    await eventually(is_restored, within=REPAIR_SECONDS)


async def test_an_edit_to_another_member_of_a_union_is_repaired(kube: Kube, start: Start):
    await deployed(kube, start)
    live = await kube.get("StatefulSet", "demo-model")
    for volume in live["spec"]["template"]["spec"]["volumes"]:
        if volume["name"] == "extra":
            del volume["configMap"]
            volume["emptyDir"] = {}
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["livenessProbe"] = {"exec": {"command": ["true"]}}
    await kube.replace(live)

    async def is_repaired():
        spec = (await kube.get("StatefulSet", "demo-model"))["spec"]["template"]["spec"]
        (extra,) = [volume for volume in spec["volumes"] if volume["name"] == "extra"]
        assert extra["configMap"]["name"] == "extra"
        assert "emptyDir" not in extra
        assert "exec" not in spec["containers"][0]["livenessProbe"]
        assert "httpGet" in spec["containers"][0]["livenessProbe"]

    await eventually(is_repaired, within=REPAIR_SECONDS)
    await kube.edit_spec(model={"podTemplate": {"volumes": None}})

    async def is_removed():
        spec = (await kube.get("StatefulSet", "demo-model"))["spec"]["template"]["spec"]
        assert "extra" not in [volume["name"] for volume in spec["volumes"]]

    await eventually(is_removed, within=REPAIR_SECONDS)


async def test_an_edit_from_max_unavailable_to_min_available_is_repaired(kube: Kube, start: Start):
    await deployed(kube, start)
    live = await kube.get("PodDisruptionBudget", "demo-api")
    del live["spec"]["maxUnavailable"]
    live["spec"]["minAvailable"] = 1
    await kube.replace(live)

    async def is_restored():
        spec = (await kube.get("PodDisruptionBudget", "demo-api"))["spec"]
        assert spec["maxUnavailable"] == 1
        assert "minAvailable" not in spec

    await eventually(is_restored, within=REPAIR_SECONDS)


async def test_a_repair_without_effect_is_reported_and_not_logged(
    kube: Kube, start: Start, proxy: Proxy, caplog: pytest.LogCaptureFixture
):
    """For example, an admission webhook restores the edit."""
    caplog.set_level("INFO")
    await deployed(kube, start)

    async def ignore_repair(request: Recorded):
        if request.query.get("fieldManager") == MANAGER:
            return web.json_response(await kube.existing("PodDisruptionBudget", "demo-api"))
        return None

    proxy.faults.append(ignore_repair)
    live = await kube.get("PodDisruptionBudget", "demo-api")
    del live["spec"]["maxUnavailable"]
    live["spec"]["minAvailable"] = 1
    await kube.replace(live)

    async def is_reported():
        degraded = await kube.condition("Degraded")
        assert degraded["reason"] == "Refused"
        assert "PodDisruptionBudget demo-api" in degraded["message"]

    await eventually(is_reported)
    assert "patched" not in caplog.text


async def test_children_that_the_spec_no_longer_requires_are_deleted(kube: Kube, start: Start):
    await deployed(kube, start)
    await kube.edit_spec(api={"ingress": None, "replicas": 1})

    async def is_deleted():
        assert await kube.get("Ingress", "demo-api") is None
        assert await kube.get("PodDisruptionBudget", "demo-api") is None

    await eventually(is_deleted, within=REPAIR_SECONDS)
