"""The five conditions, and that they stay as they are while nothing changes."""

from __future__ import annotations

from datetime import timedelta

from rl_router_operator.objects.observed import ChildError, Health
from rl_router_operator.schema import RouterDeploymentStatus
from rl_router_operator.status import invalid
from world import NOW, Pod, World, answered, api_pod, condition, ended, health, of, running, said, service, workload

LATER = NOW + timedelta(hours=1)
TYPES = ["ModelReady", "APIReady", "TargetsReady", "Ready", "Degraded"]


def test_a_router_whose_model_decides_is_ready() -> None:
    status = World().status()
    assert [(each["type"], each["status"]) for each in status["conditions"]] == [
        ("ModelReady", "True"),
        ("APIReady", "True"),
        ("TargetsReady", "True"),
        ("Ready", "True"),
        ("Degraded", "False"),
    ]
    assert (status["model"], status["api"], status["replicas"], status["observedGeneration"]) == ("1/1", "1/1", 1, 3)


def test_a_status_is_of_the_schemas_shape() -> None:
    status = World(health=health(targets={"cheap": "its key is refused (401)", "strong": None})).status()
    read = RouterDeploymentStatus.model_validate(status, by_alias=True, by_name=False, context="camelCase")
    assert read.model_dump(mode="json", by_alias=True, exclude_none=True) == status


def test_an_unchanged_world_gives_an_equal_status_an_hour_later() -> None:
    for world in (World(), World(spec={"suspend": True}), World(healths={})):
        status = world.status()
        assert world.status(status, LATER) == status


def test_a_model_that_loads_gives_an_equal_status_half_an_hour_later() -> None:
    world = World(model=(Pod(age=60, state=running(), phase="Running"),))
    status = world.status()
    assert said(status, "ModelReady") == ("False", "Loading")
    assert world.status(status, NOW + timedelta(minutes=28)) == status


def test_the_time_of_a_change_moves_with_the_status_alone() -> None:
    status = World().status()
    later = World(spec={"targets": []}).status(status, LATER)
    assert of(later, "Ready")["lastTransitionTime"] == of(status, "Ready")["lastTransitionTime"]
    down = World(model=()).status(status, LATER)
    assert of(down, "Ready")["lastTransitionTime"] == "2026-11-24T13:00:00Z"
    assert of(down, "APIReady")["lastTransitionTime"] == of(status, "APIReady")["lastTransitionTime"]


def test_every_condition_names_the_generation_that_was_looked_at() -> None:
    assert {each["observedGeneration"] for each in World().status()["conditions"]} == {3}


def test_the_selector_is_that_of_the_apis_pods() -> None:
    assert World().status()["selector"] == (
        "app.kubernetes.io/component=api,app.kubernetes.io/instance=demo,app.kubernetes.io/name=rl-router"
    )


def test_ready_pods_alone_do_not_make_a_router_ready() -> None:
    status = World(healths={}).status()
    assert said(status, "APIReady") == ("Unknown", "Unconfirmed")
    assert said(status, "ModelReady") == ("Unknown", "Unconfirmed")
    assert said(status, "Ready")[0] == "Unknown"


def test_an_api_that_cannot_be_asked_is_neither_good_nor_bad() -> None:
    status = World(health=Health(None, "timed out after 5 s")).status()
    assert said(status, "APIReady") == ("Unknown", "Unreachable")
    assert "timed out after 5 s" in of(status, "APIReady")["message"]
    assert said(status, "Ready") == ("Unknown", "Unreachable")


def test_states_that_only_a_later_version_knows_are_neither_good_nor_bad() -> None:
    later = answered(health(), configuration={"state": "migrating"}, router_model={"state": "asleep"})
    status = World(health=later).status()
    assert said(status, "APIReady") == ("True", "Serving")
    assert said(status, "ModelReady") == ("Unknown", "Unconfirmed")
    assert said(status, "Degraded") == ("False", "NoFault")


def test_a_model_that_does_not_decide_is_not_ready_though_its_pods_are() -> None:
    status = World(health=health(router_model="no readable decision: prose")).status()
    assert said(status, "ModelReady") == ("False", "NotDeciding")
    assert "no readable decision: prose" in of(status, "Ready")["message"]
    assert said(status, "Ready") == ("False", "NotDeciding")


