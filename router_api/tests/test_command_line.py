"""Tests of `python -m rl_router_api` as a process: one-line errors, serving and stopping."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from rl_router_api.health import ExitCode

from fakes.ports import free_port
from fakes.testbed.configuration import router_section, target
from fakes.testbed.program import COMMAND, Programs
from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import exact, metric
from fakes.testbed.router import Testbed
from fakes.testbed.waiting import until

TARGET = {"name": "alpha", "base_url": "http://127.0.0.1:9/v1"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)


def written(folder: Path, configuration: object) -> str:
    path = folder / "router.yaml"
    path.write_text(configuration if isinstance(configuration, str) else yaml.safe_dump(configuration))
    return str(path)


def check_refused(ended: subprocess.CompletedProcess[str], code: ExitCode, *words: str) -> None:
    """Checks the exit code, and that the only output is one line with these words."""
    assert ended.returncode == code
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert [word for word in words if word not in ended.stderr] == []


REFUSED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "an unknown key": ({"routing": {"max_turn": 3}}, ("routing", "max_turn", "max_turns")),
    "an unknown section": ({"routes": {}}, ("routes", "routing")),
    "an unknown key of a target": ({"targets": [{**TARGET, "modle": "x"}]}, ("targets.0", "modle", "model")),
    "two targets with one name": ({"targets": [TARGET, TARGET]}, ("alpha",)),
    "two targets with one tool name": (
        {"targets": [{**TARGET, "name": name} for name in ("a-b", "a.b")]},
        ("a-b", "a.b"),
    ),
    "a reserved name": ({"targets": [{**TARGET, "name": "router-x"}]}, ("router-x",)),
    "a negative price": ({"targets": [{**TARGET, "price": {"input": -1}}]}, ("targets.0.price.input", "-1")),
    "an unknown policy": ({"routing": {"policy": "luck"}}, ("routing.policy", "luck", "rl")),
    "an alias that is a target": ({"routing": {"aliases": ["alpha"]}, "targets": [TARGET]}, ("aliases", "alpha")),
    "a fallback that is not a target": ({"routing": {"fallback": ["beta"]}, "targets": [TARGET]}, ("fallback", "beta")),
    "no target with a key": ({"targets": [{**TARGET, "api_key_env": "NO_SUCH_KEY"}]}, ("NO_SUCH_KEY",)),
    "invalid YAML": ("a: [", ("router.yaml", "YAML")),
    "a list": ("- a", ("router.yaml",)),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_an_invalid_configuration_is_refused_in_one_line(tmp_path: Path, mistake: str) -> None:
    configuration, words = REFUSED[mistake]
    port = free_port()
    ended = run("--config", written(tmp_path, configuration), "--serve-port", str(port))
    check_refused(ended, ExitCode.CONFIGURATION, *words)
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


def test_an_unknown_flag_is_refused_in_one_line() -> None:
    check_refused(run("--max-turn", "3"), ExitCode.CONFIGURATION, "--max-turn")


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    check_refused(run("--config", str(tmp_path / "missing.yaml")), ExitCode.CONFIGURATION, "missing.yaml")


def test_a_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    check_refused(run("--config", str(tmp_path)), ExitCode.CONFIGURATION, str(tmp_path))


def test_an_error_about_a_port_in_use_names_the_flag_that_changes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check_refused(run("--serve-port", str(port)), ExitCode.ADDRESS, str(port), "in use", "--serve-port")


def test_an_error_about_an_ipv6_address_puts_it_in_brackets() -> None:
    # 2001:db8::/32 is reserved for documentation, so no machine has this address.
    ended = run("--host", "2001:db8::1", "--serve-port", "8800")
    check_refused(ended, ExitCode.ADDRESS, "error: [2001:db8::1]:8800 cannot be used")


def test_if_the_admin_port_is_in_use_the_other_port_is_not_opened() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        admin = str(taken.getsockname()[1])
        ended = run("--serve-port", str(port), "--server.admin-port", admin)
        check_refused(ended, ExitCode.ADDRESS, admin, "in use")
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


def test_help_and_version_exit_with_0() -> None:
    for flag in ("--help", "--version"):
        ended = run(flag)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout


async def configured(testbed: Testbed, folder: Path) -> str:
    """Starts upstreams and writes a configuration with them. Returns its path."""
    model, alpha, beta = await testbed.upstream(), await testbed.upstream(), await testbed.upstream()
    targets = [target("alpha", alpha.url), target("beta", beta.url)]
    return written(folder, {"router": router_section(model.url), "targets": targets})


async def test_it_serves_and_exits_with_0_after_sigterm(testbed: Testbed, programs: Programs, tmp_path: Path) -> None:
    program = await programs.start_command("--config", await configured(testbed, tmp_path), "--max-turns", "1")
    body = exact((await program.send(model="router")).content)
    assert body["router_metadata"]["routing_strategy"] == "committed"
    assert (await program.admin("/health")).json()["targets"].keys() == {"alpha", "beta"}
    path = f"http://127.0.0.1:{program.admin_port}/v1/chat/completions"
    refused = await program.client.post(path, json={"model": "router", "messages": QUESTION})
    assert refused.status_code == 404

    program.process.send_signal(signal.SIGTERM)
    await program.until(program.is_stopping, "the signal")
    # The router still serves new requests, because load balancers react late.
    assert (await program.send()).status_code == 200
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


async def test_a_server_waits_for_missing_keys_of_its_targets(
    testbed: Testbed, programs: Programs, tmp_path: Path
) -> None:
    model, alpha, beta = await testbed.upstream(), await testbed.upstream(), await testbed.upstream()
    key = tmp_path / "key"
    targets = [
        target("alpha", alpha.url, api_key_file=str(key)),
        target("beta", beta.url, api_key_env="NO_SUCH_KEY"),
    ]
    path = written(tmp_path, {"router": router_section(model.url), "targets": targets})
    program = await programs.start_command("--config", path)
    refused = await program.send(model="router")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_target")
    assert "NO_SUCH_KEY is not set" in refused.json()["error"]["message"]
    key.write_text("a-key")

    async def answered() -> bool:
        return (await program.send(model="router")).status_code == 200

    await program.until(answered, "the key")
    assert (await program.send(model="router")).json()["router_metadata"]["model_used"] == "alpha"
    program.process.send_signal(signal.SIGINT)
    await program.exit_status()
    for name, reason in (("alpha", f"{key} is missing, empty or unreadable"), ("beta", "NO_SUCH_KEY is not set")):
        assert f"target `{name}` is not used: {reason}" in program.errors


def test_the_server_does_not_log_the_credentials_of_an_address_that_it_waits_for(tmp_path: Path) -> None:
    port = free_port()
    path = written(tmp_path, {"router": {"base_url": f"http://me:secret-word@127.0.0.1:{port}/v1"}})
    with subprocess.Popen(
        [*COMMAND, "--config", path, "--wait", "30", "--serve-port", str(free_port()), "--server.admin-port", "0"],
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        line = process.stderr.readline()
        process.terminate()
    assert f"http://127.0.0.1:{port}/v1" in line
    assert "secret-word" not in line


async def test_two_workers_share_their_metrics(testbed: Testbed, programs: Programs, tmp_path: Path) -> None:
    program = await programs.start_command("--config", await configured(testbed, tmp_path), "--workers", "2")
    # Each request has its own connection, so both workers receive some.
    responses = await asyncio.gather(*[program.send(model="router") for _ in range(20)])
    spent = sum([exact(response.content)["router_metadata"]["total_cost"] for response in responses])
    page = (await program.admin("/metrics")).text
    assert float(metric(page, "rl_router_cost_usd_total")) == pytest.approx(float(spent), rel=1e-9)
    program.process.send_signal(signal.SIGINT)
    assert await program.exit_status() in (0, 130)


async def test_all_processes_of_a_server_with_workers_end(testbed: Testbed, programs: Programs, tmp_path: Path) -> None:
    program = await programs.start_command("--config", await configured(testbed, tmp_path), "--workers", "2")
    workers = children_of(program.process.pid)
    program.process.send_signal(signal.SIGINT)
    await program.exit_status()
    assert len(workers) >= 2
    await until(lambda: not any(map(alive, workers)), "the end of every worker")


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    if not listed.exists():
        pytest.skip("this machine does not list the children of a process")
    return [int(child) for child in listed.read_text().split()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
