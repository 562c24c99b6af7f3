"""Starts the measured servers, all in front of the same upstream and on the same core."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from cases import ALL, COMMITTED_STREAM, PINNED, PINNED_STREAM, TWO_HOPS, Case
from load import Load
from processes import LOAD_CORE, SERVER_CORE, Process, free_port
from revisions import Revision

HERE = Path(__file__).parent
_PRICE = {"input": 0.1, "cached_input": 0.01, "output": 0.4}


@dataclass(frozen=True)
class Stack:
    """A running server, and the kinds of requests that the server supports."""

    name: str
    process: Process
    base_url: str
    cases: tuple[Case, ...]
    headers: dict[str, str] = field(default_factory=dict)
    upstream: str = ""

    def load(self, case: Case, connections: int, rate: float = 0.0) -> Load:
        """Returns the load that sends requests of the kind `case` to the server."""
        return Load(f"{self.base_url}/chat/completions", case.body, self.headers, connections, rate)

    def direct(self, case: Case, connections: int, rate: float = 0.0) -> Load:
        """Returns the load that sends requests of the kind `case` directly to the upstream, without the server."""
        return Load(f"{self.upstream}/target/v1/chat/completions", case.body, {}, connections, rate)


def start_upstream(folder: Path) -> tuple[Process, str]:
    """Compiles and starts the upstream. Returns the upstream's process and the upstream's URL."""
    program, port = folder / "upstream", free_port()
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "upstream.c"], check=True)
    process, url = Process([str(program), str(port)], LOAD_CORE, folder / "upstream.log"), f"http://127.0.0.1:{port}"
    process.wait_until_it_answers(url)
    return process, url


def rl_router(
    folder: Path, upstream: str, workers: int = 1, core: int = SERVER_CORE, python: str = sys.executable
) -> Stack:
    """Starts the router with the features of a production router: API keys, prices, metrics and a log file.

    The parameter `python` is the Python interpreter of the measured revision.
    """
    port, keys = free_port(), folder / "keys.yaml"
    new = subprocess.run(
        [python, "-m", "rl_router_api", "new-key", "bench"], stdout=subprocess.PIPE, text=True, check=True
    )  # fmt: skip
    message, _, entry = new.stdout.partition("\n\nIts entry for server.api_keys_file:\n")
    keys.write_text(entry)
    config = folder / "router.yaml"
    config.write_text(yaml.safe_dump(_configuration(upstream, port, keys, workers)))
    process = Process([python, "-m", "rl_router_api", "--config", str(config)], core, folder / "router.log")
    process.wait_until_it_answers(f"http://127.0.0.1:{port}/ready")
    key = message.rpartition(" ")[2]
    return Stack("RL Router", process, f"http://127.0.0.1:{port}/v1", ALL, {"Authorization": f"Bearer {key}"}, upstream)


def router_of(revision: Revision) -> Start:
    """Returns a function that starts the router of the revision and returns the router's stack.

    The returned function writes the files of the router, such as its configuration and its log, into a subfolder of
    `folder`. The name of the subfolder and of the stack is the label of the revision.
    """

    def start(folder: Path, upstream: str) -> Stack:
        own = folder / revision.label
        own.mkdir()
        return replace(rl_router(own, upstream, python=revision.python), name=revision.label)

    return start


_TARGETS = (
    ("small", "target", "Quick and cheap: short questions, summaries, everyday chat."),
    ("large", "target", "Strong reasoning at a higher price: programming, mathematics in several steps."),
    ("paced", "paced", "Writes slowly."),
)


def _configuration(upstream: str, port: int, keys: Path, workers: int) -> dict[str, object]:
    targets = [
        {"name": name, "base_url": f"{upstream}/{path}/v1", "price": _PRICE, "description": text}
        for name, path, text in _TARGETS
    ]
    router = {"base_url": f"{upstream}/router/v1", "model": "router-model", "price": _PRICE, "context_length": 32768}
    server = {"port": port, "admin_port": 0, "api_keys_file": str(keys), "workers": workers}
    return {"router": router, "targets": targets, "server": server}


def fastapi_httpx(folder: Path, upstream: str) -> Stack:
    """Starts the relay `fastapi_httpx.py`. The relay runs in uvicorn without uvicorn's optional packages."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "fastapi_httpx:app", "--port", str(port)]
    command += ["--loop", "asyncio", "--http", "h11", "--no-access-log", "--log-level", "warning"]
    process = Process(command, SERVER_CORE, folder / "fastapi_httpx.log", {"BENCH_UPSTREAM": upstream})
    process.wait_until_it_answers(f"http://127.0.0.1:{port}/")
    cases = (PINNED, TWO_HOPS, PINNED_STREAM, COMMITTED_STREAM)
    return Stack("FastAPI + httpx", process, f"http://127.0.0.1:{port}/v1", cases)


def litellm(folder: Path, upstream: str) -> Stack | None:
    """Starts LiteLLM's proxy, which the environment variable BENCH_LITELLM names (default: `litellm`).

    Returns None if this program does not exist.
    """
    program, port = shutil.which(os.environ.get("BENCH_LITELLM", "litellm")), free_port()
    if program is None:
        return None
    config = folder / "litellm.yaml"
    model = {"model": "openai/small", "api_base": f"{upstream}/target/v1", "api_key": "none"}
    config.write_text(yaml.safe_dump({"model_list": [{"model_name": "small", "litellm_params": model}]}))
    command = [program, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    # The proxy does not start without a key.
    key = f"sk-{secrets.token_hex(16)}"
    process = Process(command, SERVER_CORE, folder / "litellm.log", {"LITELLM_MASTER_KEY": key})
    process.wait_until_it_answers(f"http://127.0.0.1:{port}/health/liveliness")
    cases = (PINNED, PINNED_STREAM)
    version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1]
    headers = {"Authorization": f"Bearer {key}"}
    return Stack(f"LiteLLM {version}", process, f"http://127.0.0.1:{port}/v1", cases, headers)


def portkey(folder: Path, upstream: str) -> Stack | None:
    """Starts Portkey's gateway. The environment variable BENCH_PORTKEY contains the path of its start-server.js.

    Returns None if the variable BENCH_PORTKEY is not set or node is not installed.
    """
    script, port = os.environ.get("BENCH_PORTKEY"), free_port()
    if script is None or shutil.which("node") is None:
        return None
    process = Process(["node", script, f"--port={port}", "--headless"], SERVER_CORE, folder / "portkey.log")
    process.wait_until_it_answers(f"http://127.0.0.1:{port}/")
    config = json.dumps({"provider": "openai", "api_key": "none", "custom_host": f"{upstream}/target/v1"})
    return Stack("Portkey", process, f"http://127.0.0.1:{port}/v1", (PINNED,), {"x-portkey-config": config})


Start = Callable[[Path, str], Stack | None]
PEERS: tuple[Start, ...] = (fastapi_httpx, litellm, portkey)
