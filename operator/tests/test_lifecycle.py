"""The life of a RouterDeployment: pause, suspension, autoscaling, storage and deletion."""

from __future__ import annotations

import asyncio

import pytest

from fakes.cluster.kube_client import Kube
from fakes.cluster.programs import require
from fakes.cluster.routers import FULL_SPEC, deployed, router
from fakes.cluster.running_operator import Start
from fakes.cluster.waiting import eventually

AUTOSCALED = {"api": {"autoscaling": {"minReplicas": 2, "maxReplicas": 9}, "resources": {"requests": {"cpu": "1"}}}}


async def _replicas(kube: Kube) -> int:
    return (await kube.existing("Deployment", "demo-api"))["spec"]["replicas"]


async def test_the_operator_does_not_change_the_children_of_a_paused_router(kube: Kube, start: Start):
    await deployed(kube, start, {})
    await kube.annotate("paused", "true")

    async def is_paused():
        assert "paused" in (await kube.condition("Ready"))["message"]

    await eventually(is_paused)
    await kube.merge("Deployment", "demo-api", {"spec": {"replicas": 7}})
    await kube.delete("ConfigMap", "demo-api")
    await asyncio.sleep(1.0)
    assert await _replicas(kube) == 7
    assert await kube.get("ConfigMap", "demo-api") is None
    await kube.annotate("paused", None)

    async def is_repaired():
        assert await _replicas(kube) == 1
        await kube.existing("ConfigMap", "demo-api")

    await eventually(is_repaired, within=5)


async def test_a_new_autoscaler_starts_with_the_current_replicas(kube: Kube, start: Start):
    await deployed(kube, start, {"api": {"replicas": 5}})
    counts = []

    async def is_handed_over():
        counts.append(await _replicas(kube))
        await kube.existing("HorizontalPodAutoscaler", "demo-api")
        entries = (await kube.existing("Deployment", "demo-api"))["metadata"]["managedFields"]
        applied = [
            entry for entry in entries if entry["manager"] == "rl-router-operator" and entry["operation"] == "Apply"
        ]
        assert all("f:replicas" not in entry["fieldsV1"]["f:spec"] for entry in applied)

    await kube.edit_spec(**AUTOSCALED)
    await eventually(is_handed_over)
    assert set(counts) == {5}


async def test_the_operator_keeps_an_autoscalers_replicas_until_autoscaling_is_removed(kube: Kube, start: Start):
    await deployed(kube, start, AUTOSCALED)
    await kube.merge("Deployment", "demo-api", {"spec": {"replicas": 6}}, subresource="scale")
    await kube.merge("Deployment", "demo-api", {"spec": {"paused": True}})
    await kube.delete("Service", "demo-api")
    await eventually(lambda: kube.existing("Service", "demo-api"))
    assert await _replicas(kube) == 6
    await kube.edit_spec(api={"autoscaling": None, "replicas": 3})

    async def is_taken_back():
        assert await _replicas(kube) == 3
        assert await kube.get("HorizontalPodAutoscaler", "demo-api") is None

    await eventually(is_taken_back, within=5)


async def test_a_suspended_router_has_no_replicas_and_resumes_with_the_autoscalers_minimum(kube: Kube, start: Start):
    await deployed(kube, start, AUTOSCALED)
    await kube.edit_spec(suspend=True)

    async def is_suspended():
        assert await _replicas(kube) == 0
        assert (await kube.existing("StatefulSet", "demo-model"))["spec"]["replicas"] == 0
        assert await kube.get("HorizontalPodAutoscaler", "demo-api") is None

    await eventually(is_suspended, within=5)
    await kube.edit_spec(suspend=False)

    async def is_resumed():
        assert await _replicas(kube) == 2
        await kube.existing("HorizontalPodAutoscaler", "demo-api")

    await eventually(is_resumed, within=5)


async def test_the_repair_of_an_edited_pod_template_is_not_held_back(kube: Kube, start: Start):
    await deployed(kube, start, {})
    live = await kube.existing("StatefulSet", "demo-model")
    image = live["spec"]["template"]["spec"]["containers"][0]["image"]
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "edited"
    await kube.replace(live)

    async def is_repaired():
        spec = (await kube.existing("StatefulSet", "demo-model"))["spec"]
        assert spec["template"]["spec"]["containers"][0]["image"] == image
        assert spec["updateStrategy"]["rollingUpdate"]["partition"] == 0

    await eventually(is_repaired, within=5)


