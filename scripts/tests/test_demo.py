"""The demonstration, the README's examples and the live checks work with the real CPU fallback."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from fakes.ports import free_port, free_ports

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "scripts" / "demo.py"
README = (ROOT / "README.md").read_text()
NO_API_KEYS = {name: "" for name in os.environ if name.endswith("_API_KEY")}


class Demo(NamedTuple):
    """A running demonstration, and the output that the demonstration wrote before `start` returned."""

    process: subprocess.Popen[str]
    model_port: int
    serve_port: int
    output: str


def start(*, until: str, **environment: str) -> Demo:
    """Starts a demonstration on free ports. Returns when a line of the output contains `until`."""
    model_port, serve_port = free_port(), free_ports(2)[0]
    command = [sys.executable, str(DEMO), "--model-port", str(model_port), "--serve-port", str(serve_port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **NO_API_KEYS, **environment},
    )  # fmt: skip
    output = ""
    assert process.stdout
    for line in process.stdout:
        output += line
        if until in line:
            return Demo(process, model_port, serve_port, output)
    process.wait(timeout=60)
    pytest.fail(f"the demonstration ended without a line with {until!r}:\n{output}")


def end(demo: Demo) -> None:
    demo.process.terminate()
    demo.process.communicate(timeout=60)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(*command: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)


def examples(language: str, pattern: str, demo: Demo) -> str:
    """Returns the README's code blocks that contain `pattern`, changed to the demonstration's port."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    matches = [block for block in blocks if pattern in block]
    assert matches, f"the README has no {language} example with {pattern!r}"
    return "\n".join(matches).replace("localhost:8800", f"localhost:{demo.serve_port}")


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    running = start(until="Ctrl-C stops everything")
    yield running
    end(running)


def test_the_demo_shows_an_answer_that_its_model_routed(demo: Demo) -> None:
    line = (
        r"→ (quick-helper|careful-thinker|code-writer) · \$0\.\d+ · \d+\.\d\d s · \d+ calls?: .* · \w+ after \d turns?"
    )
    assert re.search(line, demo.output), demo.output
    assert re.search(r"→ decided by smollm2-router in \d decisions?", demo.output), demo.output


def test_the_demo_states_the_limits_of_its_model(demo: Demo) -> None:
    assert "one small model under three names with invented prices" in demo.output
    assert "Of these three targets, the policy knows only the prices. The guard is off" in demo.output


def test_the_demo_shows_decisions_among_the_models_of_the_catalogue(demo: Demo) -> None:
    table = demo.output.partition("chosen target")[2].partition("Starting the router model")[0]
    rows = re.findall(r"^  \S.* {2}(\S+) +(0\.\d\d) +\$(0\.\d{6})$", table, re.MULTILINE)
    assert len(rows) == 5, table
    assert table.count("the best of ") == 5, table


def test_the_python_examples_of_the_readme_work_unchanged(demo: Demo) -> None:
    process = run(sys.executable, "-W", "error", "-c", examples("python", "client", demo))
    assert process.returncode == 0, process.stderr
    assert re.search(r"^(quick-helper|careful-thinker|code-writer) [\d.e-]+$", process.stdout, re.MULTILINE), (
        process.stdout
    )


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_curl_example_of_the_readme_works_unchanged(demo: Demo) -> None:
    process = run("bash", "-c", examples("bash", "curl -X POST", demo))
    completion = json.loads(process.stdout)
    assert completion["choices"][0]["message"]["content"]
    assert completion["model"] == "router"
    assert completion["router_metadata"]["call_history"]


def test_the_demo_prints_the_curl_example_of_the_readme(demo: Demo) -> None:
    rest = demo.output.split("Try it yourself:\n", 1)[1]
    assert examples("bash", "curl -X POST", demo).strip() in rest


@pytest.mark.parametrize("script", ["test_host.py", "test_serve.py"])
def test_the_live_checks_pass_against_the_demo(script: str, demo: Demo) -> None:
    port = demo.model_port if script == "test_host.py" else demo.serve_port
    process = run(sys.executable, script, "--url", f"http://localhost:{port}/v1")
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_demo_leaves_no_process_running(number: signal.Signals) -> None:
    demo = start(until="Question:")
    demo.process.send_signal(number)
    demo.process.communicate(timeout=60)
    assert demo.process.returncode == 0
    assert not listens(demo.model_port)
    assert not listens(demo.serve_port)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can signal a child when its parent is killed")
def test_a_killed_demo_leaves_no_process_running(tmp_path: Path) -> None:
    demo = start(until="Question:", TMPDIR=str(tmp_path))
    demo.process.kill()
    demo.process.communicate(timeout=60)
    for _ in range(600):
        if not (listens(demo.model_port) or listens(demo.serve_port)):
            return
        threading.Event().wait(0.1)
    pytest.fail("a server of the demonstration is still running 60 s after the demonstration was killed")


@pytest.mark.parametrize("flag", ["--model-port", "--serve-port"])
def test_a_port_in_use_is_a_one_line_error_with_a_fix(flag: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        other = "--serve-port" if flag == "--model-port" else "--model-port"
        process = run(sys.executable, str(DEMO), flag, port, other, str(free_port()))
    assert process.returncode == 1
    assert process.stderr == (
        f"error: port {port} is in use. Stop the program that uses the port, or choose another port:"
        f" .venv/bin/python scripts/demo.py {flag} PORT\n"
    )


def test_the_error_about_a_failed_child_has_its_last_line(tmp_path: Path) -> None:
    package = tmp_path / "rl_router_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys\nprint('loading')\nsys.exit('no memory left')\n")
    ports = ("--model-port", str(free_port()), "--serve-port", str(free_ports(2)[0]))
    process = subprocess.run(
        [sys.executable, str(DEMO), *ports, "--once"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert process.returncode == 1
    assert process.stderr == "error: rl_router_model ended (exit status 1): no memory left\n"
