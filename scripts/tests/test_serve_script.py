"""serve.sh with a real bash: what it says, what it exits with, what it starts."""

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

ROOT = Path(__file__).resolve().parents[2]
SERVE = ROOT / "serve.sh"


@pytest.fixture(scope="module", autouse=True)
def environment_is_up_to_date() -> None:
    """So that no test meets the line that says it is being made."""
    subprocess.run([sys.executable, str(ROOT / "scripts" / "environment.py"), "run"], capture_output=True, check=True)


def serve(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SERVE), *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=cwd,
        env={**os.environ, **environment},
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """serve.sh on a free port, without its second port; its URL and its process, which is the API itself."""
    port = free_port()
    command = ["bash", str(SERVE), "--serve-port", str(port), "--server.admin-port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.communicate()


def line_with(process: subprocess.Popen[str], words: str) -> str:
    """The next line of its output that has the words; fails where it ends without."""
    assert process.stdout
    for line in process.stdout:
        if words in line:
            return line
    pytest.fail(f"serve.sh ended without saying {words!r}")


@contextmanager
def model_server() -> Iterator[int]:
    """A router model's port, as far as waiting for it goes."""

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
    done = serve("--help")
    assert done.returncode == 0
    for flag, default in [
        ("--router-model", "first it lists"), ("--max-turns", "3"), ("--hosted-port", "8000"), ("--serve-port", "8800"),
        ("--host", "127.0.0.1"), ("--config", "RL_ROUTER_CONFIG"), ("--workers", "1"), ("--log-level", "info"),
        ("--wait", "300"),
    ]:  # fmt: skip
        entry = done.stdout.split(f"\n  {flag} ", 1)[1].split("\n  --", 1)[0]
        assert default in entry, flag


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--frobnicate",), "--frobnicate"),
        (("--max-turns", "many"), "--max-turns"),
        (("--max-turns", "0"), "routing.max_turns"),
        (("--config", "no-such-file.yaml"), "no-such-file.yaml"),
        (("--routing.policy", "oracle"), "oracle"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2(arguments: tuple[str, ...], said: str) -> None:
    done = serve(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_an_unknown_key_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    (tmp_path / "router.yaml").write_text("routing: {max_turn: 2}\n")
    done = serve("--config", "router.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown key `max_turn`: did you mean `max_turns`?" in done.stderr


def test_the_catalogue_without_any_key_says_which_are_missing() -> None:
    without = {name: "" for name in os.environ if name.endswith("_API_KEY")}
    done = serve("--config", "router_api/rl_router_api/catalogue.yaml", **without)
    assert done.returncode == 2
    assert "OPENAI_API_KEY" in done.stderr


def test_a_port_in_use_is_one_line_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = serve("--serve-port", str(taken.getsockname()[1]), "--wait", "0")
    assert done.returncode == 91
    (line,) = done.stderr.splitlines()
    assert "--serve-port" in line


def test_a_machine_without_a_new_python_is_told_what_to_install(tmp_path: Path) -> None:
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}" if Path(f"/usr/bin/{tool}").exists() else f"/bin/{tool}")
    done = serve(PATH=str(tmp_path))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "install python3.11" in line


def test_it_starts_with_a_warning_when_no_router_model_comes() -> None:
    with running("--hosted-port", str(free_port()), "--wait", "1") as (url, process):
        line_with(process, "Waiting for the router model")
        assert "starting anyway" in line_with(process, "warning:")
        line_with(process, "RL Router")
        assert answers(f"{url}/health") == 200


def test_it_serves_from_any_folder_and_ends_on_term(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with model_server() as hosted, running("--hosted-port", str(hosted)) as (url, process):
        line_with(process, "RL Router")
        assert answers(f"{url}/health") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def answers(url: str) -> int:
    """The status, tried anew until the server listens."""
    for _ in range(300):
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as reply:
                return int(reply.status)
        except ConnectionError:
            threading.Event().wait(0.1)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
            threading.Event().wait(0.1)
    pytest.fail(f"{url} never answered")
