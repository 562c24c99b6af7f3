"""The five conditions of the status, and that an unchanged cluster gives an unchanged status."""

from __future__ import annotations

from datetime import timedelta

from rl_router_operator.objects.observed import ChildError, Health
from rl_router_operator.schema import RouterDeploymentStatus
from rl_router_operator.status import invalid

from fakes.cluster.conditions import condition_of, state_of
from fakes.cluster.health import altered, health
from fakes.cluster.pods import NOW, Pod, api_pod, condition, running, terminated
from fakes.cluster.scenario import Scenario, service, workload

LATER = NOW + timedelta(hours=1)
TYPES = ["ModelReady", "APIReady", "TargetsReady", "Ready", "Degraded"]


def test_a_router_whose_model_makes_decisions_is_ready() -> None:
    status = Scenario().status()
    assert [(condition["type"], condition["status"]) for condition in status["conditions"]] == [
        ("ModelReady", "True"),
        ("APIReady", "True"),
        ("TargetsReady", "True"),
        ("Ready", "True"),
        ("Degraded", "False"),
    ]
    assert (status["model"], status["api"], status["replicas"], status["observedGeneration"]) == ("1/1", "1/1", 1, 3)


def test_the_status_matches_its_schema() -> None:
    status = Scenario(health=health(targets={"cheap": "its key is refused (401)", "strong": None})).status()
    read = RouterDeploymentStatus.model_validate(status, by_alias=True, by_name=False, context="camelCase")
    assert read.model_dump(mode="json", by_alias=True, exclude_none=True) == status


def test_the_status_of_an_unchanged_cluster_is_equal_an_hour_later() -> None:
    for scenario in (Scenario(), Scenario(spec={"suspend": True}), Scenario(healths={})):
        status = scenario.status()
        assert scenario.status(status, LATER) == status


def test_the_status_of_a_loading_model_is_equal_half_an_hour_later() -> None:
    scenario = Scenario(model=(Pod(age=60, state=running(), phase="Running"),))
    status = scenario.status()
    assert state_of(status, "ModelReady") == ("False", "Loading")
    assert scenario.status(status, NOW + timedelta(minutes=28)) == status


def test_the_transition_time_changes_only_with_the_conditions_status() -> None:
    status = Scenario().status()
    later = Scenario(spec={"targets": []}).status(status, LATER)
    assert condition_of(later, "Ready")["lastTransitionTime"] == condition_of(status, "Ready")["lastTransitionTime"]
    down = Scenario(model=()).status(status, LATER)
    assert condition_of(down, "Ready")["lastTransitionTime"] == "2026-11-24T13:00:00Z"
    assert (
        condition_of(down, "APIReady")["lastTransitionTime"] == condition_of(status, "APIReady")["lastTransitionTime"]
    )


def test_every_condition_has_the_observed_generation() -> None:
    assert {condition["observedGeneration"] for condition in Scenario().status()["conditions"]} == {3}


def test_the_selector_selects_the_apis_pods() -> None:
    assert Scenario().status()["selector"] == (
        "app.kubernetes.io/component=api,app.kubernetes.io/instance=demo,app.kubernetes.io/name=rl-router"
    )


def test_ready_pods_without_a_report_do_not_make_a_router_ready() -> None:
    status = Scenario(healths={}).status()
    assert state_of(status, "APIReady") == ("Unknown", "Unconfirmed")
    assert state_of(status, "ModelReady") == ("Unknown", "Unconfirmed")
    assert state_of(status, "Ready")[0] == "Unknown"


def test_an_api_that_cannot_be_reached_is_unknown() -> None:
    status = Scenario(health=Health(None, "timed out after 5 s")).status()
    assert state_of(status, "APIReady") == ("Unknown", "Unreachable")
    assert "timed out after 5 s" in condition_of(status, "APIReady")["message"]
    assert state_of(status, "Ready") == ("Unknown", "Unreachable")


def test_states_of_a_later_api_version_are_unknown() -> None:
    later = altered(health(), configuration={"state": "migrating"}, router_model={"state": "asleep"})
    status = Scenario(health=later).status()
    assert state_of(status, "APIReady") == ("True", "Serving")
    assert state_of(status, "ModelReady") == ("Unknown", "Unconfirmed")
    assert state_of(status, "Degraded") == ("False", "NoFault")