def test_a_model_that_the_policy_does_not_need_is_ready_with_its_pods() -> None:
    status = World(health=answered(health(), router_model={"state": "unused"})).status()
    assert said(status, "ModelReady") == ("True", "Unused")
    assert said(status, "Ready") == ("True", "Serving")


def test_a_model_is_not_blamed_for_what_the_api_found_before_its_pods_were_ready() -> None:
    refused = health(router_model="cannot connect")
    young, old = (World(model=(Pod(ready=True, age=age),), health=refused) for age in (5, 130))
    assert said(young.status(), "ModelReady") == ("Unknown", "Unconfirmed")
    assert "yet: cannot connect" in of(young.status(), "ModelReady")["message"]
    assert said(old.status(), "ModelReady") == ("False", "NotDeciding")


def test_a_tier_without_its_service_is_not_ready_whatever_its_pods_say() -> None:
    assert said(World(services=(service("model"),)).status(), "APIReady") == ("False", "ServiceMissing")
    assert said(World(services=(service("api"),)).status(), "ModelReady") == ("False", "ServiceMissing")
    refused = ChildError("Service", "demo-api", "Refused", "exceeded quota: services")
    assert said(World(services=(service("model"),), problems=(refused,)).status(), "APIReady") == ("False", "Refused")


def test_services_that_may_not_be_looked_at_are_not_called_missing() -> None:
    hidden = ChildError("Service", "demo-api", "Forbidden", 'cannot list resource "services"')
    status = World(services=(service("model"),), problems=(hidden,)).status()
    assert said(status, "APIReady") == ("True", "Serving")
    assert said(status, "Degraded") == ("True", "Forbidden")


def test_a_model_elsewhere_is_known_by_the_apis_word_alone() -> None:
    spec = {"model": {"external": {"baseUrl": "https://models.example/v1"}}}
    status = World(spec=spec, model=(), children=(workload("api"),)).status()
    assert said(status, "ModelReady") == ("True", "Deciding")
    assert status["model"] == "external"
    bad = World(spec=spec, model=(), health=health(router_model="its key is refused (401)")).status()
    assert said(bad, "ModelReady") == ("False", "NotDeciding")


def test_what_an_api_pod_said_stands_until_its_successor_was_asked() -> None:
    """An operator that starts, or a roll-out of a single pod, makes nothing uncertain."""
    unwell = health(refused="routing.max_turns: too many", targets={"cheap": "401", "strong": None})
    before = World(health=unwell).status()
    assert World(health=None, api=(api_pod("demo-api-new-1", ready=True),)).status(before, LATER) == before


def test_the_count_of_pods_is_todays_though_none_was_asked_since() -> None:
    before = World(api=(api_pod(ready=True), api_pod("demo-api-old", ready=True))).status()
    status = World(health=None, api=(api_pod("demo-api-new-1", ready=True),)).status(before, LATER)
    assert said(status, "APIReady") == ("True", "Serving")
    assert of(status, "APIReady")["message"].startswith("1/1 API pods")


def test_a_keys_file_that_is_refused_is_named_by_its_secret() -> None:
    file = "/var/run/rl-router/keys/clients/keys"
    message = of(World(health=health(refused=f"{file}: 0.sha256: no hash", file=file)).status(), "Degraded")["message"]
    assert "valid configuration: key keys of Secret clients: 0.sha256: no hash." in message


def test_an_api_that_lets_nobody_in_is_a_fault_that_names_the_secret() -> None:
    file = "/var/run/rl-router/keys/clients/keys"
    nobody = health(closed=f"{file} holds no keys: nobody gets in", file=file)
    message = of(World(health=nobody).status(), "Degraded")["message"]
    assert message.startswith("Key keys of Secret clients holds no keys: nobody gets in.")


def test_one_pod_that_decides_is_enough_and_the_others_doubt_is_told() -> None:
    pods = (api_pod("demo-api-a", ready=True), api_pod("demo-api-b", ready=True))
    healths = {"demo-api-a": health(), "demo-api-b": health(router_model="connection refused")}
    status = World(api=pods, healths=healths).status()
    assert said(status, "Ready")[0] == "True"
    assert said(status, "Degraded") == ("True", "NotDeciding")


