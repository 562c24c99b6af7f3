"""TargetsReady, and the state of each target."""

from __future__ import annotations

from fakes.cluster.conditions import condition_of, state_of
from fakes.cluster.health import altered, health
from fakes.cluster.pods import api_pod
from fakes.cluster.scenario import Scenario, workload

BOTH_BAD = {"cheap": "its key is refused (401)", "strong": "connection refused"}


def test_a_bad_target_is_named_while_the_router_stays_ready() -> None:
    status = Scenario(health=health(targets=BOTH_BAD | {"strong": None})).status()
    assert state_of(status, "TargetsReady") == ("True", "TargetsReachable")
    assert state_of(status, "Ready")[0] == "True"
    assert state_of(status, "Degraded") == ("True", "TargetBad")
    assert "its key is refused (401)" in condition_of(status, "Degraded")["message"]
    assert status["targets"] == [
        {"name": "cheap", "state": "bad", "reason": "its key is refused (401)"},
        {"name": "strong", "state": "ok"},
    ]


def test_a_missing_key_is_named_by_its_secret_instead_of_its_file() -> None:
    file = "/var/run/rl-router/keys/open.ai-2/api-key"
    missing = health(targets={"cheap": f"{file} is missing, empty or unreadable", "strong": None}, file=file)
    status = Scenario(health=missing).status()
    assert status["targets"][0]["reason"] == "key api-key of Secret open.ai-2 is missing, empty or unreadable"


def test_a_report_of_an_earlier_api_version_names_the_file_of_a_missing_key() -> None:
    reason = "/var/run/rl-router/keys/openai/api-key is missing or empty"
    status = Scenario(health=health(targets={"cheap": reason, "strong": None})).status()
    assert status["targets"][0] == {"name": "cheap", "state": "bad", "reason": reason}


def test_a_file_that_does_not_come_from_a_secret_keeps_its_path() -> None:
    reason = "/etc/keys/openai is missing, empty or unreadable"
    status = Scenario(health=health(targets={"cheap": reason, "strong": None}, file="/etc/keys/openai")).status()
    assert status["targets"][0]["reason"] == reason


def test_targets_are_not_ready_if_all_are_bad() -> None:
    status = Scenario(health=health(targets=BOTH_BAD)).status()
    assert state_of(status, "TargetsReady") == ("False", "NoTargetAnswers")
    assert state_of(status, "Ready") == ("False", "NoTargetAnswers")


def test_targets_that_no_pod_has_checked_are_unknown() -> None:
    report = altered(health(), targets={"cheap": {"state": "unknown"}, "strong": {"state": "unknown"}})
    status = Scenario(health=report).status()
    assert state_of(status, "TargetsReady") == ("Unknown", "Unconfirmed")
    assert "`cheap` and `strong`" in condition_of(status, "TargetsReady")["message"]


def test_a_new_target_that_the_api_has_not_loaded_is_unknown() -> None:
    report = altered(health(), targets={"cheap": {"state": "ok"}, "gone": {"state": "bad"}})
    assert Scenario(health=report).status()["targets"] == [
        {"name": "cheap", "state": "ok"},
        {"name": "strong", "state": "unknown"},
    ]


def test_a_target_that_one_pod_cannot_reach_is_bad_but_the_targets_stay_ready() -> None:
    pods = (api_pod("demo-api-a", ready=True), api_pod("demo-api-b", ready=True))
    healths = {"demo-api-a": health(targets=BOTH_BAD), "demo-api-b": health()}
    status = Scenario(api=pods, healths=healths).status()
    assert state_of(status, "TargetsReady") == ("True", "TargetsReachable")
    assert [target["state"] for target in status["targets"]] == ["bad", "bad"]


def test_without_targets_in_the_spec_the_status_has_the_reported_ones() -> None:
    scenario = Scenario(spec={}, health=health(targets={"b": None, "a": None}))
    assert [target["name"] for target in scenario.status()["targets"]] == ["a", "b"]


def test_a_router_without_targets_names_the_missing_field() -> None:
    report = altered(health(), targets={}, router_model={"state": "unknown"})
    status = Scenario(spec={}, health=report).status()
    assert state_of(status, "TargetsReady") == ("False", "NoTargets")
    assert "spec.targets" in condition_of(status, "Ready")["message"]


def test_the_status_has_at_most_64_targets() -> None:
    report = altered(health(), targets={f"t{number}": {"state": "ok"} for number in range(100)})
    assert len(Scenario(spec={}, health=report).status()["targets"]) == 64


def test_messages_of_a_target_are_redacted_and_truncated() -> None:
    reason = f"401: Incorrect API key provided: sk-{'a' * 40}, Bearer abc.def\n{'x' * 900}"
    status = Scenario(health=health(targets={"cheap": reason, "strong": None})).status()
    assert "sk-" not in str(status)
    assert "abc.def" not in str(status)
    assert len(status["targets"][0]["reason"]) == 512


def test_targets_keep_their_state_until_the_next_report_and_are_unknown_without_api_pods() -> None:
    before = Scenario(health=health(targets=BOTH_BAD)).status()
    assert Scenario(health=None).status(before)["targets"] == before["targets"]
    gone = Scenario(api=(), children=(workload("api"),)).status(before)
    assert [target["state"] for target in gone["targets"]] == ["unknown", "unknown"]
