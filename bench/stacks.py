"""The servers that are measured, each in front of the same upstream and on the same core."""

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
    """A running server, and what it can be asked."""

    name: str
    process: Process
    base_url: str
    cases: tuple[Case, ...]
    headers: dict[str, str] = field(default_factory=dict)
    upstream: str = ""

    def load(self, case: Case, connections: int, rate: float = 0.0) -> Load:
        """That case, asked of this stack."""
        return Load(f"{self.base_url}/chat/completions", case.body, self.headers, connections, rate)

    def direct(self, case: Case, connections: int, rate: float = 0.0) -> Load:
        """The same, asked of the upstream behind it."""
        return Load(f"{self.upstream}/target/v1/chat/completions", case.body, {}, connections, rate)


def start_upstream(folder: Path) -> tuple[Process, str]:
    """The upstream, compiled on the spot, and its address."""
    program, port = folder / "upstream", free_port()
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "upstream.c"], check=True)
    process, url = Process([str(program), str(port)], LOAD_CORE, folder / "upstream.log"), f"http://127.0.0.1:{port}"
    process.until_it_answers(url)
    return process, url


def rl_router(
    folder: Path, upstream: str, workers: int = 1, core: int = SERVER_CORE, python: str = sys.executable
) -> Stack:
    """As in production: keys, prices, metrics, and a log that goes into a file; `python` decides which revision."""
    port, keys = free_port(), folder / "keys.yaml"
    new = subprocess.run(
        [python, "-m", "rl_router_api", "new-key", "bench"], stdout=subprocess.PIPE, text=True, check=True
    )  # fmt: skip
    said, _, entry = new.stdout.partition("\n\nIts entry for server.api_keys_file:\n")
    keys.write_text(entry)
    config = folder / "router.yaml"
    config.write_text(yaml.safe_dump(_configuration(upstream, port, keys, workers)))
    process = Process([python, "-m", "rl_router_api", "--config", str(config)], core, folder / "router.log")
    process.until_it_answers(f"http://127.0.0.1:{port}/ready")
    key = said.rpartition(" ")[2]
    return Stack("RL Router", process, f"http://127.0.0.1:{port}/v1", ALL, {"Authorization": f"Bearer {key}"}, upstream)


def router_of(revision: Revision) -> Start:
    """Returns what starts the router of that revision, in a folder of its own, as a stack of that label."""

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


def obvious(folder: Path, upstream: str) -> Stack:
    """FastAPI and httpx, as `pip install fastapi uvicorn httpx` brings them: what uvicorn has by its extras is ours."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "obvious:app", "--port", str(port)]
    command += ["--loop", "asyncio", "--http", "h11", "--no-access-log", "--log-level", "warning"]
    process = Process(command, SERVER_CORE, folder / "obvious.log", {"BENCH_UPSTREAM": upstream})
    process.until_it_answers(f"http://127.0.0.1:{port}/")
    cases = (PINNED, TWO_HOPS, PINNED_STREAM, COMMITTED_STREAM)
    return Stack("FastAPI + httpx", process, f"http://127.0.0.1:{port}/v1", cases)


def litellm(folder: Path, upstream: str) -> Stack | None:
    """LiteLLM's proxy, where `litellm` (or what BENCH_LITELLM names) is installed."""
    program, port = shutil.which(os.environ.get("BENCH_LITELLM", "litellm")), free_port()
    if program is None:
        return None
    config = folder / "litellm.yaml"
    model = {"model": "openai/small", "api_base": f"{upstream}/target/v1", "api_key": "none"}
    config.write_text(yaml.safe_dump({"model_list": [{"model_name": "small", "litellm_params": model}]}))
    command = [program, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    # It does not start without a key.
    key = f"sk-{secrets.token_hex(16)}"
    process = Process(command, SERVER_CORE, folder / "litellm.log", {"LITELLM_MASTER_KEY": key})
    process.until_it_answers(f"http://127.0.0.1:{port}/health/liveliness")
    cases = (PINNED, PINNED_STREAM)
    return Stack("LiteLLM", process, f"http://127.0.0.1:{port}/v1", cases, {"Authorization": f"Bearer {key}"})


def portkey(folder: Path, upstream: str) -> Stack | None:
    """Portkey's gateway, where BENCH_PORTKEY names its start-server.js and node is installed."""
    script, port = os.environ.get("BENCH_PORTKEY"), free_port()
    if script is None or shutil.which("node") is None:
        return None
    process = Process(["node", script, f"--port={port}", "--headless"], SERVER_CORE, folder / "portkey.log")
    process.until_it_answers(f"http://127.0.0.1:{port}/")
    config = json.dumps({"provider": "openai", "api_key": "none", "custom_host": f"{upstream}/target/v1"})
    return Stack("Portkey", process, f"http://127.0.0.1:{port}/v1", (PINNED,), {"x-portkey-config": config})


Start = Callable[[Path, str], Stack | None]
PEERS: tuple[Start, ...] = (obvious, litellm, portkey)
