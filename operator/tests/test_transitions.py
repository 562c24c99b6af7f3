"""Transitions under Kubernetes' own controllers: what a changed spec or a newer operator does to running pods."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from rl_router_operator.controller.pod_health import ProbeIntervals
from rl_router_operator.resources.defaults import Defaults, Images

from fakes.cluster.control_plane import ApiServer
from fakes.cluster.installation import installed
from fakes.cluster.kube_client import Kube
from fakes.cluster.kubelet import MISSING, run_pods
from fakes.cluster.programs import API_SERVER, require
from fakes.cluster.proxy import Proxy, error, fault_for
from fakes.cluster.routers import router
from fakes.cluster.running_operator import RunningOperator, Start
from fakes.cluster.waiting import eventually

CONTROLLERS = ("statefulset", "deployment", "replicaset", "garbage-collector", "namespace")
NEWER = Defaults(images=Images(api="rl-router/api:newer", llamacpp="rl-router/model:newer"))
HUB = "hf://org/name"
CHANGED_MODEL = [{"op": "add", "path": "/spec/model", "value": {"env": [{"name": "SEED", "value": "1"}]}}]
PROBE_OFTEN = ProbeIntervals(settled=0.2, unsettled=0.2)
WATCHED_SECONDS = 2.0
_BODY = dict[str, Any]


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with controllers. It is not shared, since they would create pods for other tests' objects."""
    require(*API_SERVER, "kube-controller-manager")
    with installed(tmp_path_factory.mktemp("with-controllers")) as server:
        server.start_controllers(*CONTROLLERS)
        yield server


@pytest_asyncio.fixture(autouse=True)
async def nodes(kube: Kube) -> AsyncIterator[None]:
    """Makes pods run."""
    running = asyncio.create_task(run_pods(kube))
    yield
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


# Changes that a StatefulSet forbids


async def test_a_change_that_a_statefulset_forbids_keeps_its_pods(kube: Kube, start: Start):
    await start()
    await kube.create(router(model={"source": HUB, "storage": {"size": "1Gi"}}))
    pods, before = await eventually(lambda: _running(kube, "model")), await _stateful_set(kube)
    await kube.edit_spec(model={"storage": {"size": "2Gi"}})

    async def is_replaced():
        live = await _stateful_set(kube)
        assert live["metadata"]["uid"] != before["metadata"]["uid"]
        assert _storage(live["spec"]["volumeClaimTemplates"][0]) == "2Gi"
        (pod,) = await _pods(kube, "model")
        assert pod["metadata"]["ownerReferences"][0]["uid"] == live["metadata"]["uid"]

    await eventually(is_replaced)
    await _stays(kube, "model", pods)


async def test_a_statefulset_that_cannot_be_recreated_is_not_deleted(kube: Kube, start: Start, proxy: Proxy):
    await start()
    await kube.create(router(model={"source": HUB, "storage": {"size": "1Gi"}}))
    before = await eventually(lambda: _stateful_set(kube))
    forbidden = partial(error, 403, "Forbidden", "not today")
    proxy.faults.append(fault_for(method="POST", plural="statefulsets", response=forbidden, times=100))
    await kube.edit_spec(model={"storage": {"size": "2Gi"}})
    # The reason of the condition is that of the pending PVC, whose size cannot change yet.
    await eventually(lambda: _has(kube, "Degraded", "True", None, "not today"))
    assert (await _stateful_set(kube))["metadata"]["uid"] == before["metadata"]["uid"]


async def test_the_pvc_grows_with_the_storage_size(kube: Kube, start: Start):
    await _make_storage_class(kube, "growing", is_growing=True)
    await start()
    await kube.create(router(model={"source": HUB, "storage": {"size": "1Gi", "className": "growing"}}))
    await eventually(lambda: _running(kube, "model"))
    await _bind_pvc(kube)
    await kube.edit_spec(model={"storage": {"size": "2Gi"}})
    await eventually(lambda: _requests_size(kube, "2Gi"))


async def test_a_size_that_the_storage_class_does_not_allow_can_be_taken_back(kube: Kube, start: Start):
    await _make_storage_class(kube, "fixed", is_growing=False)
    await start()
    await kube.create(router(model={"source": HUB, "storage": {"size": "1Gi", "className": "fixed"}}))
    before = await eventually(lambda: _running(kube, "model"))
    await _bind_pvc(kube)
    await kube.edit_spec(model={"storage": {"size": "2Gi"}})
    await eventually(lambda: _has(kube, "Degraded", "True", "Refused", "must support resize"))
    await kube.edit_spec(model={"storage": {"size": "1Gi"}})
    await eventually(lambda: _has(kube, "Degraded", "False"))
    assert await _uids(kube, "model") == before