def test_no_pods_are_wanted() -> None:
    for spec, type_ in (({"model": {"replicas": 0}}, "ModelReady"), ({"api": {"replicas": 0}}, "APIReady")):
        status = World(spec=spec, model=(), api=()).status()
        assert said(status, type_) == ("False", "ScaledToZero")


def test_suspended_is_said_and_is_no_fault() -> None:
    status = World(
        spec={"suspend": True}, model=(), api=(), children=(workload("model", 0), workload("api", 0))
    ).status()
    assert said(status, "Ready") == ("False", "Suspended")
    assert said(status, "TargetsReady") == ("Unknown", "Suspended")
    assert said(status, "Degraded") == ("False", "NoFault")
    assert (status["model"], status["api"]) == ("0/0", "0/0")


def test_paused_is_said_while_conditions_go_on() -> None:
    status = World(model=()).status(paused="true")
    assert said(status, "Ready") == ("False", "Starting")
    assert "rlrouter.dev/paused" in of(status, "Ready")["message"]
    assert "Paused" not in of(World().status(), "Ready")["message"]


def test_an_autoscaler_says_how_many_api_pods_are_wanted() -> None:
    spec = {"api": {"autoscaling": {"minReplicas": 2, "maxReplicas": 9}, "resources": {"requests": {"cpu": "1"}}}}
    assert World(spec=spec, children=(workload("api", 4),)).status()["api"] == "1/4"
    assert World(spec=spec, children=()).status()["api"] == "1/2"


def test_a_spec_that_cannot_be_used_keeps_what_was_known_of_the_children() -> None:
    before = World().status()
    body = {"metadata": {"name": "demo", "namespace": "team", "generation": 4}, "status": before}
    status = invalid(body, "spec.model.source: no such scheme", NOW)
    assert [each["type"] for each in status["conditions"]] == TYPES
    assert {each["reason"] for each in status["conditions"]} == {"InvalidSpec"}
    assert said(status, "Ready")[0] == "False"
    assert said(status, "Degraded")[0] == "True"
    assert "spec.model.source: no such scheme" in of(status, "Ready")["message"]
    assert (status["url"], status["model"], status["observedGeneration"]) == (before["url"], "1/1", 4)
    assert invalid(body | {"status": status}, "spec.model.source: no such scheme", LATER) == status


def test_a_spec_that_never_could_be_used_has_a_status_too() -> None:
    status = invalid({"metadata": {"name": "demo", "namespace": "team"}}, "spec.api: wrong", NOW)
    assert (status["replicas"], status["targets"], said(status, "Ready")) == (0, [], ("False", "InvalidSpec"))


def test_pods_that_may_not_be_listed_are_not_called_missing() -> None:
    hidden = ChildError("Pod", "", "Forbidden", 'cannot list resource "pods"')
    status = World(model=(), api=(), problems=(hidden,)).status()
    assert said(status, "ModelReady") == ("Unknown", "Forbidden")
    assert said(status, "APIReady") == ("Unknown", "Forbidden")


def test_the_gravest_pod_is_told_of_first() -> None:
    pods = (
        Pod("demo-model-0", state=running(), phase="Running"),
        Pod("demo-model-1", last=ended("ValueError: no"), state=running(), phase="Running", restarts=1),
    )
    status = World(spec={"model": {"replicas": 2}}, model=pods).status()
    assert said(status, "ModelReady") == ("False", "CrashLooping")
    assert "demo-model-1" in of(status, "ModelReady")["message"]


def test_other_routers_pods_count_for_nothing() -> None:
    foreign = Pod(ready=True).manifest()
    foreign["metadata"]["labels"]["app.kubernetes.io/instance"] = "other"
    assert World(model=(), others=(foreign,)).status()["model"] == "0/1"


def test_a_condition_of_another_version_of_the_operator_is_replaced() -> None:
    before = {"conditions": [{**condition("ModelReady", "Unknown", "SomethingNew", "x"), "observedGeneration": 1}]}
    assert said(World(healths={}).status(before), "ModelReady") == ("Unknown", "Unconfirmed")
