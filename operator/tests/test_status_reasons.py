"""Every reason has a scenario that leads to it, and a section in the troubleshooting guide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.observed import ChildError, ChildErrorReason, Health
from rl_router_operator.status import invalid
from rl_router_operator.status.reasons import Reason

from fakes.cluster.health import altered, health
from fakes.cluster.pods import NOW, Pod, api_pod, crash_looping, event, running, unschedulable, waiting
from fakes.cluster.scenario import Scenario, service, workload

GUIDE = Path(__file__).parents[2] / "docs/troubleshooting-kubernetes.md"
SECTION = re.compile(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", re.M | re.S)
PVC = {"metadata": {"name": "weights-demo-model-0", "uid": "c"}, "status": {"phase": "Pending"}}


def with_model(pod: Pod, *events: Manifest) -> Scenario:
    """Returns a cluster whose router model has one pod."""
    return Scenario(model=(pod,), events=events, pvcs=(PVC,))


def with_error(reason: ChildErrorReason) -> Scenario:
    """Returns a cluster with a child that cannot be applied."""
    return Scenario(errors=(ChildError("ServiceMonitor", "demo-api", reason, "why"),))


CREATING = Pod(state=waiting("ContainerCreating"))
SCENARIOS = {
    Reason.SERVING: Scenario(),
    Reason.DECIDING: Scenario(),
    Reason.TARGETS_REACHABLE: Scenario(),
    Reason.NO_FAULT: Scenario(),
    Reason.SUSPENDED: Scenario(spec={"suspend": True}),
    Reason.SCALED_TO_ZERO: Scenario(spec={"model": {"replicas": 0}}, model=()),
    Reason.UNCONFIRMED: Scenario(healths={}),
    Reason.UNREACHABLE: Scenario(health=Health(None, "timed out")),
    Reason.NOT_DECIDING: Scenario(health=health(router_model="prose")),
    Reason.NO_TARGETS: Scenario(spec={}, health=altered(health(), targets={})),
    Reason.NO_TARGET_ANSWERS: Scenario(health=health(targets={"cheap": "401", "strong": "401"})),
    Reason.TARGET_BAD: Scenario(health=health(targets={"cheap": "401", "strong": None})),
    Reason.CONFIGURATION_REFUSED: Scenario(health=health(refused="targets.0: no")),
    Reason.NOBODY_ADMITTED: Scenario(health=health(closed="no keys")),
    Reason.FOREIGN_OBJECT: with_error("ForeignObject"),
    Reason.REFUSED: with_error("Refused"),
    Reason.IMMUTABLE: with_error("Immutable"),
    Reason.KIND_MISSING: with_error("KindMissing"),
    Reason.FORBIDDEN: with_error("Forbidden"),
    Reason.FIELD_UNSUPPORTED: with_error("FieldUnsupported"),
    Reason.CONTROLLER_MISSING: with_error("ControllerMissing"),
    Reason.DELETION_STUCK: with_error("DeletionStuck"),
    Reason.ROLLOUT_PAUSED: with_error("RolloutPaused"),
    Reason.VOLUME_NOT_SHRUNK: with_error("VolumeNotShrunk"),
    Reason.VOLUME_NOT_CHANGED: with_error("VolumeNotChanged"),
    Reason.FAILED: with_error("Failed"),
    Reason.STARTING: with_model(CREATING),
    Reason.POD_REFUSED: Scenario(model=(), events=(event("StatefulSet", "demo-model", "FailedCreate", "no"),)),
    Reason.UNSCHEDULABLE: with_model(unschedulable("3 Insufficient nvidia.com/gpu")),
    Reason.VOLUME_UNBOUND: with_model(
        unschedulable("unbound", pvc=PVC["metadata"]["name"]),
        event("PersistentVolumeClaim", PVC["metadata"]["name"], "ProvisioningFailed", "no class"),
    ),
    Reason.UNUSED: Scenario(health=altered(health(), router_model={"state": "unused"})),
    Reason.VOLUME_NOT_MOUNTED: with_model(CREATING, event("Pod", "demo-model-0", "FailedMount", "no secret")),
    Reason.IMAGE_PULL_FAILED: with_model(Pod(state=waiting("ErrImagePull", "not found"))),
    Reason.CONTAINER_CONFIG_ERROR: with_model(Pod(state=waiting("CreateContainerConfigError", "no secret"))),
    Reason.CONTAINER_NOT_STARTED: with_model(Pod(state=waiting("RunContainerError", "no program"))),
    Reason.LOADING: with_model(Pod(state=running())),
    Reason.NOT_READY: with_model(Pod(state=running(), started=True, unready_for=10)),
    Reason.SERVICE_MISSING: Scenario(services=(service("model"),)),
    Reason.STARTUP_TIMEOUT: with_model(Pod(**crash_looping("loading", 137, lasted=1800, age=1))),
    Reason.CRASH_LOOPING: with_model(Pod(**crash_looping("ValueError: no"))),
    Reason.OUT_OF_MEMORY: with_model(Pod(**crash_looping(None, 137, "OOMKilled"))),
    Reason.ACCELERATOR_MEMORY: with_model(Pod(**crash_looping("torch.OutOfMemoryError: CUDA out of memory."))),
    Reason.ACCELERATOR_MISSING: with_model(Pod(**crash_looping("RuntimeError: No CUDA GPUs are available"))),
    Reason.HUB_UNAUTHORIZED: with_model(Pod(**crash_looping("HfHubHTTPError: 401 Client Error."))),
    Reason.HUB_FORBIDDEN: with_model(Pod(**crash_looping("GatedRepoError: 403 Client Error."))),
    Reason.HUB_NOT_FOUND: with_model(Pod(**crash_looping("RepositoryNotFoundError: 404 Client Error."))),
    Reason.HUB_UNREACHABLE: with_model(Pod(**crash_looping("LocalEntryNotFoundError: cannot find it"))),
    Reason.MODEL_PATH_MISSING: with_model(Pod(**crash_looping("error: no such model file: /model/x", 80))),
    Reason.NODE_REFUSED: with_model(Pod(phase="Failed", reason="UnexpectedAdmissionError", message="no device")),
    Reason.EVICTED: with_model(Pod(phase="Failed", reason="Evicted", message="low on memory")),
    Reason.NODE_LOST: with_model(Pod(containers_ready=True, unready_reason=None, started=True, state=running())),
    Reason.ROLLOUT_STUCK: Scenario(
        api=(api_pod("demo-api-old", ready=True), api_pod("demo-api-new", **crash_looping("error: no"))),
        healths={"demo-api-old": health()},
        children=(workload("model"), workload("api")),
    ),
}


def test_every_reason_has_a_scenario() -> None:
    assert {*SCENARIOS, Reason.INVALID_SPEC} == set(Reason)


@pytest.mark.parametrize("reason", sorted(SCENARIOS))
def test_a_scenario_leads_to_its_reason(reason: Reason) -> None:
    conditions = [condition for condition in SCENARIOS[reason].status()["conditions"] if condition["reason"] == reason]
    assert conditions
    # The message of a stuck rollout has the remedy of its cause.
    remedy = Reason.CRASH_LOOPING.remedy if reason is Reason.ROLLOUT_STUCK else reason.remedy
    assert all(remedy in condition["message"] for condition in conditions)


def test_an_invalid_spec_has_its_own_reason() -> None:
    status = invalid({"metadata": {"name": "demo", "namespace": "team"}}, "spec.api: wrong", NOW)
    assert {condition["reason"] for condition in status["conditions"]} == {Reason.INVALID_SPEC}


def test_the_guide_has_exactly_one_section_for_each_reason() -> None:
    assert sorted(name for name, _ in SECTION.findall(GUIDE.read_text())) == sorted(Reason)


@pytest.mark.parametrize("reason", sorted(Reason))
def test_the_guide_has_the_meaning_and_the_remedy_of_each_reason(reason: Reason) -> None:
    text = " ".join(dict(SECTION.findall(GUIDE.read_text()))[reason].split())
    assert f"{reason.means}." in text
    assert reason.remedy in text
