"""Transitions: what a change of the spec, or of the operator, does to what runs under Kubernetes' own controllers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from control_plane import ApiServer
from faults import Proxy, once, status
from harness import Kube, Running, Start, condition, eventually, router
from kubelet import MISSING, run_pods
from prepared import prepared
from programs import API_SERVER, need
from rl_router_operator.controller.pod_health import ProbeIntervals
from rl_router_operator.resources.defaults import Defaults, Images

CONTROLLERS = ("statefulset", "deployment", "replicaset", "garbage-collector", "namespace")
NEWER = Defaults(images=Images(api="rl-router/api:newer", llamacpp="rl-router/model:newer"))
HUB = "hf://org/name"
ANOTHER = [{"op": "add", "path": "/spec/model", "value": {"env": [{"name": "SEED", "value": "1"}]}}]
OFTEN = ProbeIntervals(settled=0.2, unsettled=0.2)
WATCHED_SECONDS = 2.0
_BODY = dict[str, Any]


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One with controllers, which would make pods of what other tests have left."""
    need(*API_SERVER, "kube-controller-manager")
    with prepared(tmp_path_factory.mktemp("with-controllers")) as server:
        server.start_controllers(*CONTROLLERS)
        yield server


@pytest_asyncio.fixture(autouse=True)
async def nodes(kube: Kube) -> AsyncIterator[None]:
    """Pods run."""
    running = asyncio.create_task(run_pods(kube))
    yield
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


# What cannot be changed


async def test_a_change_that_a_statefulset_forbids_keeps_its_pods(kube: Kube, start: Start):
    await start()
    await kube.create(router(model={"source": HUB, "storage": {"size": "1Gi"}}))
    pods, before = await eventually(lambda: _running(kube, "model")), await _stateful_set(kube)
    await kube.merge("RouterDeployment", "demo", {"spec": {"model": {"storage": {"size": "2Gi"}}}})

    async def replaced():
        live = await _stateful_set(kube)
        assert live["metadata"]["uid"] != before["metadata"]["uid"]
        assert _claim_size(live["spec"]["volumeClaimTemplates"][0]) == "2Gi"
        (pod,) = await _pods(kube, "model")
        assert pod["metadata"]["ownerReferences"][0]["uid"] == live["metadata"]["uid"]

    await eventually(replaced)
    await _stays(kube, "model", pods)


async def test_a_statefulset_that_could_not_be_made_again_is_not_deleted(kube: Kube, start: Start, proxy: Proxy):
    await start()
    await kube.create(router(model={"source": HUB, "storage": {"size": "1Gi"}}))
    before = await eventually(lambda: _stateful_set(kube))
    refusal = partial(status, 403, "Forbidden", "not today")
    proxy.faults.append(once(method="POST", plural="statefulsets", answer=refusal, times=100))
    await kube.merge("RouterDeployment", "demo", {"spec": {"model": {"storage": {"size": "2Gi"}}}})
    await eventually(lambda: _says(kube, "Degraded", "True", "Refused", "not today"))
    assert (await _stateful_set(kube))["metadata"]["uid"] == before["metadata"]["uid"]


async def test_storage_grows(kube: Kube, start: Start):
    await _make_storage_class(kube)
    await start()
    await kube.create(router(model={"source": HUB, "storage": {"size": "1Gi", "className": "growing"}}))
    await eventually(lambda: _running(kube, "model"))
    await _bind_claim(kube)
    await kube.merge("RouterDeployment", "demo", {"spec": {"model": {"storage": {"size": "2Gi"}}}})

    async def grown():
        assert _claim_size(await kube.get("PersistentVolumeClaim", "weights-demo-model-0")) == "2Gi"

    await eventually(grown)


# A roll-out that does not become ready


async def test_a_corrected_template_replaces_a_model_pod_that_never_ran(kube: Kube, start: Start):
    await start()
    await kube.create(router(model={"image": MISSING}))
    await eventually(lambda: _says(kube, "Degraded", "True", "RolloutStuck", "not found"))
    await kube.merge("RouterDeployment", "demo", {"spec": {"model": {"image": "registry.example/there"}}})
    await eventually(lambda: _running(kube, "model", image="registry.example/there"))
    await eventually(lambda: _says(kube, "Degraded", "False"))


