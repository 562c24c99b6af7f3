"""Degraded: faults of child objects and volumes that the API server does not report."""

from __future__ import annotations

from typing import Any

import pytest
from rl_router_operator.cluster import prune
from rl_router_operator.objects.manifest import Manifest

from fakes.cluster.conditions import condition_of, state_of
from fakes.cluster.pods import ago
from fakes.cluster.scenario import Scenario, workload

HEALTHY, MISSING = ("False", "NoFault"), ("True", "ControllerMissing")
MINUTES = 60


def changed(kind: str, status: Any, *ages: float) -> Manifest:
    """Returns a child of the generation 2 that several managers changed `ages` seconds ago."""
    entries = [{"manager": f"manager-{number}", "time": ago(age)} for number, age in enumerate(ages)]
    created = ago(60 * MINUTES)
    metadata = {"name": "demo-api", "uid": kind, "generation": 2, "creationTimestamp": created}
    return {"kind": kind, "metadata": {**metadata, "managedFields": entries}, "status": status}


def degraded(*children: Manifest) -> tuple[str, str]:
    return state_of(Scenario(children=(workload("model"), workload("api"), *children)).status(), "Degraded")


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("PodDisruptionBudget", {"observedGeneration": 2}, HEALTHY),
        ("PodDisruptionBudget", {"observedGeneration": 1}, MISSING),
        ("PodDisruptionBudget", {}, MISSING),
        ("PodDisruptionBudget", None, MISSING),
        ("HTTPRoute", {"parents": [{"conditions": [{"observedGeneration": 2}]}]}, HEALTHY),
        ("HTTPRoute", {"parents": [{"conditions": [{"type": "Accepted"}]}]}, HEALTHY),
        ("HTTPRoute", {"parents": [{"conditions": [{"observedGeneration": 1}]}]}, MISSING),
        ("HTTPRoute", {"parents": []}, MISSING),
        ("HTTPRoute", None, MISSING),
        ("NetworkPolicy", None, HEALTHY),
        ("Ingress", {"loadBalancer": {}}, HEALTHY),
    ],
)
def test_a_change_that_no_controller_processes_is_reported(kind: str, status: Any, expected: tuple[str, str]) -> None:
    assert degraded(changed(kind, status, 11 * MINUTES)) == expected


@pytest.mark.parametrize("ages", [(599,), (11 * MINUTES, 599), (599, 11 * MINUTES)])
def test_a_controller_has_ten_minutes_after_the_last_change_by_any_client(ages: tuple[float, ...]) -> None:
    assert degraded(changed("PodDisruptionBudget", None, *ages)) == HEALTHY


def test_an_object_without_managed_fields_changed_when_it_was_created() -> None:
    assert degraded(changed("PodDisruptionBudget", None)) == MISSING


@pytest.mark.parametrize(("subresource", "expected"), [("", HEALTHY), ("scale", HEALTHY), ("status", MISSING)])
def test_the_store_keeps_the_times_of_all_changes_except_those_of_the_status(
    subresource: str, expected: tuple[str, str]
) -> None:
    child = changed("PodDisruptionBudget", None, 11 * MINUTES, 1)
    child["metadata"]["managedFields"][1] |= {"subresource": subresource, "fieldsV1": {"f:spec": {}}}
    pruned = prune.child(child)
    assert all("fieldsV1" not in entry for entry in pruned["metadata"]["managedFields"])
    assert degraded(pruned) == expected


@pytest.mark.parametrize(
    ("finalizers", "text"),
    [
        (["example.com/backup"], "waits for the finalizers `example.com/backup`. Find out"),
        (["foregroundDeletion", "a.example/b"], "`foregroundDeletion` and `a.example/b`"),
        (None, "waits for the finalizers `unknown`"),
    ],
)
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "ConfigMap", "Ingress"])
def test_a_deletion_that_takes_more_than_two_minutes_names_its_finalizers(
    kind: str, finalizers: Any, text: str
) -> None:
    deleted = changed(kind, {"observedGeneration": 2}, 1)
    deleted |= {"metadata": {**deleted["metadata"], "name": "demo-x", "finalizers": finalizers}, "spec": {}}
    for age, expected in ((119, HEALTHY), (121, ("True", "DeletionStuck"))):
        deleted["metadata"]["deletionTimestamp"] = ago(age)
        assert degraded(deleted) == expected
    status = Scenario(children=(workload("model"), workload("api"), deleted)).status()
    assert text in condition_of(status, "Degraded")["message"]


