"""The help and the errors of `rl-router`, and the start of each command."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from rl_router_cli.commands import COMMANDS, MODULES_OF_EXTRA
from rl_router_cli.main import main

ROOT = Path(__file__).resolve().parents[2]
Completed = subprocess.CompletedProcess[str]


def rl_router(*arguments: str) -> Completed:
    return python("-m", "rl_router_cli", *arguments)


def without_module(module: str, *arguments: str) -> Completed:
    """Runs a command as if the module were not installed."""
    code = (
        f"import sys; sys.modules[{module!r}] = None; from rl_router_cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    return python("-c", code, *arguments)


def python(*arguments: str, **environment: str) -> Completed:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


def test_the_help_has_a_line_for_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: rl-router COMMAND [options]")
    for command in COMMANDS:
        assert f"\n  {f'{command.name} {command.operands}':<18}{command.help}\n" in text


def test_without_a_command_the_help_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: rl-router COMMAND")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sevre", 'unknown command "sevre". Did you mean "serve"?'),
        ("newkey", 'unknown command "newkey". Did you mean "new-key"?'),
        ("xyz", 'unknown command "xyz". Commands are serve, model, operator, lab, new-key, check.'),
        ("--port", 'unknown option "--port". Put the command first: rl-router COMMAND --port'),
    ],
)
def test_an_unknown_command_is_one_line_with_the_nearest_match(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "1"]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_the_version_is_that_of_the_package() -> None:
    assert rl_router("--version").stdout == python("-m", "rl_router_api", "--version").stdout


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_the_help_of_a_command_stands_alone(name: str) -> None:
    shown = rl_router(name, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"usage: rl-router {name}")
    assert "example" in shown.stdout


@pytest.mark.parametrize(
    ("module", "usage"),
    [("rl_router_api", "python -m rl_router_api"), ("rl_router_operator", "python -m rl_router_operator")],
)
def test_the_modules_of_the_commands_still_run(module: str, usage: str) -> None:
    assert python("-m", module, "--help").stdout.startswith(f"usage: {usage}")


def test_serve_has_the_exit_codes_of_the_router_api() -> None:
    ended = rl_router("serve", "--config", "no-such-file.yaml")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: no-such-file.yaml: the file cannot be read")


def test_new_key_prints_a_key_and_its_entry() -> None:
    assert "- name: alice\n  sha256: " in rl_router("new-key", "alice").stdout


def test_a_missing_optional_dependency_is_one_line_with_the_remedy() -> None:
    ended = without_module("uvicorn", "serve")
    assert ended.returncode == 1
    assert ended.stderr == (
        'error: the command "serve" requires the module uvicorn, which is not installed. Install RL Router '
        "with the extra `api`.\n"
    )


def test_the_cpu_fallback_without_its_engine_is_one_line_with_the_remedy() -> None:
    ended = without_module("xllamacpp", "model", "--device", "cpu", "--port", "1")
    assert ended.returncode == 1
    remedy = "Install RL Router with the extra `model`."
    assert ended.stderr == f"error: the CPU fallback lacks packages: xllamacpp. {remedy}\n"


@pytest.mark.parametrize("module", ["pydantic", "rl_router_api.runtime.source"])
def test_any_other_missing_module_is_not_hidden(module: str) -> None:
    ended = without_module(module, "serve")
    assert ended.returncode == 1
    assert f"ModuleNotFoundError: import of {module} halted" in ended.stderr


def test_the_modules_of_the_optional_dependencies_are_those_of_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, modules in MODULES_OF_EXTRA.items():
        names = {requirement.split(">=")[0].split("[")[0].replace("-", "_") for requirement in declared[extra]}
        assert modules == names


def test_the_router_model_is_hosted_without_any_installed_package() -> None:
    # -S disables site-packages, as on a machine without installed packages.
    path = os.pathsep.join(str(ROOT / folder) for folder in ("process", "cli", "router_model"))
    shown = python("-S", "-m", "rl_router_cli", "model", "--print", "--device", "cpu", PYTHONPATH=path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "-m rl_router_model" in shown.stdout


def test_the_package_installs_the_command() -> None:
    (script,) = entry_points(group="console_scripts", name="rl-router")
    assert script.load() is main