async def test_a_size_that_the_volume_has_not_reached_can_be_lowered(kube: Kube, start: Start):
    await _make_storage_class(kube, "slow", is_growing=True)
    await start()
    await kube.create(router(model={"source": HUB, "storage": {"size": "1Gi", "className": "slow"}}))
    await eventually(lambda: _running(kube, "model"))
    await _bind_pvc(kube)
    for size in ("9Gi", "3Gi"):
        await kube.edit_spec(model={"storage": {"size": size}})
        await eventually(partial(_requests_size, kube, size))
    await eventually(lambda: _has(kube, "Degraded", "False"))


async def _requests_size(kube: Kube, size: str) -> None:
    assert _storage(await kube.get("PersistentVolumeClaim", "weights-demo-model-0")) == size


# Rollouts that do not become ready


async def test_a_corrected_image_replaces_a_model_pod_that_never_started(kube: Kube, start: Start):
    await start()
    await kube.create(router(model={"image": MISSING}))
    await eventually(lambda: _has(kube, "Degraded", "True", "RolloutStuck", "not found"))
    await kube.edit_spec(model={"image": "registry.example/present"})
    await eventually(lambda: _running(kube, "model", image="registry.example/present"))
    await eventually(lambda: _has(kube, "Degraded", "False"))


async def test_the_earlier_api_pod_keeps_running_while_a_new_one_does_not_start(kube: Kube, start: Start):
    await start()
    await kube.create(router())
    pods = await eventually(lambda: _running(kube, "api"))
    await kube.edit_spec(api={"image": MISSING})
    await eventually(lambda: _has(kube, "Degraded", "True", "RolloutStuck", "1 of 1 pods are ready"))
    assert pods.items() <= (await _uids(kube, "api")).items()
    await kube.edit_spec(api={"image": None})
    await eventually(lambda: _has(kube, "Degraded", "False"))
    assert await _uids(kube, "api") == pods


async def test_pods_that_a_quota_rejects_are_reported_and_created_when_the_quota_is_raised(kube: Kube, start: Start):
    await _limit_pods(kube, 0)
    await start()
    await kube.create(router())
    for type_ in ("ModelReady", "APIReady"):
        await eventually(partial(_has, kube, type_, "False", "PodRefused", "exceeded quota: small, requested: pods=1"))
    await eventually(lambda: _has(kube, "Degraded", "True", "RolloutStuck", "exceeded quota: small"))
    await _limit_pods(kube, 9)
    await eventually(lambda: _running(kube, "model"), within=30)
    await eventually(lambda: _running(kube, "api"), within=30)
    await eventually(lambda: _has(kube, "Degraded", "False"))


# A newer operator, and a restarted one


async def test_a_newer_operator_updates_the_api_and_restarts_no_model_pod(kube: Kube, start: Start):
    pods, _ = await _upgraded(kube, start)
    await eventually(lambda: _running(kube, "api", image="rl-router/api:newer"))
    await _stays(kube, "model", pods)
    assert _image(await _stateful_set(kube)) == "rl-router/model:newer"


async def test_a_deleted_model_pod_is_recreated_with_the_earlier_operators_image(kube: Kube, start: Start):
    pods, _ = await _upgraded(kube, start)
    (name,) = pods
    await kube.delete("Pod", name)

    async def is_recreated():
        assert (await _running(kube, "model", image=Images().llamacpp))[name] != pods[name]

    await eventually(is_recreated)


async def test_a_changed_model_releases_the_newer_template(kube: Kube, start: Start):
    pods, _ = await _upgraded(kube, start)
    await kube.patch("RouterDeployment", "demo", CHANGED_MODEL)
    assert await eventually(lambda: _running(kube, "model", image="rl-router/model:newer")) != pods


async def test_a_restart_of_the_newer_operator_releases_nothing(kube: Kube, start: Start):
    pods, newer = await _upgraded(kube, start)
    before = (await _stateful_set(kube))["metadata"]["generation"]
    await newer.stop()
    await start(defaults=NEWER)
    await _stays(kube, "model", pods)
    assert (await _stateful_set(kube))["metadata"]["generation"] == before


