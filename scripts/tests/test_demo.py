"""The demonstration, the README's examples and the live checks against the real CPU fallback."""

import json
import os
import random
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

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "scripts" / "demo.py"
README = (ROOT / "README.md").read_text()
STRANGERS = {name: "" for name in os.environ if name.endswith("_API_KEY")}


class Demo(NamedTuple):
    """A demonstration that stays up."""

    process: subprocess.Popen[str]
    model_port: int
    serve_port: int
    said: str


def start(*, until: str, **environment: str) -> Demo:
    """A demonstration on free ports that has just said `until`."""
    model_port, serve_port = free_port(), free_pair()
    command = [sys.executable, str(DEMO), "--model-port", str(model_port), "--serve-port", str(serve_port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **STRANGERS, **environment},
    )  # fmt: skip
    said = ""
    assert process.stdout
    for line in process.stdout:
        said += line
        if until in line:
            return Demo(process, model_port, serve_port, said)
    process.wait(timeout=60)
    pytest.fail(f"the demonstration ended without saying {until!r}:\n{said}")


def end(demo: Demo) -> None:
    demo.process.terminate()
    demo.process.communicate(timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_pair() -> int:
    """A port that is free as the next one is, which the API takes as its second; below those that the system hands out,
    so that nobody takes either meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        if not listens(port) and not listens(port + 1):
            return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(*command: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)


def examples(language: str, pattern: str, demo: Demo) -> str:
    """The README's blocks of a language that match, at the demonstration's port."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    chosen = [block for block in blocks if pattern in block]
    assert chosen, f"the README has no {language} example with {pattern!r}"
    return "\n".join(chosen).replace("localhost:8800", f"localhost:{demo.serve_port}")


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    started = start(until="Ctrl-C stops everything")
    yield started
    end(started)


def test_it_shows_an_answer_that_the_model_itself_routed(demo: Demo) -> None:
    line = (
        r"→ (quick-helper|careful-thinker|code-writer) · \$0\.\d+ · \d+\.\d\d s · \d+ calls?: .* · \w+ after \d turns?"
    )
    assert re.search(line, demo.said), demo.said
    assert re.search(r"→ decided by smollm2-router in \d decisions?", demo.said), demo.said


def test_it_claims_no_more_than_is_so(demo: Demo) -> None:
    assert "one small model under three names with invented prices" in demo.said
    assert "A model this small returns valid decisions, but poor ones." in demo.said


def test_the_readmes_python_examples_work_word_for_word(demo: Demo) -> None:
    done = run(sys.executable, "-W", "error", "-c", examples("python", "client", demo))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^(quick-helper|careful-thinker|code-writer) [\d.e-]+$", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_readmes_curl_example_works_word_for_word(demo: Demo) -> None:
    done = run("bash", "-c", examples("bash", "curl -X POST", demo))
    completion = json.loads(done.stdout)
    assert completion["choices"][0]["message"]["content"]
    assert completion["model"] == "router"
    assert completion["router_metadata"]["call_history"]


def test_the_line_it_offers_is_the_readmes_curl_example(demo: Demo) -> None:
    rest = demo.said.split("Try it yourself:\n", 1)[1]
    assert examples("bash", "curl -X POST", demo).strip() in rest


@pytest.mark.parametrize("script", ["test_host.py", "test_serve.py"])
def test_the_live_checks_pass_against_it(script: str, demo: Demo) -> None:
    port = demo.model_port if script == "test_host.py" else demo.serve_port
    done = run(sys.executable, script, "--url", f"http://localhost:{port}/v1")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_leaves_nothing_running_when_it_is_stopped(number: signal.Signals) -> None:
    demo = start(until="Question:")
    demo.process.send_signal(number)
    demo.process.communicate(timeout=60)
    assert demo.process.returncode == 0
    assert not listens(demo.model_port)
    assert not listens(demo.serve_port)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_it_leaves_nothing_running_when_it_is_killed(tmp_path: Path) -> None:
    demo = start(until="Question:", TMPDIR=str(tmp_path))
    demo.process.kill()
    demo.process.communicate(timeout=60)
    for _ in range(600):
        if not (listens(demo.model_port) or listens(demo.serve_port)):
            return
        threading.Event().wait(0.1)
    pytest.fail("a child outlived the demonstration")


@pytest.mark.parametrize("flag", ["--model-port", "--serve-port"])
def test_a_port_in_use_is_one_line_with_the_remedy(flag: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        other = "--serve-port" if flag == "--model-port" else "--model-port"
        done = run(sys.executable, str(DEMO), flag, port, other, str(free_port()))
    assert done.returncode == 1
    assert (
        done.stderr
        == f"error: port {port} is in use: stop the program that uses it, or choose another port with {flag}\n"
    )


def test_a_child_that_fails_is_shown_with_its_last_words(tmp_path: Path) -> None:
    package = tmp_path / "rl_router_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys\nprint('loading')\nsys.exit('no memory left')\n")
    ports = ("--model-port", str(free_port()), "--serve-port", str(free_pair()))
    done = subprocess.run(
        [sys.executable, str(DEMO), *ports, "--once"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "error: rl_router_model ended (exit status 1): no memory left\n"
