"""What a RouterDeployment goes through: pause, suspension, autoscaling, new storage, its end."""

from __future__ import annotations

import asyncio

import pytest
from harness import Kube, Start, condition, eventually, router
from programs import need
from test_drift import FULL, settled

AUTOSCALED = {"api": {"autoscaling": {"minReplicas": 2, "maxReplicas": 9}, "resources": {"requests": {"cpu": "1"}}}}


async def _spec(kube: Kube, spec):
    await kube.merge("RouterDeployment", "demo", {"spec": spec})


async def _replicas(kube: Kube) -> int:
    return (await kube.get("Deployment", "demo-api"))["spec"]["replicas"]


async def test_a_paused_one_is_left_as_it_is(kube: Kube, start: Start):
    await settled(kube, start, {})
    await kube.merge("RouterDeployment", "demo", {"metadata": {"annotations": {"rlrouter.dev/paused": "true"}}})

    async def said():
        assert "paused" in condition(await kube.get("RouterDeployment", "demo"), "Ready")["message"]

    await eventually(said)
    await kube.merge("Deployment", "demo-api", {"spec": {"replicas": 7}})
    await kube.delete("ConfigMap", "demo-api")
    await asyncio.sleep(1.0)
    assert await _replicas(kube) == 7
    assert await kube.get("ConfigMap", "demo-api") is None
    await kube.merge("RouterDeployment", "demo", {"metadata": {"annotations": {"rlrouter.dev/paused": None}}})

    async def resumed():
        assert await _replicas(kube) == 1
        assert await kube.get("ConfigMap", "demo-api")

    await eventually(resumed, within=5)


async def test_an_autoscaler_starts_at_the_count_that_is_there(kube: Kube, start: Start):
    await settled(kube, start, {"api": {"replicas": 5}})
    counts = []

    async def handed_over():
        counts.append(await _replicas(kube))
        assert await kube.get("HorizontalPodAutoscaler", "demo-api")
        owners = (await kube.get("Deployment", "demo-api"))["metadata"]["managedFields"]
        ours = [each for each in owners if each["manager"] == "rl-router-operator" and each["operation"] == "Apply"]
        assert all("f:replicas" not in each["fieldsV1"]["f:spec"] for each in ours)

    await _spec(kube, AUTOSCALED)
    await eventually(handed_over)
    assert set(counts) == {5}


async def test_an_autoscalers_count_is_kept_and_taken_back_when_it_goes(kube: Kube, start: Start):
    await settled(kube, start, AUTOSCALED)
    await kube.merge("Deployment", "demo-api", {"spec": {"replicas": 6}}, subresource="scale")
    await kube.merge("Deployment", "demo-api", {"spec": {"paused": True}})
    await kube.delete("Service", "demo-api")
    await eventually(lambda: _there(kube, "Service", "demo-api"))
    assert await _replicas(kube) == 6
    await _spec(kube, {"api": {"autoscaling": None, "replicas": 3}})

    async def ours_again():
        assert await _replicas(kube) == 3
        assert await kube.get("HorizontalPodAutoscaler", "demo-api") is None

    await eventually(ours_again, within=5)


async def test_a_suspended_one_has_no_pods_and_wakes_at_the_autoscalers_least(kube: Kube, start: Start):
    await settled(kube, start, AUTOSCALED)
    await _spec(kube, {"suspend": True})

    async def asleep():
        assert await _replicas(kube) == 0
        assert (await kube.get("StatefulSet", "demo-model"))["spec"]["replicas"] == 0
        assert await kube.get("HorizontalPodAutoscaler", "demo-api") is None

    await eventually(asleep, within=5)
    await _spec(kube, {"suspend": False})

    async def awake():
        assert await _replicas(kube) == 2
        assert await kube.get("HorizontalPodAutoscaler", "demo-api")

    await eventually(awake, within=5)