async def test_suspending_a_router_releases_the_newer_template(kube: Kube, start: Start):
    await _upgraded(kube, start)
    await kube.edit_spec(suspend=True)
    await eventually(lambda: _no_pods(kube))
    await kube.edit_spec(suspend=False)
    await eventually(lambda: _running(kube, "model", image="rl-router/model:newer"))


async def test_a_restart_of_the_operator_changes_no_child_and_no_pod(kube: Kube, start: Start):
    first = await start(probe_intervals=PROBE_OFTEN)
    await kube.create(router())
    await eventually(lambda: _has(kube, "ModelReady", "True"))
    generations, model, api = await _generations(kube), await _uids(kube, "model"), await _uids(kube, "api")
    await first.stop()
    await start()
    await _stays(kube, "model", model)
    assert await _uids(kube, "api") == api
    assert await _generations(kube) == generations


# Pause and suspension


async def test_the_status_of_a_paused_router_stays_up_to_date(kube: Kube, start: Start):
    await start(probe_intervals=PROBE_OFTEN)
    await kube.create(router())
    await eventually(lambda: _has(kube, "ModelReady", "True"))
    await kube.annotate("paused", "true")
    await kube.delete("StatefulSet", "demo-model")
    await eventually(lambda: _has(kube, "ModelReady", "False"))


async def test_a_suspended_router_keeps_its_storage_and_resumes(kube: Kube, start: Start):
    await start()
    await kube.create(router(api={"replicas": 2}, model={"source": HUB, "storage": {"size": "1Gi"}}))
    await eventually(lambda: _running(kube, "model"))
    pvc = await kube.get("PersistentVolumeClaim", "weights-demo-model-0")
    await kube.edit_spec(suspend=True)
    await eventually(lambda: _no_pods(kube))
    await eventually(lambda: _has(kube, "Ready", "False", "Suspended"))
    await kube.edit_spec(suspend=False)
    await eventually(lambda: _running(kube, "api", count=2))
    await eventually(lambda: _running(kube, "model"))
    assert (await kube.get("PersistentVolumeClaim", "weights-demo-model-0"))["metadata"]["uid"] == _uid(pvc)


# Controllers that use the scale subresource


async def test_the_scale_subresource_of_a_routerdeployment_scales_the_api(kube: Kube, start: Start):
    await start()
    await kube.create(router())
    await eventually(lambda: _running(kube, "api"))
    await kube.merge("RouterDeployment", "demo", {"spec": {"replicas": 3}}, "scale")
    await eventually(lambda: _running(kube, "api", count=3))

    async def is_reported():
        response = await kube.client.get(kube.path("RouterDeployment", "demo", "scale"))
        scale = response.json()
        assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (3, 3)
        selected = await kube.list("Pod", scale["status"]["selector"])
        assert {_uid(pod) for pod in selected} == set((await _uids(kube, "api")).values())

    await eventually(is_reported)


# Adoption


async def test_orphaned_children_are_adopted_by_annotation_and_keep_their_pods(kube: Kube, start: Start):
    await start()
    await kube.create(router())
    pods = await eventually(lambda: _running(kube, "model"))
    before = await eventually(lambda: _children(kube))
    await kube.delete("RouterDeployment", "demo", policy="Orphan")

    async def are_orphaned():
        assert await kube.get("RouterDeployment", "demo") is None
        assert not any(child["metadata"].get("ownerReferences") for child in (await _children(kube)).values())

    await eventually(are_orphaned)
    body = await kube.create(router())
    await eventually(lambda: _has(kube, "Degraded", "True", "ForeignObject", "rlrouter.dev/adopt"))
    for kind, name in before:
        await kube.annotate("adopt", "true", kind, name)

    async def are_adopted():
        current = await _children(kube)
        assert {ref: _uid(child) for ref, child in current.items()} == {
            ref: _uid(child) for ref, child in before.items()
        }
        for child in current.values():
            assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [_uid(body)]

    await eventually(are_adopted)
    await eventually(lambda: _has(kube, "Degraded", "False"))
    await _stays(kube, "model", pods)


# Helpers