@pytest.mark.parametrize(("paused", "expected"), [(True, ("True", "RolloutPaused")), (False, HEALTHY), (None, HEALTHY)])
def test_a_paused_rollout_is_reported_at_once(paused: Any, expected: tuple[str, str]) -> None:
    deployment = workload("api")
    deployment["spec"]["paused"] = paused
    assert state_of(Scenario(children=(workload("model"), deployment)).status(), "Degraded") == expected


def pvc(requested: str, capacity: str | None = None, name: str = "weights-demo-model-0", **spec: Any) -> Manifest:
    status = {"capacity": {"storage": capacity}} if capacity else {}
    fields = {"resources": {"requests": {"storage": requested}}, "accessModes": ["ReadWriteOnce"], **spec}
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": name, "uid": name}, "spec": fields, "status": status}


def degraded_by(live: Manifest, **storage: Any) -> tuple[tuple[str, str], str]:
    """Returns the state and the message of Degraded if the model's storage has the fields `storage`."""
    spec = {"model": {"source": "hf://org/name", "storage": {"size": "1Gi", **storage}}}
    status = Scenario(spec=spec, pvcs=(live,)).status()
    return state_of(status, "Degraded"), condition_of(status, "Degraded")["message"]


SHARED = ["ReadWriteOnce", "ReadWriteMany"]


@pytest.mark.parametrize(
    ("live", "storage", "text"),
    [
        (pvc("1Gi", storageClassName="a"), {"className": "b"}, "has the StorageClass a, but spec.model.storage.cl"),
        (pvc("1Gi", "1Gi", storageClassName="a"), {"className": "b"}, "storage.className is b. To get a volume"),
        (pvc("1Gi"), {"className": "b"}, "the PVC has no StorageClass, but"),
        (pvc("1Gi", storageClassName="b"), {"className": "b"}, None),
        (pvc("1Gi", storageClassName="b"), {}, None),
        (pvc("1Gi", "1Gi", "weights-demo-model-copy", storageClassName="a"), {"className": "b"}, None),
        (pvc("1Gi"), {"accessModes": ["ReadWriteMany"]}, "ReadWriteOnce, but spec.model.storage.accessModes has Read"),
        (pvc("1Gi", accessModes=SHARED), {}, "the access modes ReadWriteMany, ReadWriteOnce, but"),
        (pvc("1Gi", accessModes=SHARED), {"accessModes": SHARED[::-1]}, None),
    ],
)
def test_a_volume_of_another_class_or_access_mode_than_the_spec_is_named(
    live: Manifest, storage: dict[str, Any], text: str | None
) -> None:
    state, message = degraded_by(live, **storage)
    assert state == (("True", "VolumeNotChanged") if text else HEALTHY)
    assert (text or "") in message


def test_the_deletion_of_a_volume_that_a_pod_still_uses_is_reported() -> None:
    live = pvc("1Gi")
    live["metadata"] |= {"deletionTimestamp": ago(121), "finalizers": ["kubernetes.io/pvc-protection"]}
    state, message = degraded_by(live)
    assert state == ("True", "DeletionStuck")
    assert "PersistentVolumeClaim weights-demo-model-0: the deletion of the object waits" in message


@pytest.mark.parametrize(
    ("live", "size"),
    [
        (pvc("2Gi", "2Gi"), "2Gi"),
        (pvc("2Gi"), "2Gi"),
        (pvc("2Gi", "3Gi"), "2Gi"),
        (pvc("2560Mi", "4Gi"), "2.5Gi"),
        (pvc("2Gi", "1Gi"), None),
        (pvc("1Gi", "2Gi"), None),
        (pvc("1Gi"), None),
        (pvc("2Gi", "2Gi", "weights-demo-model-copy"), None),
    ],
)
def test_a_volume_that_is_larger_than_the_spec_is_named_with_its_size(live: Manifest, size: str | None) -> None:
    state, message = degraded_by(live)
    if size is None:
        assert state == HEALTHY
        return
    assert state == ("True", "VolumeNotShrunk")
    shown = live["spec"]["resources"]["requests"]["storage"]
    size_message = f"the PVC has a size of {shown}, but spec.model.storage.size is 1Gi. Set"
    assert message.startswith(f"PersistentVolumeClaim weights-demo-model-0: {size_message}")


def test_the_volume_of_a_model_that_no_longer_has_storage_is_no_fault() -> None:
    status = Scenario(spec={"model": {"source": "hf://org/name"}}, pvcs=(pvc("2Gi", "2Gi"),)).status()
    assert state_of(status, "Degraded") == HEALTHY