async def test_an_edited_template_is_repaired_without_being_held_back(kube: Kube, start: Start):
    await settled(kube, start, {})
    live = await kube.get("StatefulSet", "demo-model")
    image = live["spec"]["template"]["spec"]["containers"][0]["image"]
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "edited"
    await kube.replace(live)

    async def repaired():
        spec = (await kube.get("StatefulSet", "demo-model"))["spec"]
        assert spec["template"]["spec"]["containers"][0]["image"] == image
        assert spec["updateStrategy"]["rollingUpdate"]["partition"] == 0

    await eventually(repaired, within=5)


@pytest.fixture
def collector(api_server):
    need("kube-controller-manager")
    api_server.start_garbage_collector()
    yield
    api_server.stop_garbage_collector()


async def test_claims_grow_and_are_owned_where_storage_is_not_retained(kube: Kube, start: Start):
    await settled(kube, start)
    labels = {"rlrouter.dev/router": "demo", "app.kubernetes.io/component": "model"}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": spec}
    await kube.create({**claim, "metadata": {"name": "weights-demo-model-0", "labels": labels}})
    await kube.create({**claim, "metadata": {"name": "a-copy-of-somebodys", "labels": labels}})
    await _spec(kube, {"model": {"storage": {"size": "1Gi", "retain": False}}})

    async def owned():
        live = await kube.get("PersistentVolumeClaim", "weights-demo-model-0")
        (owner,) = live["metadata"]["ownerReferences"]
        assert owner["name"] == "demo"
        assert not owner["controller"]

    await eventually(owned, within=5)
    assert "ownerReferences" not in (await kube.get("PersistentVolumeClaim", "a-copy-of-somebodys"))["metadata"]
    await _spec(kube, {"model": {"storage": {"size": "1Gi", "retain": True}}})

    async def free():
        assert "ownerReferences" not in (await kube.get("PersistentVolumeClaim", "weights-demo-model-0"))["metadata"]

    await eventually(free, within=5)


async def test_deletion_needs_no_operator(kube: Kube, start: Start, collector):
    running = await start()
    await kube.create(router(**FULL))
    await eventually(lambda: _there(kube, "Ingress", "demo-api"))
    await running.stop()
    await kube.delete("RouterDeployment", "demo")

    async def gone():
        for kind in ("Ingress", "StatefulSet", "Deployment", "Service", "ConfigMap", "NetworkPolicy", "ServiceAccount"):
            assert not await kube.list(kind, "rlrouter.dev/router")

    await eventually(gone, within=40)


WATCHED_SECONDS = 3.0


async def _stays_away(kube: Kube):
    await asyncio.sleep(WATCHED_SECONDS)
    assert await kube.get("ConfigMap", "demo-api") is None


async def test_nothing_is_made_again_for_one_that_is_being_deleted(kube: Kube, start: Start):
    await settled(kube, start, {})
    await kube.merge("RouterDeployment", "demo", {"metadata": {"finalizers": ["example.com/hold"]}})
    await kube.delete("RouterDeployment", "demo")
    await kube.delete("ConfigMap", "demo-api")
    # A child of another router shows that the operator has seen both deletions.
    await kube.create(router("later"))
    await eventually(lambda: _there(kube, "ConfigMap", "later-api"))
    await _stays_away(kube)
    await kube.merge("RouterDeployment", "demo", {"metadata": {"finalizers": None}})


async def test_nothing_is_made_again_in_a_namespace_that_is_being_deleted(kube: Kube, start: Start):
    running = await start()
    await kube.create(router())
    await eventually(lambda: _is_well(kube))
    # No controller empties it here, so it stays as it is in its first moment.
    (await kube.client.delete(f"/api/v1/namespaces/{kube.namespace}")).raise_for_status()
    await kube.delete("ConfigMap", "demo-api")
    await kube.merge("RouterDeployment", "demo", {"metadata": {"annotations": {"note": "look"}}})
    await _stays_away(kube)
    assert "ConfigMap" not in condition(await kube.get("RouterDeployment", "demo"), "Degraded")["message"]
    assert (await running.ask("/readyz")).status_code == 200


async def _is_well(kube: Kube):
    assert await kube.get("ConfigMap", "demo-api")
    assert condition(await kube.get("RouterDeployment", "demo"), "Degraded")["status"] == "False"


async def _there(kube: Kube, kind: str, name: str):
    found = await kube.get(kind, name)
    assert found
    return found
