"""`python -m rl_router_api` as a process: what it refuses in one line, and that it serves and stops."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from rl_router_api.health import ExitCode
from stages import QUESTION, Stage, exact, router_section, target, until

COMMAND = [sys.executable, "-m", "rl_router_api"]
TARGET = {"name": "alpha", "base_url": "http://127.0.0.1:9/v1"}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)


def written(folder: Path, configuration: object) -> str:
    path = folder / "router.yaml"
    path.write_text(configuration if isinstance(configuration, str) else yaml.safe_dump(configuration))
    return str(path)


def check_refused(ended: subprocess.CompletedProcess[str], code: ExitCode, *words: str) -> None:
    """Checks the exit code, and that one line says what is wrong and nothing else."""
    assert ended.returncode == code
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert [word for word in words if word not in ended.stderr] == []


REFUSED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "an unknown key": ({"routing": {"max_turn": 3}}, ("routing", "max_turn", "max_turns")),
    "an unknown section": ({"routes": {}}, ("routes", "routing")),
    "an unknown key of a target": ({"targets": [{**TARGET, "modle": "x"}]}, ("targets.0", "modle", "model")),
    "two targets of one name": ({"targets": [TARGET, TARGET]}, ("alpha",)),
    "two targets called alike": ({"targets": [{**TARGET, "name": name} for name in ("a-b", "a.b")]}, ("a-b", "a.b")),
    "a reserved name": ({"targets": [{**TARGET, "name": "router-x"}]}, ("router-x",)),
    "a negative price": ({"targets": [{**TARGET, "price": {"input": -1}}]}, ("targets.0.price.input", "-1")),
    "an unknown policy": ({"routing": {"policy": "luck"}}, ("routing.policy", "luck", "rl")),
    "an alias that is a target": ({"routing": {"aliases": ["alpha"]}, "targets": [TARGET]}, ("aliases", "alpha")),
    "a fallback that is no target": ({"routing": {"fallback": ["beta"]}, "targets": [TARGET]}, ("fallback", "beta")),
    "no target for want of keys": ({"targets": [{**TARGET, "api_key_env": "NO_SUCH_KEY"}]}, ("NO_SUCH_KEY",)),
    "no YAML": ("a: [", ("router.yaml", "YAML")),
    "a list": ("- a", ("router.yaml",)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_configuration_is_refused_in_one_line(tmp_path: Path, what: str) -> None:
    configuration, words = REFUSED[what]
    port = free_port()
    ended = run("--config", written(tmp_path, configuration), "--serve-port", str(port))
    check_refused(ended, ExitCode.CONFIGURATION, *words)
    with socket.socket() as asking:
        assert asking.connect_ex(("127.0.0.1", port)) != 0


def test_an_unknown_flag_is_refused_in_one_line() -> None:
    check_refused(run("--max-turn", "3"), ExitCode.CONFIGURATION, "--max-turn")


def test_a_file_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    check_refused(run("--config", str(tmp_path / "missing.yaml")), ExitCode.CONFIGURATION, "missing.yaml")


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    check_refused(run("--config", str(tmp_path)), ExitCode.CONFIGURATION, str(tmp_path))


def test_a_port_in_use_is_refused_with_what_mends_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check_refused(run("--serve-port", str(port)), ExitCode.ADDRESS, str(port), "in use", "--serve-port")


def test_an_ipv6_address_is_named_as_a_url_has_it() -> None:
    # Documentation's own addresses belong to no machine.
    ended = run("--host", "2001:db8::1", "--serve-port", "8800")
    check_refused(ended, ExitCode.ADDRESS, "error: [2001:db8::1]:8800 cannot be used")


def test_an_admin_port_in_use_leaves_the_other_port_alone() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        admin = str(taken.getsockname()[1])
        ended = run("--serve-port", str(port), "--server.admin-port", admin)
        check_refused(ended, ExitCode.ADDRESS, admin, "in use")
    with socket.socket() as asking:
        assert asking.connect_ex(("127.0.0.1", port)) != 0


def test_help_and_version_are_no_errors() -> None:
    for flag in ("--help", "--version"):
        ended = run(flag)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient, int]]:
    """A process that answers, a client of it and its admin port; it is gone when the context ends."""
    port, admin = free_port(), free_port()
    ports = ["--serve-port", str(port), "--server.admin-port", str(admin)]
    process = await asyncio.create_subprocess_exec(*COMMAND, *ports, *arguments, stderr=asyncio.subprocess.PIPE)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            await answering(process, client)
            yield process, client, admin
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def answering(process: asyncio.subprocess.Process, client: httpx.AsyncClient) -> None:
    for _ in range(2_000):
        assert process.returncode is None, await process.communicate()
        try:
            if (await client.get("/ready")).status_code == 200:
                return
        except httpx.TransportError:
            await asyncio.sleep(0.01)
    pytest.fail("it never answered")


async def configured(stage: Stage, folder: Path) -> str:
    """A configuration whose upstreams are there, in a file."""
    model, alpha, beta = await stage.upstream(), await stage.upstream(), await stage.upstream()
    targets = [target("alpha", alpha.url), target("beta", beta.url)]
    return written(folder, {"router": router_section(model.url), "targets": targets})


async def test_it_serves_and_ends_well_at_sigterm(stage: Stage, tmp_path: Path) -> None:
    async with serving("--config", await configured(stage, tmp_path), "--max-turns", "1") as (process, client, admin):
        asked = {"model": "router", "messages": QUESTION}
        body = exact((await client.post("/v1/chat/completions", json=asked)).content)
        assert body["router_metadata"]["routing_strategy"] == "committed"
        health = (await client.get(f"http://127.0.0.1:{admin}/health")).json()
        assert health["targets"].keys() == {"alpha", "beta"}
        refused = await client.post(f"http://127.0.0.1:{admin}/v1/chat/completions", json=asked)
        assert refused.status_code == 404

        process.send_signal(signal.SIGTERM)
        for _ in range(500):
            ready = (await client.get("/ready")).status_code
            if ready == 503:
                break
            await asyncio.sleep(0.01)
        assert ready == 503
        # Balancers hear of it late: what still comes is served.
        assert (await client.post("/v1/chat/completions", json=asked)).status_code == 200
        _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert b"Traceback" not in said


async def test_a_server_whose_targets_keys_are_not_there_yet_waits_for_them(stage: Stage, tmp_path: Path) -> None:
    model, alpha, beta = await stage.upstream(), await stage.upstream(), await stage.upstream()
    key = tmp_path / "key"
    targets = [
        target("alpha", alpha.url, api_key_file=str(key)),
        target("beta", beta.url, api_key_env="NO_SUCH_KEY"),
    ]
    path = written(tmp_path, {"router": router_section(model.url), "targets": targets})
    async with serving("--config", path) as (process, client, _):
        asked = {"model": "router", "messages": QUESTION}
        refused = await client.post("/v1/chat/completions", json=asked)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_target")
        assert "NO_SUCH_KEY is not set" in refused.json()["error"]["message"]
        key.write_text("a-key")
        for _ in range(1_000):
            answer = await client.post("/v1/chat/completions", json=asked)
            if answer.status_code == 200:
                break
            await asyncio.sleep(0.01)
        assert answer.json()["router_metadata"]["model_used"] == "alpha"
        process.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(process.communicate(), 30)
    for name, why in (("alpha", f"{key} is missing or empty"), ("beta", "NO_SUCH_KEY is not set")):
        assert f"target `{name}` is not used: {why}" in said.decode()


def test_credentials_in_an_address_are_not_shown_while_it_is_waited_for(tmp_path: Path) -> None:
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


async def test_two_workers_serve_as_one(stage: Stage, tmp_path: Path) -> None:
    async with serving("--config", await configured(stage, tmp_path), "--workers", "2") as (process, client, admin):
        asked = {"model": "router", "messages": QUESTION}

        async def ask() -> Any:
            # A connection of its own, so that both workers get some.
            async with httpx.AsyncClient(base_url=client.base_url, trust_env=False, verify=False) as fresh:
                return exact((await fresh.post("/v1/chat/completions", json=asked)).content)["router_metadata"]

        spent = sum([metadata["total_cost"] for metadata in await asyncio.gather(*[ask() for _ in range(20)])])
        metrics = (await client.get(f"http://127.0.0.1:{admin}/metrics")).text
        lines = [line for line in metrics.splitlines() if line.startswith("rl_router_cost_usd_total{")]
        assert sum(float(line.rpartition(" ")[2]) for line in lines) == pytest.approx(float(spent), rel=1e-9)

        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode in (0, 130)


async def test_what_ends_with_the_parent_are_its_workers(stage: Stage, tmp_path: Path) -> None:
    async with serving("--config", await configured(stage, tmp_path), "--workers", "2") as (process, _client, _):
        workers = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 30)
    assert len(workers) >= 2
    await until(lambda: not any(map(alive, workers)), "the end of every worker")


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    if not listed.exists():
        pytest.skip("this machine does not tell a process's children")
    return [int(child) for child in listed.read_text().split()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