def test_a_model_without_valid_decisions_is_not_ready_although_its_pods_are() -> None:
    status = Scenario(health=health(router_model="no readable decision: prose")).status()
    assert state_of(status, "ModelReady") == ("False", "NotDeciding")
    assert "no readable decision: prose" in condition_of(status, "Ready")["message"]
    assert state_of(status, "Ready") == ("False", "NotDeciding")


def test_a_model_that_the_policy_does_not_use_is_ready_if_its_pods_are() -> None:
    status = Scenario(health=altered(health(), router_model={"state": "unused"})).status()
    assert state_of(status, "ModelReady") == ("True", "Unused")
    assert state_of(status, "Ready") == ("True", "Serving")


def test_a_failed_decision_from_before_the_models_pods_were_ready_does_not_count() -> None:
    unreachable = health(router_model="cannot connect")
    young, old = (Scenario(model=(Pod(ready=True, age=age),), health=unreachable) for age in (5, 130))
    assert state_of(young.status(), "ModelReady") == ("Unknown", "Unconfirmed")
    assert "): cannot connect" in condition_of(young.status(), "ModelReady")["message"]
    assert state_of(old.status(), "ModelReady") == ("False", "NotDeciding")


def test_a_tier_without_its_service_is_not_ready() -> None:
    assert state_of(Scenario(services=(service("model"),)).status(), "APIReady") == ("False", "ServiceMissing")
    assert state_of(Scenario(services=(service("api"),)).status(), "ModelReady") == ("False", "ServiceMissing")
    rejected = ChildError("Service", "demo-api", "Refused", "exceeded quota: services")
    assert state_of(Scenario(services=(service("model"),), errors=(rejected,)).status(), "APIReady") == (
        "False",
        "Refused",
    )


def test_services_that_the_operator_may_not_list_are_not_reported_as_missing() -> None:
    hidden = ChildError("Service", "demo-api", "Forbidden", 'cannot list resource "services"')
    status = Scenario(services=(service("model"),), errors=(hidden,)).status()
    assert state_of(status, "APIReady") == ("True", "Serving")
    assert state_of(status, "Degraded") == ("True", "Forbidden")


def test_the_state_of_an_external_model_comes_only_from_the_apis_report() -> None:
    spec = {"model": {"external": {"baseUrl": "https://models.example/v1"}}}
    status = Scenario(spec=spec, model=(), children=(workload("api"),)).status()
    assert state_of(status, "ModelReady") == ("True", "Deciding")
    assert status["model"] == "external"
    bad = Scenario(spec=spec, model=(), health=health(router_model="its key is refused (401)")).status()
    assert state_of(bad, "ModelReady") == ("False", "NotDeciding")


def test_the_last_report_counts_until_a_new_pod_has_reported() -> None:
    """So a start of the operator or a rollout of a single pod does not change the conditions."""
    unhealthy = health(refused="routing.max_turns: too many", targets={"cheap": "401", "strong": None})
    before = Scenario(health=unhealthy).status()
    assert Scenario(health=None, api=(api_pod("demo-api-new-1", ready=True),)).status(before, LATER) == before


def test_the_number_of_pods_is_current_although_no_pod_has_reported_since() -> None:
    before = Scenario(api=(api_pod(ready=True), api_pod("demo-api-old", ready=True))).status()
    status = Scenario(health=None, api=(api_pod("demo-api-new-1", ready=True),)).status(before, LATER)
    assert state_of(status, "APIReady") == ("True", "Serving")
    assert condition_of(status, "APIReady")["message"].startswith("1/1 API pods")


def test_an_invalid_keys_file_is_named_by_its_secret() -> None:
    file = "/var/run/rl-router/keys/clients/keys"
    message = condition_of(
        Scenario(health=health(refused=f"{file}: 0.sha256: no hash", file=file)).status(), "Degraded"
    )["message"]
    assert (
        "the new configuration file or keys file is invalid: key keys of Secret clients: 0.sha256: no hash." in message
    )


def test_an_api_without_any_key_is_a_fault_that_names_the_secret() -> None:
    file = "/var/run/rl-router/keys/clients/keys"
    without_keys = health(closed=f"{file} contains no keys: nobody is admitted", file=file)
    message = condition_of(Scenario(health=without_keys).status(), "Degraded")["message"]
    assert message.startswith("Key keys of Secret clients contains no keys: nobody is admitted.")


def test_one_pod_with_decisions_makes_the_router_ready_and_another_without_degrades_it() -> None:
    pods = (api_pod("demo-api-a", ready=True), api_pod("demo-api-b", ready=True))
    healths = {"demo-api-a": health(), "demo-api-b": health(router_model="connection refused")}
    status = Scenario(api=pods, healths=healths).status()
    assert state_of(status, "Ready")[0] == "True"
    assert state_of(status, "Degraded") == ("True", "NotDeciding")