@pytest.fixture
def collector(api_server):
    """Runs Kubernetes' garbage collector."""
    require("kube-controller-manager")
    api_server.start_garbage_collector()
    yield
    api_server.stop_garbage_collector()


async def test_pvcs_are_owned_by_the_router_only_if_storage_is_not_retained(kube: Kube, start: Start):
    await deployed(kube, start)
    labels = {"rlrouter.dev/router": "demo", "app.kubernetes.io/component": "model"}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    pvc = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": spec}
    await kube.create({**pvc, "metadata": {"name": "weights-demo-model-0", "labels": labels}})
    await kube.create({**pvc, "metadata": {"name": "somebodys-copy", "labels": labels}})
    await kube.edit_spec(model={"storage": {"size": "1Gi", "retain": False}})

    async def is_owned():
        live = await kube.existing("PersistentVolumeClaim", "weights-demo-model-0")
        (owner,) = live["metadata"]["ownerReferences"]
        assert owner["name"] == "demo"
        assert not owner["controller"]

    await eventually(is_owned, within=5)
    assert "ownerReferences" not in (await kube.existing("PersistentVolumeClaim", "somebodys-copy"))["metadata"]
    await kube.edit_spec(model={"storage": None}, api={"replicas": 2})

    async def is_applied():
        assert (await kube.existing("Deployment", "demo-api"))["spec"]["replicas"] == 2

    # The operator changes the PVC in the same reconciliation as the Deployment, after the Deployment.
    await eventually(is_applied, within=5)
    await kube.edit_spec(api={"replicas": 3})
    await eventually(is_owned, within=5)
    await kube.edit_spec(model={"storage": {"size": "1Gi", "retain": True}})

    async def is_not_owned():
        live = await kube.existing("PersistentVolumeClaim", "weights-demo-model-0")
        assert "ownerReferences" not in live["metadata"]

    await eventually(is_not_owned, within=5)


async def test_the_children_of_a_deleted_router_are_deleted_without_an_operator(kube: Kube, start: Start, collector):
    running = await start()
    await kube.create(router(**FULL_SPEC))
    await eventually(lambda: kube.existing("Ingress", "demo-api"))
    await running.stop()
    await kube.delete("RouterDeployment", "demo")

    async def are_deleted():
        for kind in ("Ingress", "StatefulSet", "Deployment", "Service", "ConfigMap", "NetworkPolicy", "ServiceAccount"):
            assert not await kube.list(kind, "rlrouter.dev/router")

    await eventually(are_deleted, within=40)


WATCHED_SECONDS = 3.0


async def _is_not_recreated(kube: Kube):
    await asyncio.sleep(WATCHED_SECONDS)
    assert await kube.get("ConfigMap", "demo-api") is None


async def test_the_operator_recreates_no_child_of_a_terminating_router(kube: Kube, start: Start):
    await deployed(kube, start, {})
    await kube.merge("RouterDeployment", "demo", {"metadata": {"finalizers": ["example.com/hold"]}})
    await kube.delete("RouterDeployment", "demo")
    await kube.delete("ConfigMap", "demo-api")
    # A child of a later router shows that the operator has seen both deletions.
    await kube.create(router("later"))
    await eventually(lambda: kube.existing("ConfigMap", "later-api"))
    await _is_not_recreated(kube)
    await kube.merge("RouterDeployment", "demo", {"metadata": {"finalizers": None}})


async def test_the_operator_recreates_no_child_in_a_terminating_namespace(kube: Kube, start: Start):
    running = await start()
    await kube.create(router())
    await eventually(lambda: _is_healthy(kube))
    # Without a namespace controller the namespace keeps its objects and stays in this phase.
    (await kube.client.delete(f"/api/v1/namespaces/{kube.namespace}")).raise_for_status()
    await kube.delete("ConfigMap", "demo-api")
    await kube.merge("RouterDeployment", "demo", {"metadata": {"annotations": {"note": "look"}}})
    await _is_not_recreated(kube)
    assert "ConfigMap" not in (await kube.condition("Degraded"))["message"]
    assert (await running.get("/readyz")).status_code == 200


async def _is_healthy(kube: Kube):
    await kube.existing("ConfigMap", "demo-api")
    assert (await kube.condition("Degraded"))["status"] == "False"