async def test_the_last_working_api_serves_on_while_a_newer_one_does_not_start(kube: Kube, start: Start):
    await start()
    await kube.create(router())
    pods = await eventually(lambda: _running(kube, "api"))
    await kube.merge("RouterDeployment", "demo", {"spec": {"api": {"image": MISSING}}})
    await eventually(lambda: _says(kube, "Degraded", "True", "RolloutStuck", "1 of 1 pods are ready"))
    assert pods.items() <= (await _uids(kube, "api")).items()
    await kube.merge("RouterDeployment", "demo", {"spec": {"api": {"image": None}}})
    await eventually(lambda: _says(kube, "Degraded", "False"))
    assert await _uids(kube, "api") == pods


async def test_pods_that_a_quota_forbids_are_told_of_in_its_words_and_come_when_there_is_room(kube: Kube, start: Start):
    await _limit_pods(kube, 0)
    await start()
    await kube.create(router())
    for type_ in ("ModelReady", "APIReady"):
        await eventually(partial(_says, kube, type_, "False", "PodRefused", "exceeded quota: small, requested: pods=1"))
    await eventually(lambda: _says(kube, "Degraded", "True", "RolloutStuck", "exceeded quota: small"))
    await _limit_pods(kube, 9)
    await eventually(lambda: _running(kube, "model"), within=30)
    await eventually(lambda: _running(kube, "api"), within=30)
    await eventually(lambda: _says(kube, "Degraded", "False"))


# A newer operator, and the same one again


async def test_a_newer_operator_rolls_the_api_and_restarts_no_model_pod(kube: Kube, start: Start):
    pods, _ = await _upgraded(kube, start)
    await eventually(lambda: _running(kube, "api", image="rl-router/api:newer"))
    await _stays(kube, "model", pods)
    assert _image(await _stateful_set(kube)) == "rl-router/model:newer"


async def test_a_newer_operator_keeps_a_deleted_model_pod_as_it_was(kube: Kube, start: Start):
    pods, _ = await _upgraded(kube, start)
    (name,) = pods
    await kube.delete("Pod", name)

    async def made_again():
        assert (await _running(kube, "model", image=Images().llamacpp))[name] != pods[name]

    await eventually(made_again)


async def test_a_changed_model_lets_the_newer_template_go(kube: Kube, start: Start):
    pods, _ = await _upgraded(kube, start)
    await kube.patch("RouterDeployment", "demo", ANOTHER)
    assert await eventually(lambda: _running(kube, "model", image="rl-router/model:newer")) != pods


async def test_a_restart_of_the_newer_operator_lets_nothing_go(kube: Kube, start: Start):
    pods, newer = await _upgraded(kube, start)
    before = (await _stateful_set(kube))["metadata"]["generation"]
    await newer.stop()
    await start(defaults=NEWER)
    await _stays(kube, "model", pods)
    assert (await _stateful_set(kube))["metadata"]["generation"] == before


async def test_what_is_held_back_goes_with_the_pods_of_a_suspended_router(kube: Kube, start: Start):
    await _upgraded(kube, start)
    await kube.merge("RouterDeployment", "demo", {"spec": {"suspend": True}})
    await eventually(lambda: _no_pods(kube))
    await kube.merge("RouterDeployment", "demo", {"spec": {"suspend": False}})
    await eventually(lambda: _running(kube, "model", image="rl-router/model:newer"))


async def test_a_restart_of_the_operator_changes_no_generation_and_no_pod(kube: Kube, start: Start):
    first = await start(probe_intervals=OFTEN)
    await kube.create(router())
    await eventually(lambda: _says(kube, "ModelReady", "True"))
    generations, model, api = await _generations(kube), await _uids(kube, "model"), await _uids(kube, "api")
    await first.stop()
    await start()
    await _stays(kube, "model", model)
    assert await _uids(kube, "api") == api
    assert await _generations(kube) == generations