def test_a_tier_with_0_replicas_is_scaled_to_zero() -> None:
    for spec, type_ in (({"model": {"replicas": 0}}, "ModelReady"), ({"api": {"replicas": 0}}, "APIReady")):
        status = Scenario(spec=spec, model=(), api=()).status()
        assert state_of(status, type_) == ("False", "ScaledToZero")


def test_a_suspended_router_is_not_ready_and_not_degraded() -> None:
    status = Scenario(
        spec={"suspend": True}, model=(), api=(), children=(workload("model", 0), workload("api", 0))
    ).status()
    assert state_of(status, "Ready") == ("False", "Suspended")
    assert state_of(status, "TargetsReady") == ("Unknown", "Suspended")
    assert state_of(status, "Degraded") == ("False", "NoFault")
    assert (status["model"], status["api"]) == ("0/0", "0/0")


def test_the_message_of_ready_says_that_a_router_is_paused() -> None:
    status = Scenario(model=()).status(paused="true")
    assert state_of(status, "Ready") == ("False", "Starting")
    assert "rlrouter.dev/paused" in condition_of(status, "Ready")["message"]
    assert "Paused" not in condition_of(Scenario().status(), "Ready")["message"]


def test_the_desired_number_of_api_pods_comes_from_the_autoscaler() -> None:
    spec = {"api": {"autoscaling": {"minReplicas": 2, "maxReplicas": 9}, "resources": {"requests": {"cpu": "1"}}}}
    assert Scenario(spec=spec, children=(workload("api", 4),)).status()["api"] == "1/4"
    assert Scenario(spec=spec, children=()).status()["api"] == "1/2"


def test_an_invalid_spec_keeps_the_earlier_status_of_the_children() -> None:
    before = Scenario().status()
    body = {"metadata": {"name": "demo", "namespace": "team", "generation": 4}, "status": before}
    status = invalid(body, "spec.model.source: no such scheme", NOW)
    assert [condition["type"] for condition in status["conditions"]] == TYPES
    assert {condition["reason"] for condition in status["conditions"]} == {"InvalidSpec"}
    assert state_of(status, "Ready")[0] == "False"
    assert state_of(status, "Degraded")[0] == "True"
    assert "spec.model.source: no such scheme" in condition_of(status, "Ready")["message"]
    assert (status["url"], status["model"], status["observedGeneration"]) == (before["url"], "1/1", 4)
    assert invalid(body | {"status": status}, "spec.model.source: no such scheme", LATER) == status


def test_a_spec_that_was_never_valid_has_a_status() -> None:
    status = invalid({"metadata": {"name": "demo", "namespace": "team"}}, "spec.api: wrong", NOW)
    assert (status["replicas"], status["targets"], state_of(status, "Ready")) == (0, [], ("False", "InvalidSpec"))


def test_pods_that_the_operator_may_not_list_are_not_reported_as_missing() -> None:
    hidden = ChildError("Pod", "", "Forbidden", 'cannot list resource "pods"')
    status = Scenario(model=(), api=(), errors=(hidden,)).status()
    assert state_of(status, "ModelReady") == ("Unknown", "Forbidden")
    assert state_of(status, "APIReady") == ("Unknown", "Forbidden")


def test_the_message_is_about_the_pod_with_the_most_severe_failure() -> None:
    pods = (
        Pod("demo-model-0", state=running(), phase="Running"),
        Pod("demo-model-1", last=terminated("ValueError: no"), state=running(), phase="Running", restarts=1),
    )
    status = Scenario(spec={"model": {"replicas": 2}}, model=pods).status()
    assert state_of(status, "ModelReady") == ("False", "CrashLooping")
    assert "demo-model-1" in condition_of(status, "ModelReady")["message"]


def test_pods_of_other_routers_are_ignored() -> None:
    foreign = Pod(ready=True).manifest()
    foreign["metadata"]["labels"]["app.kubernetes.io/instance"] = "other"
    assert Scenario(model=(), other_pods=(foreign,)).status()["model"] == "0/1"


def test_an_unknown_reason_of_another_operator_version_is_replaced() -> None:
    before = {"conditions": [{**condition("ModelReady", "Unknown", "SomethingNew", "x"), "observedGeneration": 1}]}
    assert state_of(Scenario(healths={}).status(before), "ModelReady") == ("Unknown", "Unconfirmed")
