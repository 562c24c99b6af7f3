"""Runs host.sh in a real bash with the real CPU fallback. Programs on the PATH simulate nvidia-smi and vLLM."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NVIDIA_SMI = """#!/usr/bin/env bash
case $* in
    *memory.free*) for gpu in 0 1 2; do echo "$gpu, ${FREE:-80000}, 80000"; done ;;
    *) printf '%s\\n' 0 1 2 ;;
esac
"""
# Simulates vLLM. Writes its pid and GPUs to the file $CALLED and listens. If DIES is set, exits with the text in DIES.
VLLM = """#!/usr/bin/env python3
import http.server, json, os, signal, socket, ssl, sys
json.dump({"pid": os.getpid(), "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}, open(os.environ["CALLED"], "w"))
if os.environ.get("DIES"):
    sys.exit(os.environ["DIES"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{"data": [{"id": "served"}]}')
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
def value(flag):
    return sys.argv[sys.argv.index(flag) + 1] if flag in sys.argv else None
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6 if ":" in value("--host") else socket.AF_INET
server = Server((value("--host"), int(value("--port"))), Handler)
if value("--ssl-certfile"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(value("--ssl-certfile"), value("--ssl-keyfile"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment variables that simulate a machine with three GPUs and vLLM."""
    for name, text in (("nvidia-smi", NVIDIA_SMI), ("vllm", VLLM)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    yield {**os.environ, "PATH": path, "CALLED": str(tmp_path / "called.json")}


def host(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(ROOT / "host.sh"), *arguments], capture_output=True, text=True, env=env, timeout=60, check=False
    )


def _enable_ctrl_c() -> None:
    """Restores the default action of SIGINT in a child process.

    Background jobs of a shell ignore SIGINT, and a bash that starts with SIGINT ignored cannot restore the action.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """A running host.sh, and the lines of its output so far."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            ["bash", str(ROOT / "host.sh"), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, start_new_session=True,
            preexec_fn=_enable_ctrl_c,
        )  # fmt: skip
        self.lines: list[str] = []

    def wait_for_line(self, pattern: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if re.search(pattern, line):
                return line
        pytest.fail(f"no line of the output matches {pattern!r}: {self.lines}")

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=40)
        self.lines.append(rest)
        return self.process.returncode


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """A function that starts host.sh. Every started host.sh is stopped at the end of the test."""
    started: list[Running] = []

    def start_one(*arguments: str, env: dict[str, str] | None = None) -> Running:
        started.append(Running(*arguments, env=env))
        return started[-1]

    yield start_one
    for running in started:
        if running.process.poll() is None:
            running.stop(signal.SIGTERM)
        if running.process.stdout:
            running.process.stdout.close()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_print_shows_the_command_of_the_cpu_fallback_and_does_not_run_it() -> None:
    process = host("--print", "--device", "cpu", "--served-model-name", "a", "b c", "--", "--max-num-seqs", "1")
    assert process.returncode == 0
    python = ROOT / ".venv" / "bin" / "python"
    assert process.stdout == (
        f"{python} -m rl_router_model --served-model-name a 'b c' --host 127.0.0.1 --port 8000 --max-num-seqs 1\n"
    )


def test_print_shows_the_command_of_vllm_on_a_machine_with_gpus(machine: dict[str, str]) -> None:
    process = host("--print", "--gpus=0,1", env=machine)
    assert "env CUDA_VISIBLE_DEVICES=0,1 " in process.stdout
    assert "serve Qwen/Qwen2.5-7B-Instruct --gpu-memory-utilization 0.9 --tensor-parallel-size 2" in process.stdout
    assert not Path(machine["CALLED"]).exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--prot", "1"], 2, "unknown flag --prot. Use --port."),
        (["--gpus", "7"], 1, "--gpus 7: there is no GPU 7. Use the GPUs 0, 1, 2."),
        (["--model", "/no/such/model"], 1, "there is no file or folder /no/such/model"),
    ],
)
def test_a_wrong_argument_is_a_one_line_error_with_a_fix(
    arguments: list[str], code: int, words: str, machine: dict[str, str]
) -> None:
    process = host(*arguments, env=machine)
    assert process.returncode == code
    assert words in process.stderr
    assert process.stderr.count("\n") == 1


def test_too_little_gpu_memory_is_an_error_before_vllm_starts(machine: dict[str, str], port: int) -> None:
    process = host("--gpus", "1", "--port", str(port), env={**machine, "FREE": "20000"})
    assert process.returncode == 1
    assert "GPU 1 has 20000 of 80000 MiB free" in process.stderr
    assert "Lower --gpu-memory-utilization to 0.25" in process.stderr
    assert not Path(machine["CALLED"]).exists()


def test_an_error_of_vllm_becomes_one_line_with_a_fix(machine: dict[str, str], port: int) -> None:
    last_line = "torch.OutOfMemoryError: CUDA out of memory"
    process = host("--gpus", "0", "--port", str(port), env={**machine, "DIES": last_line})
    assert process.returncode == 1
    assert process.stderr.startswith("error: too little GPU memory is free. Lower --max-model-len")


def test_the_error_about_missing_vllm_says_how_to_install_it(machine: dict[str, str], port: int) -> None:
    Path(machine["PATH"].split(":")[0], "vllm").unlink()
    process = host("--port", str(port), env=machine)
    assert process.returncode == 1
    assert "pip install vllm" in process.stderr


def test_vllm_runs_on_the_selected_gpus_until_ctrl_c(machine: dict[str, str], port: int, start: Start) -> None:
    running = start("--gpus", "0,2", "--port", str(port), env=machine)
    line = running.wait_for_line("is ready")
    assert f"Router model served is ready on http://127.0.0.1:{port}/v1" in line
    assert line.strip().endswith(f"Next: bash serve.sh --hosted-port {port}")
    assert '"gpus": "0,2"' in Path(machine["CALLED"]).read_text()
    assert running.stop() == 130
    assert not answers(port)


def test_a_server_with_tls_has_an_https_url(machine: dict[str, str], port: int, start: Start, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=router.example",
         "-keyout", key, "-out", certificate], check=True, capture_output=True,
    )  # fmt: skip
    tls = ["--ssl-certfile", certificate, "--ssl-keyfile", key]
    running = start("--port", str(port), "--wait", "30", "--", *tls, env=machine)
    line = running.wait_for_line("is ready|error")
    assert f"Router model served is ready on https://127.0.0.1:{port}/v1" in line
    assert line.strip().endswith(f"bash serve.sh --router.base-url https://127.0.0.1:{port}/v1")


def test_the_printed_url_has_an_address_that_clients_can_use(machine: dict[str, str], port: int, start: Start) -> None:
    if not can_listen_on_ipv6():
        pytest.skip("this machine has no IPv6")
    running = start("--host", "::", "--port", str(port), "--wait", "30", env=machine)
    assert f"ready on http://[::1]:{port}/v1" in running.wait_for_line("is ready|error")


def can_listen_on_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_the_cpu_fallback_runs_until_sigterm(port: int, start: Start) -> None:
    running = start("--device", "cpu", "--port", str(port), "--served-model-name", "first", "second")
    assert "Router model first, second is ready" in running.wait_for_line("is ready")
    assert running.stop(signal.SIGTERM) == 143
    assert not answers(port)


def test_an_api_key_is_required_and_not_visible_to_other_users(port: int, start: Start) -> None:
    running = start("--device", "cpu", "--port", str(port), "--api-key", "very-secret")
    assert "SmolLM2-135M-Instruct" in running.wait_for_line("is ready")
    processes = subprocess.run(["pgrep", "-af", "rl_router_model"], capture_output=True, text=True, check=False).stdout
    assert str(port) in processes
    assert not [line for line in processes.splitlines() if "very-secret" in line and "host.sh" not in line]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models")


def test_the_server_is_stopped_even_if_the_output_cannot_be_written(
    machine: dict[str, str], port: int, start: Start
) -> None:
    running = start("--port", str(port), env=machine)
    running.wait_for_line("is ready")
    assert running.process.stdout is not None
    running.process.stdout.close()
    running.process.send_signal(signal.SIGHUP)
    assert running.process.wait(timeout=40) == 129
    assert not answers(port)


def test_a_port_in_use_is_an_error_and_its_server_keeps_running() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        process = host("--device", "cpu", "--port", str(taken))
        assert process.returncode == 1
        assert f"port {taken} is in use" in process.stderr
        assert "--port" in process.stderr
        assert answers(taken)


def test_a_server_that_dies_later_is_an_error(machine: dict[str, str], port: int, start: Start) -> None:
    running = start("--port", str(port), env=machine)
    running.wait_for_line("is ready")
    os.kill(json.loads(Path(machine["CALLED"]).read_text())["pid"], signal.SIGKILL)
    rest, _ = running.process.communicate(timeout=30)
    assert running.process.returncode == 137
    assert "the router model ended (exit status 137)" in rest


def test_help_names_the_script_and_needs_no_environment() -> None:
    process = host("--help")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith("usage: bash host.sh [options]")