# Pause and suspension


async def test_a_paused_router_goes_on_to_tell_how_it_is(kube: Kube, start: Start):
    await start(probe_intervals=OFTEN)
    await kube.create(router())
    await eventually(lambda: _says(kube, "ModelReady", "True"))
    await _annotate(kube, "RouterDeployment", "demo", "paused", "true")
    await kube.delete("StatefulSet", "demo-model")
    await eventually(lambda: _says(kube, "ModelReady", "False"))


async def test_a_suspended_router_keeps_its_storage_and_comes_back(kube: Kube, start: Start):
    await start()
    await kube.create(router(api={"replicas": 2}, model={"source": HUB, "storage": {"size": "1Gi"}}))
    await eventually(lambda: _running(kube, "model"))
    claim = await kube.get("PersistentVolumeClaim", "weights-demo-model-0")
    await kube.merge("RouterDeployment", "demo", {"spec": {"suspend": True}})
    await eventually(lambda: _no_pods(kube))
    await eventually(lambda: _says(kube, "Ready", "False", "Suspended"))
    await kube.merge("RouterDeployment", "demo", {"spec": {"suspend": False}})
    await eventually(lambda: _running(kube, "api", count=2))
    await eventually(lambda: _running(kube, "model"))
    assert (await kube.get("PersistentVolumeClaim", "weights-demo-model-0"))["metadata"]["uid"] == _uid(claim)


# Another autoscaler


async def test_another_autoscaler_scales_the_routerdeployment(kube: Kube, start: Start):
    await start()
    await kube.create(router())
    await eventually(lambda: _running(kube, "api"))
    await kube.merge("RouterDeployment", "demo", {"spec": {"replicas": 3}}, "scale")
    await eventually(lambda: _running(kube, "api", count=3))

    async def told():
        answer = await kube.client.get(kube.path("RouterDeployment", "demo", "scale"))
        scale = answer.json()
        assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (3, 3)
        chosen = await kube.list("Pod", scale["status"]["selector"])
        assert {_uid(pod) for pod in chosen} == set((await _uids(kube, "api")).values())

    await eventually(told)


# Adoption


async def test_what_was_orphaned_is_taken_over_by_annotation_with_its_pods(kube: Kube, start: Start):
    await start()
    await kube.create(router())
    pods = await eventually(lambda: _running(kube, "model"))
    before = await eventually(lambda: _children(kube))
    await kube.delete("RouterDeployment", "demo", policy="Orphan")

    async def orphaned():
        assert await kube.get("RouterDeployment", "demo") is None
        assert not any(child["metadata"].get("ownerReferences") for child in (await _children(kube)).values())

    await eventually(orphaned)
    body = await kube.create(router())
    await eventually(lambda: _says(kube, "Degraded", "True", "ForeignObject", "rlrouter.dev/adopt"))
    for kind, name in before:
        await _annotate(kube, kind, name, "adopt", "true")

    async def adopted():
        now = await _children(kube)
        assert {ref: _uid(child) for ref, child in now.items()} == {ref: _uid(child) for ref, child in before.items()}
        for child in now.values():
            assert [each["uid"] for each in child["metadata"]["ownerReferences"]] == [_uid(body)]

    await eventually(adopted)
    await eventually(lambda: _says(kube, "Degraded", "False"))
    await _stays(kube, "model", pods)


# What the tests look at


async def _upgraded(kube: Kube, start: Start) -> tuple[dict[str, str], Running]:
    """The model's pods of a router whose operator was replaced by a newer one, and that one."""
    older = await start()
    await kube.create(router())
    pods: dict[str, str] = await eventually(lambda: _running(kube, "model"))
    await older.stop()
    newer = await start(defaults=NEWER)

    async def applied():
        assert _image(await _stateful_set(kube)) == "rl-router/model:newer"

    await eventually(applied)
    return pods, newer


async def _pods(kube: Kube, component: str) -> list[_BODY]:
    return await kube.list("Pod", f"app.kubernetes.io/component={component}")