async def _upgraded(kube: Kube, start: Start) -> tuple[dict[str, str], RunningOperator]:
    """Replaces the operator of a router by a newer one. Returns the model's pods and the newer operator."""
    older = await start()
    await kube.create(router())
    pods: dict[str, str] = await eventually(lambda: _running(kube, "model"))
    await older.stop()
    newer = await start(defaults=NEWER)

    async def is_applied():
        assert _image(await _stateful_set(kube)) == "rl-router/model:newer"

    await eventually(is_applied)
    return pods, newer


async def _pods(kube: Kube, component: str) -> list[_BODY]:
    return await kube.list("Pod", f"app.kubernetes.io/component={component}")


async def _uids(kube: Kube, component: str) -> dict[str, str]:
    return {pod["metadata"]["name"]: _uid(pod) for pod in await _pods(kube, component)}


async def _running(kube: Kube, component: str, *, count: int = 1, image: str | None = None) -> dict[str, str]:
    """Returns the uids of a tier's pods by name. Fails unless `count` pods are ready and have the image."""
    pods = await _pods(kube, component)
    assert len(pods) == count
    for pod in pods:
        assert {"type": "Ready", "status": "True"}.items() <= pod["status"]["conditions"][-1].items()
        assert image in (None, pod["spec"]["containers"][0]["image"])
    return {pod["metadata"]["name"]: _uid(pod) for pod in pods}


async def _stays(kube: Kube, component: str, pods: dict[str, str]) -> None:
    """Fails if pods are replaced within WATCHED_SECONDS."""
    deadline = asyncio.get_running_loop().time() + WATCHED_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        assert await _uids(kube, component) == pods
        await asyncio.sleep(0.2)


async def _no_pods(kube: Kube) -> None:
    assert await kube.list("Pod") == []


async def _stateful_set(kube: Kube) -> _BODY:
    return await kube.existing("StatefulSet", "demo-model")


async def _has(kube: Kube, type_: str, status: str, reason: str | None = None, message: str = "") -> None:
    condition = await kube.condition(type_)
    assert condition["status"] == status, condition
    assert reason in (None, condition["reason"]), condition
    assert message in condition["message"], condition


async def _children(kube: Kube) -> dict[tuple[str, str], _BODY]:
    """Returns the children of a router with an empty spec. Fails if one is missing."""
    refs = (
        *(("Service", name) for name in ("demo-model", "demo-model-pods", "demo-api")),
        *(("ConfigMap", "demo-api"), ("StatefulSet", "demo-model"), ("Deployment", "demo-api")),
        ("NetworkPolicy", "demo-model"),
    )
    return {ref: await kube.existing(*ref) for ref in refs}


async def _generations(kube: Kube) -> dict[tuple[str, str], int]:
    return {ref: child["metadata"].get("generation", 0) for ref, child in (await _children(kube)).items()}


async def _limit_pods(kube: Kube, count: int) -> None:
    """Writes a quota with the status that Kubernetes' controller would set."""
    path, hard = f"/api/v1/namespaces/{kube.namespace}/resourcequotas/small", {"pods": str(count)}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
    for part, url in (("spec", path), ("status", f"{path}/status")):
        content = json.dumps({**body, part: {"hard": hard, **({"used": {"pods": "0"}} if part == "status" else {})}})
        headers = {"Content-Type": "application/apply-patch+yaml"}
        query = {"fieldManager": "tests", "force": "true"}
        (await kube.client.patch(url, params=query, content=content, headers=headers)).raise_for_status()


async def _make_storage_class(kube: Kube, name: str, *, is_growing: bool) -> None:
    body = {"metadata": {"name": name}, "provisioner": "tests.example/none", "allowVolumeExpansion": is_growing}
    (await kube.client.post("/apis/storage.k8s.io/v1/storageclasses", json=body)).raise_for_status()


async def _bind_pvc(kube: Kube) -> None:
    """Binds the PVC as a provisioner does."""
    name = "weights-demo-model-0"
    await kube.merge("PersistentVolumeClaim", name, {"spec": {"volumeName": "a-volume"}})
    capacity = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    await kube.merge("PersistentVolumeClaim", name, {"status": capacity}, "status")


def _storage(pvc: _BODY | None) -> str:
    assert pvc
    return str(pvc["spec"]["resources"]["requests"]["storage"])


def _image(workload: _BODY) -> str:
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"])


def _uid(body: _BODY | None) -> str:
    assert body
    return str(body["metadata"]["uid"])
