"""Runs serve.sh in a real bash and checks its output, its exit status and the server that it starts."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fakes.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SERVE = ROOT / "serve.sh"


@pytest.fixture(scope="module", autouse=True)
def up_to_date_environment() -> None:
    """Updates the virtual environment first, so that no test sees the message about the update."""
    subprocess.run([sys.executable, str(ROOT / "scripts" / "environment.py"), "run"], capture_output=True, check=True)


def serve(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SERVE), *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=cwd,
        env={**os.environ, **environment},
    )  # fmt: skip


@contextmanager
def running(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Runs serve.sh on a free port, without an admin port. Yields the API's URL and the process of serve.sh."""
    port = free_port()
    command = ["bash", str(SERVE), "--serve-port", str(port), "--server.admin-port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.communicate()


def wait_for_line(process: subprocess.Popen[str], text: str) -> str:
    """Returns the next line of the output that contains `text`. Fails if the output ends first."""
    assert process.stdout
    for line in process.stdout:
        if text in line:
            return line
    pytest.fail(f"serve.sh ended without a line with {text!r}")


@contextmanager
def model_server() -> Iterator[int]:
    """Yields the port of a fake router model that only lists one model, so that serve.sh stops waiting."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps({"object": "list", "data": [{"id": "tiny", "object": "model"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_help_names_every_short_flag_with_its_default() -> None:
    process = serve("--help")
    assert process.returncode == 0
    for flag, default in [
        ("--router-model", "first model that the router model's server lists"), ("--max-turns", "3"),
            ("--hosted-port", "8000"),
        ("--serve-port", "8800"), ("--host", "127.0.0.1"), ("--config", "RL_ROUTER_CONFIG"),
        ("--workers", "1"), ("--log-level", "info"), ("--wait", "300"),
    ]:  # fmt: skip
        entry = process.stdout.split(f"\n  {flag} ", 1)[1].split("\n  --", 1)[0]
        assert default in entry, flag


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        (("--frobnicate",), "--frobnicate"),
        (("--max-turns", "many"), "--max-turns"),
        (("--max-turns", "0"), "routing.max_turns"),
        (("--config", "no-such-file.yaml"), "no-such-file.yaml"),
        (("--routing.policy", "oracle"), "oracle"),
    ],
)
def test_invalid_input_is_a_one_line_error_with_exit_status_2(arguments: tuple[str, ...], detail: str) -> None:
    process = serve(*arguments)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: ")
    assert detail in line


def test_the_error_about_an_unknown_key_suggests_the_most_similar_one(tmp_path: Path) -> None:
    (tmp_path / "router.yaml").write_text("routing: {max_turn: 2}\n")
    process = serve("--config", "router.yaml", cwd=tmp_path)
    assert process.returncode == 2
    assert "unknown key `max_turn`: did you mean `max_turns`?" in process.stderr


def test_the_catalogue_without_api_keys_is_an_error_that_names_them() -> None:
    no_api_keys = {name: "" for name in os.environ if name.endswith("_API_KEY")}
    process = serve("--config", "router_api/rl_router_api/catalogue.yaml", **no_api_keys)
    assert process.returncode == 2
    assert "OPENAI_API_KEY" in process.stderr


def test_a_port_in_use_is_a_one_line_error_with_a_fix() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = serve("--serve-port", str(taken.getsockname()[1]), "--wait", "0")
    assert process.returncode == 91
    (line,) = process.stderr.splitlines()
    assert "--serve-port" in line


def test_the_error_about_a_missing_python_says_what_to_install(tmp_path: Path) -> None:
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}" if Path(f"/usr/bin/{tool}").exists() else f"/bin/{tool}")
    process = serve(PATH=str(tmp_path))
    assert process.returncode == 1
    (line,) = process.stderr.splitlines()
    assert "install python3.11" in line


def test_the_api_starts_with_a_warning_if_there_is_no_router_model() -> None:
    with running("--hosted-port", str(free_port()), "--wait", "1") as (url, process):
        wait_for_line(process, "Waiting for the router model")
        assert "starts anyway" in wait_for_line(process, "warning:")
        wait_for_line(process, "RL Router")
        assert status_of(f"{url}/health") == 200


def test_serve_works_in_any_folder_and_ends_on_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with model_server() as hosted, running("--hosted-port", str(hosted)) as (url, process):
        wait_for_line(process, "RL Router")
        assert status_of(f"{url}/health") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def status_of(url: str) -> int:
    """Returns the status of a GET request. Repeats the request until the server listens."""
    for _ in range(300):
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as response:
                return int(response.status)
        except ConnectionError:
            threading.Event().wait(0.1)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
            threading.Event().wait(0.1)
    pytest.fail(f"{url} never answered")