async def _uids(kube: Kube, component: str) -> dict[str, str]:
    return {pod["metadata"]["name"]: _uid(pod) for pod in await _pods(kube, component)}


async def _running(kube: Kube, component: str, *, count: int = 1, image: str | None = None) -> dict[str, str]:
    """The uids of a tier's pods by name, all of them ready, so many, and of that image."""
    pods = await _pods(kube, component)
    assert len(pods) == count
    for pod in pods:
        assert {"type": "Ready", "status": "True"}.items() <= pod["status"]["conditions"][-1].items()
        assert image in (None, pod["spec"]["containers"][0]["image"])
    return {pod["metadata"]["name"]: _uid(pod) for pod in pods}


async def _stays(kube: Kube, component: str, pods: dict[str, str]) -> None:
    """Watches that the pods stay the same ones."""
    deadline = asyncio.get_running_loop().time() + WATCHED_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        assert await _uids(kube, component) == pods
        await asyncio.sleep(0.2)


async def _no_pods(kube: Kube) -> None:
    assert await kube.list("Pod") == []


async def _stateful_set(kube: Kube) -> _BODY:
    live = await kube.get("StatefulSet", "demo-model")
    assert live
    return live


async def _says(kube: Kube, type_: str, status: str | None, reason: str | None = None, words: str = "") -> None:
    live = await kube.get("RouterDeployment", "demo")
    assert live
    found = condition(live, type_)
    assert status in (None, found["status"]), found
    assert reason in (None, found["reason"]), found
    assert words in found["message"], found


async def _children(kube: Kube) -> dict[tuple[str, str], _BODY]:
    """What a plain router is turned into."""
    refs = (
        *(("Service", name) for name in ("demo-model", "demo-model-pods", "demo-api")),
        *(("ConfigMap", "demo-api"), ("StatefulSet", "demo-model"), ("Deployment", "demo-api")),
        ("NetworkPolicy", "demo-model"),
    )
    found = {ref: await kube.get(*ref) for ref in refs}
    assert all(found.values())
    return {ref: child for ref, child in found.items() if child}


async def _generations(kube: Kube) -> dict[tuple[str, str], int]:
    return {ref: child["metadata"].get("generation", 0) for ref, child in (await _children(kube)).items()}


async def _annotate(kube: Kube, kind: str, name: str, annotation: str, value: str | None) -> None:
    await kube.merge(kind, name, {"metadata": {"annotations": {f"rlrouter.dev/{annotation}": value}}})


async def _limit_pods(kube: Kube, count: int) -> None:
    """A quota, with the status that Kubernetes' controller gives it."""
    path, hard = f"/api/v1/namespaces/{kube.namespace}/resourcequotas/small", {"pods": str(count)}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
    for part, where in (("spec", path), ("status", f"{path}/status")):
        content = json.dumps({**body, part: {"hard": hard, **({"used": {"pods": "0"}} if part == "status" else {})}})
        headers = {"Content-Type": "application/apply-patch+yaml"}
        query = {"fieldManager": "tests", "force": "true"}
        (await kube.client.patch(where, params=query, content=content, headers=headers)).raise_for_status()


async def _make_storage_class(kube: Kube) -> None:
    body = {"metadata": {"name": "growing"}, "provisioner": "tests.example/none", "allowVolumeExpansion": True}
    (await kube.client.post("/apis/storage.k8s.io/v1/storageclasses", json=body)).raise_for_status()


async def _bind_claim(kube: Kube) -> None:
    """As a volume's provisioner does."""
    name = "weights-demo-model-0"
    await kube.merge("PersistentVolumeClaim", name, {"spec": {"volumeName": "a-volume"}})
    capacity = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    await kube.merge("PersistentVolumeClaim", name, {"status": capacity}, "status")


def _claim_size(claim: _BODY | None) -> str:
    assert claim
    return str(claim["spec"]["resources"]["requests"]["storage"])


def _image(workload: _BODY) -> str:
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"])


def _uid(body: _BODY | None) -> str:
    assert body
    return str(body["metadata"]["uid"])
