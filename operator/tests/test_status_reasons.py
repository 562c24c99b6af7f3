"""Every reason: reached by what is seen in a cluster, and explained in the troubleshooting guide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rl_router_operator.objects.manifest import Manifest
from rl_router_operator.objects.observed import ChildError, ChildErrorReason, Health
from rl_router_operator.status import invalid
from rl_router_operator.status.reasons import Reason
from world import (
    NOW,
    Pod,
    World,
    answered,
    api_pod,
    condition,
    crashed,
    event,
    health,
    running,
    service,
    waiting,
    workload,
)

GUIDE = Path(__file__).parents[2] / "docs/troubleshooting-kubernetes.md"
SECTION = re.compile(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", re.M | re.S)
CLAIM = {"metadata": {"name": "weights-demo-model-0", "uid": "c"}, "status": {"phase": "Pending"}}


def with_model(pod: Pod, *events: Manifest) -> World:
    """A router model of one pod."""
    return World(model=(pod,), events=events, claims=(CLAIM,))


def unschedulable(words: str, **more: str) -> Pod:
    """A pod that the scheduler has no node for."""
    return Pod(scheduled=False, extra=(condition("PodScheduled", "False", "Unschedulable", words),), **more)  # type: ignore[arg-type]


def with_problem(reason: ChildErrorReason) -> World:
    """A child that is not as asked for."""
    return World(problems=(ChildError("ServiceMonitor", "demo-api", reason, "why"),))


CREATING = Pod(state=waiting("ContainerCreating"))
REACHED = {
    Reason.SERVING: World(),
    Reason.DECIDING: World(),
    Reason.TARGETS_REACHABLE: World(),
    Reason.NO_FAULT: World(),
    Reason.SUSPENDED: World(spec={"suspend": True}),
    Reason.SCALED_TO_ZERO: World(spec={"model": {"replicas": 0}}, model=()),
    Reason.UNCONFIRMED: World(healths={}),
    Reason.UNREACHABLE: World(health=Health(None, "timed out")),
    Reason.NOT_DECIDING: World(health=health(router_model="prose")),
    Reason.NO_TARGETS: World(spec={}, health=answered(health(), targets={})),
    Reason.NO_TARGET_ANSWERS: World(health=health(targets={"cheap": "401", "strong": "401"})),
    Reason.TARGET_BAD: World(health=health(targets={"cheap": "401", "strong": None})),
    Reason.CONFIGURATION_REFUSED: World(health=health(refused="targets.0: no")),
    Reason.NOBODY_ADMITTED: World(health=health(closed="no keys")),
    Reason.FOREIGN_OBJECT: with_problem("ForeignObject"),
    Reason.REFUSED: with_problem("Refused"),
    Reason.KIND_MISSING: with_problem("KindMissing"),
    Reason.FORBIDDEN: with_problem("Forbidden"),
    Reason.FAILED: with_problem("Failed"),
    Reason.STARTING: with_model(CREATING),
    Reason.POD_REFUSED: World(model=(), events=(event("StatefulSet", "demo-model", "FailedCreate", "no"),)),
    Reason.UNSCHEDULABLE: with_model(unschedulable("3 Insufficient nvidia.com/gpu")),
    Reason.VOLUME_UNBOUND: with_model(
        unschedulable("unbound", claim=CLAIM["metadata"]["name"]),
        event("PersistentVolumeClaim", CLAIM["metadata"]["name"], "ProvisioningFailed", "no class"),
    ),
    Reason.UNUSED: World(health=answered(health(), router_model={"state": "unused"})),
    Reason.VOLUME_NOT_MOUNTED: with_model(CREATING, event("Pod", "demo-model-0", "FailedMount", "no secret")),
    Reason.IMAGE_PULL_FAILED: with_model(Pod(state=waiting("ErrImagePull", "not found"))),
    Reason.CONTAINER_CONFIG_ERROR: with_model(Pod(state=waiting("CreateContainerConfigError", "no secret"))),
    Reason.CONTAINER_NOT_STARTED: with_model(Pod(state=waiting("RunContainerError", "no program"))),
    Reason.LOADING: with_model(Pod(state=running())),
    Reason.NOT_READY: with_model(Pod(state=running(), started=True, lost=10)),
    Reason.SERVICE_MISSING: World(services=(service("model"),)),
    Reason.STARTUP_TIMEOUT: with_model(Pod(**crashed("loading", 137, lasted=1800, age=1))),
    Reason.CRASH_LOOPING: with_model(Pod(**crashed("ValueError: no"))),
    Reason.OUT_OF_MEMORY: with_model(Pod(**crashed(None, 137, "OOMKilled"))),
    Reason.ACCELERATOR_MEMORY: with_model(Pod(**crashed("torch.OutOfMemoryError: CUDA out of memory."))),
    Reason.ACCELERATOR_MISSING: with_model(Pod(**crashed("RuntimeError: No CUDA GPUs are available"))),
    Reason.HUB_UNAUTHORIZED: with_model(Pod(**crashed("HfHubHTTPError: 401 Client Error."))),
    Reason.HUB_FORBIDDEN: with_model(Pod(**crashed("GatedRepoError: 403 Client Error."))),
    Reason.HUB_NOT_FOUND: with_model(Pod(**crashed("RepositoryNotFoundError: 404 Client Error."))),
    Reason.HUB_UNREACHABLE: with_model(Pod(**crashed("LocalEntryNotFoundError: cannot find it"))),
    Reason.MODEL_PATH_MISSING: with_model(Pod(**crashed("error: no such model file: /model/x", 80))),
    Reason.NODE_REFUSED: with_model(Pod(phase="Failed", reason="UnexpectedAdmissionError", message="no device")),
    Reason.EVICTED: with_model(Pod(phase="Failed", reason="Evicted", message="low on memory")),
    Reason.NODE_LOST: with_model(Pod(containers_ready=True, unready_reason=None, started=True, state=running())),
    Reason.ROLLOUT_STUCK: World(
        api=(api_pod("demo-api-old", ready=True), api_pod("demo-api-new", **crashed("error: no"))),
        healths={"demo-api-old": health()},
        children=(workload("model"), workload("api")),
    ),
}


def test_every_reason_has_a_world_in_which_it_is_reached() -> None:
    assert {*REACHED, Reason.INVALID_SPEC} == set(Reason)


@pytest.mark.parametrize("reason", sorted(REACHED))
def test_a_reason_is_reached(reason: Reason) -> None:
    found = [each for each in REACHED[reason].status()["conditions"] if each["reason"] == reason]
    assert found
    # A stuck roll-out's message has the remedy of what it is stuck at.
    remedy = Reason.CRASH_LOOPING.remedy if reason is Reason.ROLLOUT_STUCK else reason.remedy
    assert all(remedy in each["message"] for each in found)


def test_a_spec_that_cannot_be_used_is_a_reason_too() -> None:
    status = invalid({"metadata": {"name": "demo", "namespace": "team"}}, "spec.api: wrong", NOW)
    assert {each["reason"] for each in status["conditions"]} == {Reason.INVALID_SPEC}


def test_the_guide_has_every_reason_and_no_other() -> None:
    assert sorted(name for name, _ in SECTION.findall(GUIDE.read_text())) == sorted(Reason)


@pytest.mark.parametrize("reason", sorted(Reason))
def test_the_guide_says_what_the_condition_says(reason: Reason) -> None:
    text = " ".join(dict(SECTION.findall(GUIDE.read_text()))[reason].split())
    assert f"{reason.means}." in text
    assert reason.remedy in text
