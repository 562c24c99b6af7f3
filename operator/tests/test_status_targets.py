"""TargetsReady, and how each target is."""

from __future__ import annotations

from world import World, answered, api_pod, health, of, said, workload

BOTH_BAD = {"cheap": "its key is refused (401)", "strong": "connection refused"}


def test_a_target_that_cannot_answer_is_named_while_the_router_stays_ready() -> None:
    status = World(health=health(targets=BOTH_BAD | {"strong": None})).status()
    assert said(status, "TargetsReady") == ("True", "TargetsReachable")
    assert said(status, "Ready")[0] == "True"
    assert said(status, "Degraded") == ("True", "TargetBad")
    assert "its key is refused (401)" in of(status, "Degraded")["message"]
    assert status["targets"] == [
        {"name": "cheap", "state": "bad", "reason": "its key is refused (401)"},
        {"name": "strong", "state": "ok"},
    ]


def test_a_key_that_is_missing_is_told_by_its_secret_and_not_by_a_file_in_the_pod() -> None:
    file = "/var/run/rl-router/keys/open.ai-2/api-key"
    missing = health(targets={"cheap": f"{file} is missing or empty", "strong": None}, file=file)
    status = World(health=missing).status()
    assert status["targets"][0]["reason"] == "key api-key of Secret open.ai-2 is missing or empty"


def test_an_api_of_the_version_before_names_the_file_of_a_missing_key_alone() -> None:
    reason = "/var/run/rl-router/keys/openai/api-key is missing or empty"
    status = World(health=health(targets={"cheap": reason, "strong": None})).status()
    assert status["targets"][0] == {"name": "cheap", "state": "bad", "reason": reason}


def test_a_file_that_is_no_secrets_key_stays_as_it_is_named() -> None:
    reason = "/etc/keys/openai is missing or empty"
    status = World(health=health(targets={"cheap": reason, "strong": None}, file="/etc/keys/openai")).status()
    assert status["targets"][0]["reason"] == reason


def test_targets_are_not_ready_only_where_none_can_answer() -> None:
    status = World(health=health(targets=BOTH_BAD)).status()
    assert said(status, "TargetsReady") == ("False", "NoTargetAnswers")
    assert said(status, "Ready") == ("False", "NoTargetAnswers")


def test_targets_that_nobody_has_looked_at_yet_are_not_known() -> None:
    answer = answered(health(), targets={"cheap": {"state": "unknown"}, "strong": {"state": "unknown"}})
    status = World(health=answer).status()
    assert said(status, "TargetsReady") == ("Unknown", "Unconfirmed")
    assert "`cheap` and `strong`" in of(status, "TargetsReady")["message"]


def test_a_target_that_the_apis_configuration_has_not_yet_is_not_known() -> None:
    answer = answered(health(), targets={"cheap": {"state": "ok"}, "gone": {"state": "bad"}})
    assert World(health=answer).status()["targets"] == [
        {"name": "cheap", "state": "ok"},
        {"name": "strong", "state": "unknown"},
    ]


def test_a_target_that_one_pod_cannot_reach_is_bad_and_can_still_answer() -> None:
    pods = (api_pod("demo-api-a", ready=True), api_pod("demo-api-b", ready=True))
    healths = {"demo-api-a": health(targets=BOTH_BAD), "demo-api-b": health()}
    status = World(api=pods, healths=healths).status()
    assert said(status, "TargetsReady") == ("True", "TargetsReachable")
    assert [each["state"] for each in status["targets"]] == ["bad", "bad"]


def test_without_targets_in_the_spec_those_that_were_found_are_told() -> None:
    world = World(spec={}, health=health(targets={"b": None, "a": None}))
    assert [each["name"] for each in world.status()["targets"]] == ["a", "b"]


def test_a_router_without_targets_says_what_is_missing() -> None:
    answer = answered(health(), targets={}, router_model={"state": "unknown"})
    status = World(spec={}, health=answer).status()
    assert said(status, "TargetsReady") == ("False", "NoTargets")
    assert "spec.targets" in of(status, "Ready")["message"]


def test_no_more_targets_are_told_than_the_status_can_hold() -> None:
    answer = answered(health(), targets={f"t{number}": {"state": "ok"} for number in range(100)})
    assert len(World(spec={}, health=answer).status()["targets"]) == 64


def test_what_a_target_says_is_scrubbed() -> None:
    reason = f"401: Incorrect API key provided: sk-{'a' * 40}, Bearer abc.def\n{'x' * 900}"
    status = World(health=health(targets={"cheap": reason, "strong": None})).status()
    assert "sk-" not in str(status)
    assert "abc.def" not in str(status)
    assert len(status["targets"][0]["reason"]) == 512


def test_targets_are_as_they_were_while_the_api_is_away() -> None:
    before = World(health=health(targets=BOTH_BAD)).status()
    assert World(health=None).status(before)["targets"] == before["targets"]
    gone = World(api=(), children=(workload("api"),)).status(before)
    assert [each["state"] for each in gone["targets"]] == ["unknown", "unknown"]
