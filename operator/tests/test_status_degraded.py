"""Degraded: faults of parts of the spec, also while the router is ready."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rl_router_operator.objects.observed import ChildError, Health

from fakes.cluster.conditions import condition_of, state_of
from fakes.cluster.health import health
from fakes.cluster.pods import NOW, Pod, api_pod, condition, crash_looping, event, running, waiting
from fakes.cluster.scenario import Scenario, workload

OLD, NEW = api_pod("demo-api-old", ready=True), api_pod("demo-api-new")
SERVES = {"demo-api-old": health()}


@pytest.mark.parametrize("reason", ["ForeignObject", "Refused", "Immutable", "KindMissing", "Forbidden", "Failed"])
def test_a_child_that_cannot_be_applied_is_named_while_the_router_stays_ready(reason: str) -> None:
    error = ChildError("ServiceMonitor", "demo-api", reason, "the API server's message")  # type: ignore[arg-type]
    status = Scenario(errors=(error,)).status()
    assert state_of(status, "Ready")[0] == "True"
    assert state_of(status, "Degraded") == ("True", reason)
    assert "ServiceMonitor demo-api: the API server's message" in condition_of(status, "Degraded")["message"]


def test_all_faults_are_reported_with_their_remedies_in_a_fixed_order() -> None:
    first = ChildError("ServiceMonitor", "demo-api", "KindMissing", "the cluster has no ServiceMonitor")
    second = ChildError("Ingress", "demo-api", "Refused", "host is taken")
    status, swapped = (
        Scenario(errors=errors, health=health(refused="targets.0: no")).status()
        for errors in ((first, second), (second, first))
    )
    assert status == swapped
    message = condition_of(status, "Degraded")["message"]
    for part in ("no ServiceMonitor", "host is taken", "targets.0: no", "Install the component"):
        assert part in message


def test_several_faults_with_the_same_remedy_name_it_once() -> None:
    foreign = [ChildError(kind, "demo-api", "ForeignObject", "exists") for kind in ("Ingress", "NetworkPolicy")]
    message = condition_of(Scenario(errors=tuple(foreign)).status(), "Degraded")["message"]
    assert message.startswith("Ingress demo-api: exists; NetworkPolicy demo-api: exists. Delete the object")
    assert message.count("Delete the object") == 1


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ConfigMap"])
def test_a_foreign_object_with_the_name_of_a_required_child_makes_the_api_not_ready(kind: str) -> None:
    error = ChildError(kind, "demo-api", "ForeignObject", "it belongs to another owner")
    status = Scenario(errors=(error,)).status()
    assert state_of(status, "APIReady") == ("False", "ForeignObject")
    assert state_of(status, "ModelReady") == ("True", "Deciding")


def test_a_tier_whose_workload_was_rejected_reports_why() -> None:
    error = ChildError("StatefulSet", "demo-model", "Refused", "admission webhook denied the request: no latest tags")
    status = Scenario(model=(), children=(workload("api"),), errors=(error,)).status()
    assert state_of(status, "ModelReady") == ("False", "Refused")
    assert "no latest tags" in condition_of(status, "ModelReady")["message"]


def test_a_rejected_change_keeps_running_pods_ready() -> None:
    error = ChildError("StatefulSet", "demo-model", "Refused", "spec: Forbidden")
    status = Scenario(errors=(error,)).status()
    assert state_of(status, "ModelReady") == ("True", "Deciding")
    assert state_of(status, "Degraded") == ("True", "Refused")


def test_an_invalid_configuration_degrades_the_router_while_the_last_valid_one_is_used() -> None:
    status = Scenario(health=health(refused="targets.0.params: not a mapping")).status()
    assert state_of(status, "Ready")[0] == "True"
    assert state_of(status, "Degraded") == ("True", "ConfigurationRefused")
    assert "targets.0.params: not a mapping" in condition_of(status, "Degraded")["message"]


def test_a_rollout_is_stuck_at_the_first_error_while_the_earlier_pods_stay_ready() -> None:
    new = NEW.changed(age=1, state=waiting("ErrImagePull", "not found"))
    status = Scenario(api=(OLD, new), healths=SERVES).status()
    assert state_of(status, "Ready")[0] == "True"
    assert state_of(status, "Degraded") == ("True", "RolloutStuck")
    message = condition_of(status, "Degraded")["message"]
    assert "demo-api-new" in message
    assert "1 of 1 pods are ready" in message
    assert "imagePullSecrets" in message


def test_a_rollout_without_an_error_is_stuck_after_two_minutes() -> None:
    def degraded(age: float) -> tuple[str, str]:
        new = NEW.changed(age=age, state=running(), started=True, phase="Running")
        return state_of(Scenario(api=(OLD, new), healths=SERVES).status(), "Degraded")

    assert degraded(119) == ("False", "NoFault")
    assert degraded(120) == ("True", "RolloutStuck")


def test_a_model_may_load_for_its_startup_timeout() -> None:
    spec = {"model": {"startupTimeout": 600}}
    loading = Scenario(spec=spec, model=(Pod(age=60, state=running(), phase="Running"),))
    assert state_of(loading.status(now=NOW + timedelta(seconds=500)), "Degraded") == ("False", "NoFault")
    assert state_of(loading.status(now=NOW + timedelta(seconds=540)), "Degraded") == ("True", "RolloutStuck")


def test_the_two_minutes_begin_when_a_pod_loses_its_readiness() -> None:
    pod = NEW.changed(age=1000, state=running(999), started=True).manifest()
    for change in pod["status"]["conditions"]:
        change["lastTransitionTime"] = "2026-11-24T11:59:50Z"
    scenario = Scenario(api=(OLD,), other_pods=(pod,), healths=SERVES)
    assert state_of(scenario.status(), "Degraded") == ("False", "NoFault")


def test_a_rollout_is_stuck_if_its_pods_cannot_be_created() -> None:
    failure = condition("ReplicaFailure", "True", "FailedCreate", 'pods "demo-api-1" is forbidden: exceeded quota')
    status = Scenario(spec={"api": {"replicas": 2}}, children=(workload("model"), workload("api", 2, failure))).status()
    assert state_of(status, "Degraded") == ("True", "RolloutStuck")
    assert "exceeded quota" in condition_of(status, "Degraded")["message"]
    warning = event("StatefulSet", "demo-model", "FailedCreate", "exceeded quota")
    assert state_of(Scenario(model=(), events=(warning,)).status(), "Degraded") == ("True", "RolloutStuck")


def test_a_rollout_is_stuck_after_the_deployments_progress_deadline() -> None:
    expired = condition("Progressing", "False", "ProgressDeadlineExceeded", "has timed out progressing")
    status = Scenario(children=(workload("model"), workload("api", 1, expired))).status()
    assert state_of(status, "Degraded") == ("True", "RolloutStuck")


def test_a_corrected_spec_ends_the_fault() -> None:
    stuck = Scenario(api=(OLD, NEW.changed(**crash_looping("error: no"))), healths=SERVES).status()
    assert state_of(stuck, "Degraded") == ("True", "RolloutStuck")
    assert state_of(Scenario(api=(OLD,), healths=SERVES).status(stuck), "Degraded") == ("False", "NoFault")


def test_one_unreachable_api_pod_degrades_the_router() -> None:
    pods = (api_pod("demo-api-a", ready=True), api_pod("demo-api-b", ready=True))
    healths = {"demo-api-a": health(), "demo-api-b": Health(None, "no route to host")}
    status = Scenario(api=pods, healths=healths).status()
    assert state_of(status, "APIReady") == ("True", "Serving")
    assert state_of(status, "Degraded") == ("True", "Unreachable")


def test_a_message_has_at_most_4096_characters() -> None:
    errors = tuple(ChildError("Service", f"demo-{number}", "Refused", "x" * 600) for number in range(40))
    assert len(condition_of(Scenario(errors=errors).status(), "Degraded")["message"]) == 4096


def test_messages_of_the_api_server_are_redacted() -> None:
    error = ChildError("Deployment", "demo-api", "Refused", f"env[0].value: Invalid value: hf_{'a' * 34} Bearer abc")
    status = Scenario(errors=(error,)).status()
    assert "hf_a" not in str(status)
    assert "abc" not in str(status)
