"""Degraded: what was asked for and is not so, also while the router serves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rl_router_operator.objects.observed import ChildError, Health
from world import NOW, Pod, World, api_pod, condition, crashed, event, health, of, running, said, waiting, workload

OLD, NEW = api_pod("demo-api-old", ready=True), api_pod("demo-api-new")
SERVES = {"demo-api-old": health()}


@pytest.mark.parametrize("reason", ["ForeignObject", "Refused", "KindMissing", "Forbidden", "Failed"])
def test_a_child_that_is_not_as_asked_is_named_while_the_router_stays_ready(reason: str) -> None:
    problem = ChildError("ServiceMonitor", "demo-api", reason, "the API server's words")  # type: ignore[arg-type]
    status = World(problems=(problem,)).status()
    assert said(status, "Ready")[0] == "True"
    assert said(status, "Degraded") == ("True", reason)
    assert "ServiceMonitor demo-api: the API server's words" in of(status, "Degraded")["message"]


def test_all_faults_are_told_each_with_its_remedy_in_a_fixed_order() -> None:
    first = ChildError("ServiceMonitor", "demo-api", "KindMissing", "the cluster has no ServiceMonitor")
    second = ChildError("Ingress", "demo-api", "Refused", "host is taken")
    said_in = [
        World(problems=each, health=health(refused="targets.0: no")).status()
        for each in ((first, second), (second, first))
    ]
    assert said_in[0] == said_in[1]
    message = of(said_in[0], "Degraded")["message"]
    assert all(
        each in message for each in ("no ServiceMonitor", "host is taken", "targets.0: no", "Install the component")
    )


def test_what_is_to_be_done_about_several_faults_alike_is_said_once() -> None:
    foreign = [ChildError(kind, "demo-api", "ForeignObject", "exists") for kind in ("Ingress", "NetworkPolicy")]
    message = of(World(problems=tuple(foreign)).status(), "Degraded")["message"]
    assert message.startswith("Ingress demo-api: exists; NetworkPolicy demo-api: exists. Delete it")
    assert message.count("Delete it") == 1


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ConfigMap"])
def test_a_foreign_object_in_a_needed_place_is_no_part_of_the_router(kind: str) -> None:
    problem = ChildError(kind, "demo-api", "ForeignObject", "it is somebody else's")
    status = World(problems=(problem,)).status()
    assert said(status, "APIReady") == ("False", "ForeignObject")
    assert said(status, "ModelReady") == ("True", "Deciding")


def test_a_tier_that_was_never_made_says_why() -> None:
    problem = ChildError("StatefulSet", "demo-model", "Refused", "admission webhook denied the request: no latest tags")
    status = World(model=(), children=(workload("api"),), problems=(problem,)).status()
    assert said(status, "ModelReady") == ("False", "Refused")
    assert "no latest tags" in of(status, "ModelReady")["message"]


def test_a_change_that_is_refused_leaves_what_runs_ready() -> None:
    problem = ChildError("StatefulSet", "demo-model", "Refused", "spec: Forbidden")
    status = World(problems=(problem,)).status()
    assert said(status, "ModelReady") == ("True", "Deciding")
    assert said(status, "Degraded") == ("True", "Refused")


def test_a_refused_configuration_is_told_while_the_last_good_one_serves() -> None:
    status = World(health=health(refused="targets.0.params: not a mapping")).status()
    assert said(status, "Ready")[0] == "True"
    assert said(status, "Degraded") == ("True", "ConfigurationRefused")
    assert "targets.0.params: not a mapping" in of(status, "Degraded")["message"]


def test_a_roll_out_is_stuck_at_the_first_error_and_the_last_working_api_serves() -> None:
    new = NEW.but(age=1, state=waiting("ErrImagePull", "not found"))
    status = World(api=(OLD, new), healths=SERVES).status()
    assert said(status, "Ready")[0] == "True"
    assert said(status, "Degraded") == ("True", "RolloutStuck")
    message = of(status, "Degraded")["message"]
    assert "demo-api-new" in message
    assert "1 of 1 pods are ready" in message
    assert "imagePullSecrets" in message


def test_a_roll_out_without_an_error_is_stuck_after_two_minutes() -> None:
    def degraded(age: float) -> tuple[str, str]:
        new = NEW.but(age=age, state=running(), started=True, phase="Running")
        return said(World(api=(OLD, new), healths=SERVES).status(), "Degraded")

    assert degraded(119) == ("False", "NoFault")
    assert degraded(120) == ("True", "RolloutStuck")


def test_a_model_may_load_as_long_as_its_startup_timeout() -> None:
    spec = {"model": {"startupTimeout": 600}}
    loading = World(spec=spec, model=(Pod(age=60, state=running(), phase="Running"),))
    assert said(loading.status(now=NOW + timedelta(seconds=500)), "Degraded") == ("False", "NoFault")
    assert said(loading.status(now=NOW + timedelta(seconds=540)), "Degraded") == ("True", "RolloutStuck")


def test_a_pod_that_has_just_lost_its_readiness_has_its_time_too() -> None:
    pod = NEW.but(age=1000, state=running(999), started=True).manifest()
    for each in pod["status"]["conditions"]:
        each["lastTransitionTime"] = "2026-11-24T11:59:50Z"
    world = World(api=(OLD,), others=(pod,), healths=SERVES)
    assert said(world.status(), "Degraded") == ("False", "NoFault")


def test_a_pod_that_may_not_be_made_makes_a_roll_out_stuck() -> None:
    failure = condition("ReplicaFailure", "True", "FailedCreate", 'pods "demo-api-1" is forbidden: exceeded quota')
    status = World(spec={"api": {"replicas": 2}}, children=(workload("model"), workload("api", 2, failure))).status()
    assert said(status, "Degraded") == ("True", "RolloutStuck")
    assert "exceeded quota" in of(status, "Degraded")["message"]
    told = event("StatefulSet", "demo-model", "FailedCreate", "exceeded quota")
    assert said(World(model=(), events=(told,)).status(), "Degraded") == ("True", "RolloutStuck")


def test_a_deployment_that_gave_up_is_stuck() -> None:
    given_up = condition("Progressing", "False", "ProgressDeadlineExceeded", "has timed out progressing")
    status = World(children=(workload("model"), workload("api", 1, given_up))).status()
    assert said(status, "Degraded") == ("True", "RolloutStuck")


def test_a_corrected_spec_heals() -> None:
    stuck = World(api=(OLD, NEW.but(**crashed("error: no"))), healths=SERVES).status()
    assert said(stuck, "Degraded") == ("True", "RolloutStuck")
    assert said(World(api=(OLD,), healths=SERVES).status(stuck), "Degraded") == ("False", "NoFault")


def test_a_pod_that_cannot_be_asked_beside_one_that_can() -> None:
    pods = (api_pod("demo-api-a", ready=True), api_pod("demo-api-b", ready=True))
    healths = {"demo-api-a": health(), "demo-api-b": Health(None, "no route to host")}
    status = World(api=pods, healths=healths).status()
    assert said(status, "APIReady") == ("True", "Serving")
    assert said(status, "Degraded") == ("True", "Unreachable")


def test_a_message_is_never_longer_than_the_status_can_hold() -> None:
    problems = tuple(ChildError("Service", f"demo-{number}", "Refused", "x" * 600) for number in range(40))
    assert len(of(World(problems=problems).status(), "Degraded")["message"]) == 4096


def test_what_the_api_server_says_is_scrubbed() -> None:
    problem = ChildError("Deployment", "demo-api", "Refused", f"env[0].value: Invalid value: hf_{'a' * 34} Bearer abc")
    status = World(problems=(problem,)).status()
    assert "hf_a" not in str(status)
    assert "abc" not in str(status)
