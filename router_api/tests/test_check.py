"""`rl-router check` validates a configuration file as `serve` does at its start, without serving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rl_router_api.access.keys import new_key
from rl_router_api.commands import check
from rl_router_api.health import ExitCode
from rl_router_api.runtime.source import Source

TARGET = {"name": "alpha", "base_url": "http://127.0.0.1:9/v1"}
Checked = tuple[int, str, str]
Check = Callable[..., Checked]


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Check:
    """Returns a function that checks `router.yaml` and returns the exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(configuration: dict[str, Any] | str, **environment: str) -> Checked:
        text = configuration if isinstance(configuration, str) else yaml.safe_dump(configuration)
        Path("router.yaml").write_text(text)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = check.main(["router.yaml"], "rl-router check")
        return code, *capfd.readouterr()

    return run


def test_a_valid_file_is_summarized_in_one_line(checked: Check) -> None:
    _, entry = new_key("alice")
    Path("keys.yaml").write_text(entry)
    configuration = {"targets": [TARGET, {**TARGET, "name": "beta"}], "server": {"api_keys_file": "keys.yaml"}}
    assert checked(configuration) == (0, "router.yaml: valid: 2 targets, policy rl or learned, 1 client key\n", "")


def test_without_targets_the_models_of_the_router_model_are_the_targets(checked: Check) -> None:
    line = (
        "router.yaml: valid: every model with a valid name that the router model's server lists is a target, "
        "policy fixed, clients need no API key\n"
    )
    assert checked({"routing": {"policy": "fixed"}}) == (0, line, "")


def test_each_warning_of_a_start_is_a_line(checked: Check) -> None:
    targets = [TARGET, {**TARGET, "name": "beta", "api_key_env": "NO_SUCH_KEY"}]
    code, out, err = checked({"targets": targets, "server": {"host": "0.0.0.0"}})
    assert (code, out) == (0, "router.yaml: valid: 2 targets, policy rl or learned, clients need no API key\n")
    assert err.splitlines() == [
        "warning: target `beta` is not used: NO_SUCH_KEY is not set. Set the target's API key",
        "warning: server.api_keys_file is not set, and the server listens on 0.0.0.0: anyone who can reach the server "
        "can use it without an API key. Set server.api_keys_file to require API keys",
    ]


def test_a_keys_file_that_does_not_exist_is_a_warning(checked: Check) -> None:
    code, out, err = checked({"server": {"api_keys_file": "keys.yaml"}})
    assert (code, "0 client keys" in out) == (0, True)
    remedy = "Run `rl-router new-key NAME`, and add the printed entry to the keys file"
    assert err == f"warning: keys.yaml does not exist: nobody is admitted. {remedy}\n"


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"routing": {"max_turn": 3}}, "unknown key `max_turn`: did you mean `max_turns`?"),
        ({"routing": {"policy": "luck"}}, "unknown policy `luck`"),
        ({"targets": [{**TARGET, "api_key_env": "NO_SUCH_KEY"}]}, "no target has its API key"),
        ("server:\n", "server: the section must be a mapping"),
        ("a: [", "router.yaml"),
    ],
)
def test_an_invalid_file_is_the_error_of_a_start(
    checked: Check, configuration: dict[str, Any] | str, words: str
) -> None:
    code, out, err = checked(configuration)
    assert (code, out) == (ExitCode.CONFIGURATION, "")
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1


def test_an_invalid_keys_file_has_an_exit_code_of_its_own(checked: Check) -> None:
    Path("keys.yaml").write_text("- {name: alice, sha256: abc}\n")
    code, _, err = checked({"server": {"api_keys_file": "keys.yaml"}})
    assert code == ExitCode.KEYS_FILE
    assert err.startswith("error: keys.yaml: 0.sha256")


def test_environment_variables_override_the_file(checked: Check) -> None:
    code, _, err = checked({"routing": {"max_turns": 3}}, RL_ROUTER_ROUTING__MAX_TURNS="0")
    assert code == ExitCode.CONFIGURATION
    assert "RL_ROUTER_ROUTING__MAX_TURNS" in err


def test_nothing_is_saved_as_the_last_good_configuration(checked: Check, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    assert checked({"server": {}}, RL_ROUTER_STATE_DIR=str(tmp_path / "state"))[0] == 0
    assert not list((tmp_path / "state").iterdir())


def test_a_file_that_a_start_replaces_by_its_last_good_copy_is_invalid(checked: Check, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    environment = {"RL_ROUTER_STATE_DIR": str(tmp_path / "state")}
    Path("router.yaml").write_text("server: {}")
    Source("router.yaml", state=str(tmp_path / "state")).start()
    assert checked("a: [", **environment)[0] == ExitCode.CONFIGURATION
