"""The CPU fallback's own last words, as it says them, read as the reason that they are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from world import Pod, World, crashed, said


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
    assert ended.returncode == 1
    status, reason = said(World(model=(Pod(**crashed(ended.stderr)),)).status(), "ModelReady")
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
