"""The exit codes of the CPU fallback and of the router API, read as the reasons that they stand for."""

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
from world import Pod, World, api_pod, crashed, of, said


class Hub(ThreadingHTTPServer):
    """A hub that answers everything with one status."""

    status = 404


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def reason_of(model: str, home: Path, **environment: str) -> str:
    """The reason that a pod's condition has after the CPU fallback ended with this `--model`."""
    ended = subprocess.run(
        [sys.executable, "-m", "rl_router_model", "--model", model, "--port", "0"],
        env={**os.environ, "HF_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    status, reason = said(World(model=(Pod(**crashed(ended.stderr, ended.returncode)),)).status(), "ModelReady")
    assert status == "False"
    return reason


@pytest.mark.parametrize(("status", "reason"), [(401, "HubUnauthorized"), (403, "HubForbidden"), (404, "HubNotFound")])
def test_the_hubs_refusal_is_told(hub: Hub, tmp_path: Path, status: int, reason: str) -> None:
    hub.status = status
    assert reason_of("hf://o/n/x.gguf", tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{hub.server_port}") == reason


def test_a_hub_that_cannot_be_reached_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.server_close()
    assert reason_of("hf://o/n/x.gguf", tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{hub.server_port}") == "HubUnreachable"


def test_weights_that_are_not_there_are_told(tmp_path: Path) -> None:
    assert reason_of(str(tmp_path / "x.gguf"), tmp_path) == "ModelPathMissing"
    assert reason_of(str(tmp_path), tmp_path) == "ModelPathMissing"
    assert reason_of("hf://o/n/x.gguf", tmp_path, HF_HUB_OFFLINE="1") == "ModelPathMissing"
    for name in "ab":
        (tmp_path / f"{name}.gguf").touch()
    assert reason_of(str(tmp_path), tmp_path) == "ModelPathMissing"


def test_a_mistake_in_the_command_line_is_a_crash_with_its_line(tmp_path: Path) -> None:
    assert reason_of("hf://no-file", tmp_path) == "CrashLooping"


def test_the_operator_knows_every_exit_code_of_the_cpu_fallback() -> None:
    assert set(CPU_FALLBACK) == set(ExitCode) - {ExitCode.COMMAND_LINE}


def test_an_exit_code_of_the_cpu_fallback_goes_before_what_its_words_look_like() -> None:
    words = "rl_router_model: error: --host hub is no address of this machine: Name or service not known"
    status = World(model=(Pod(**crashed(words, ExitCode.ADDRESS)),)).status()
    assert said(status, "ModelReady") == ("False", "CrashLooping")
    assert f"exit code {ExitCode.ADDRESS:d}: {words}." in of(status, "ModelReady")["message"]


def test_a_sidecar_that_ends_with_a_number_of_ours_says_nothing_about_the_model() -> None:
    pod = Pod(**crashed("no mesh", ExitCode.HUB_FORBIDDEN)).manifest()
    pod["status"]["containerStatuses"][0]["name"] = "mesh"
    assert said(World(model=(), others=(pod,)).status(), "ModelReady") == ("False", "CrashLooping")


def ended_api(*arguments: str) -> World:
    """A cluster whose API's pod ended as a real API does with these arguments."""
    ended = subprocess.run(
        [sys.executable, "-m", "rl_router_api", *arguments], capture_output=True, text=True, timeout=60
    )
    return World(api=(api_pod(**crashed(ended.stderr, ended.returncode)),))


def test_an_api_that_cannot_start_with_its_configuration_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "router.yaml"
    wrong.write_text("routing: {max_turn: 2}")
    status = ended_api("--config", str(wrong)).status()
    assert said(status, "APIReady") == ("False", "ConfigurationRefused")
    assert "unknown key `max_turn`: did you mean `max_turns`?" in of(status, "APIReady")["message"]


def test_an_api_that_cannot_start_with_its_keys_file_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "keys.yaml"
    wrong.write_text("- {name: a, sha256: abc}")
    status = ended_api("--server.api-keys-file", str(wrong)).status()
    assert said(status, "APIReady") == ("False", "ConfigurationRefused")
    assert "0.sha256" in of(status, "APIReady")["message"]


def test_an_api_whose_port_is_taken_is_a_crash_with_its_line() -> None:
    status = ended_api("--host", "2001:db8::1").status()
    assert said(status, "APIReady") == ("False", "CrashLooping")
    assert f"exit code {ApiExitCode.ADDRESS:d}: error: [2001:db8::1]" in of(status, "APIReady")["message"]
