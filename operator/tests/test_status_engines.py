"""The reasons that follow from the exit codes of the real CPU fallback and the real router API."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rl_router_api.health import ExitCode as ApiExitCode
from rl_router_model.problem import ExitCode
from rl_router_operator.status.endings import CPU_FALLBACK

from fakes.cluster.conditions import condition_of, state_of
from fakes.cluster.pods import Pod, api_pod, crash_looping
from fakes.cluster.scenario import Scenario


class Hub(ThreadingHTTPServer):
    """A model hub that responds to every request with one status."""

    status = 404


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def reason_of(model: str, home: Path, **environment: str) -> str:
    """Runs the CPU fallback with this `--model` until it exits. Returns the reason of ModelReady for its pod."""
    process = subprocess.run(
        [sys.executable, "-m", "rl_router_model", "--model", model, "--port", "0"],
        env={**os.environ, "HF_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    status, reason = state_of(
        Scenario(model=(Pod(**crash_looping(process.stderr, process.returncode)),)).status(), "ModelReady"
    )
    assert status == "False"
    return reason


@pytest.mark.parametrize(("status", "reason"), [(401, "HubUnauthorized"), (403, "HubForbidden"), (404, "HubNotFound")])
def test_an_error_status_of_the_hub_is_reported(hub: Hub, tmp_path: Path, status: int, reason: str) -> None:
    hub.status = status
    assert reason_of("hf://o/n/x.gguf", tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{hub.server_port}") == reason


def test_an_unreachable_hub_is_reported(hub: Hub, tmp_path: Path) -> None:
    hub.server_close()
    assert reason_of("hf://o/n/x.gguf", tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{hub.server_port}") == "HubUnreachable"


def test_missing_or_ambiguous_weights_are_reported(tmp_path: Path) -> None:
    assert reason_of(str(tmp_path / "x.gguf"), tmp_path) == "ModelPathMissing"
    assert reason_of(str(tmp_path), tmp_path) == "ModelPathMissing"
    assert reason_of("hf://o/n/x.gguf", tmp_path, HF_HUB_OFFLINE="1") == "ModelPathMissing"
    for name in "ab":
        (tmp_path / f"{name}.gguf").touch()
    assert reason_of(str(tmp_path), tmp_path) == "ModelPathMissing"


def test_an_invalid_command_line_is_a_crash(tmp_path: Path) -> None:
    assert reason_of("hf://no-file", tmp_path) == "CrashLooping"


def test_the_operator_knows_every_exit_code_of_the_cpu_fallback() -> None:
    assert set(CPU_FALLBACK) == set(ExitCode) - {ExitCode.COMMAND_LINE}


def test_an_exit_code_of_the_cpu_fallback_takes_precedence_over_its_message() -> None:
    message = "rl_router_model: error: --host hub is no address of this machine: Name or service not known"
    status = Scenario(model=(Pod(**crash_looping(message, ExitCode.ADDRESS)),)).status()
    assert state_of(status, "ModelReady") == ("False", "CrashLooping")
    assert f"exit code {ExitCode.ADDRESS:d}: {message}." in condition_of(status, "ModelReady")["message"]


def test_an_exit_code_of_a_sidecar_is_not_read_as_one_of_the_model() -> None:
    pod = Pod(**crash_looping("no mesh", ExitCode.HUB_FORBIDDEN)).manifest()
    pod["status"]["containerStatuses"][0]["name"] = "mesh"
    assert state_of(Scenario(model=(), other_pods=(pod,)).status(), "ModelReady") == ("False", "CrashLooping")


def exited_api(*arguments: str) -> Scenario:
    """Runs the router API with these arguments until it exits. Returns a cluster with its crashed pod."""
    process = subprocess.run(
        [sys.executable, "-m", "rl_router_api", *arguments], capture_output=True, text=True, timeout=60
    )
    return Scenario(api=(api_pod(**crash_looping(process.stderr, process.returncode)),))


def test_an_api_with_an_invalid_configuration_is_reported(tmp_path: Path) -> None:
    invalid = tmp_path / "router.yaml"
    invalid.write_text("routing: {max_turn: 2}")
    status = exited_api("--config", str(invalid)).status()
    assert state_of(status, "APIReady") == ("False", "ConfigurationRefused")
    assert "unknown key `max_turn`: did you mean `max_turns`?" in condition_of(status, "APIReady")["message"]


def test_an_api_with_an_invalid_keys_file_is_reported(tmp_path: Path) -> None:
    invalid = tmp_path / "keys.yaml"
    invalid.write_text("- {name: a, sha256: abc}")
    status = exited_api("--server.api-keys-file", str(invalid)).status()
    assert state_of(status, "APIReady") == ("False", "ConfigurationRefused")
    assert "0.sha256" in condition_of(status, "APIReady")["message"]


def test_an_api_that_cannot_listen_is_a_crash_with_its_message() -> None:
    status = exited_api("--host", "2001:db8::1").status()
    assert state_of(status, "APIReady") == ("False", "CrashLooping")
    assert f"exit code {ApiExitCode.ADDRESS:d}: error: [2001:db8::1]" in condition_of(status, "APIReady")["message"]
