"""Runs the servers that decide by the learned policy, and measures their CPU time, memory and start time."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from policy_workload import names, price, prompts, situation, tools
from processes import SERVER_CORE, Process, free_port
from rl_router_policy.embedding import VECTORS
from rl_router_policy.wire import as_json

_NOWHERE = "http://127.0.0.1:9/v1"
"""An address that no model has. The port 9 is reserved for a service that discards data (RFC 863)."""
_WARM_UP, _DECISIONS_OF_A_START = 50, 100
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """A running server on a port of this machine."""

    process: Process
    port: int

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Returns the answer to a request. Raises OSError if the server does not answer, or answers with an error."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        connection.close()
        if response.status != 200:
            raise OSError(f"status {response.status}: {answer}")
        return answer

    def decide(self, prompt: str) -> dict[str, Any]:
        """Returns the learned policy's decision about a prompt, or an empty object if it did not decide."""
        body = {"model": "router", "messages": [{"role": "user", "content": prompt}]}
        answer = self.post("/v1/route", body)
        decision: dict[str, Any] = answer["router_metadata"].get("decision", {})
        return decision


@dataclass(frozen=True)
class Start:
    """A start of the router API: the seconds until the first decision, and the MiB of memory after 100 more decisions.

    The attribute `shared` is the part of the memory that all workers share: the vectors of the word embedding.
    """

    seconds: float
    memory: float
    shared: float


@contextmanager
def port_8000(folder: Path) -> Iterator[Server]:
    """Runs the CPU fallback, which decides by the bundled artefact."""
    port = free_port()
    with _running(["rl_router_model", "--port", str(port)], port, folder / "model.log") as server:
        server.process.wait_until_it_answers(f"http://127.0.0.1:{port}/health")
        yield server


def by_client(server: Server, decisions: int) -> tuple[float, float]:
    """Returns the CPU time per decision of a small client, which is this process, and of port 8000, in milliseconds."""

    def ask(prompt: str) -> None:
        messages = [{"role": "user", "content": prompt}]
        body = {"messages": messages, "tools": tools(), "rl_router": as_json(situation(prompt))}
        _check("artefact" in server.post("/v1/chat/completions", body)["rl_router"])

    return _cpu_times(ask, decisions, time.process_time, server)


def by_router_api(server: Server, decisions: int, folder: Path) -> tuple[float, float]:
    """Returns the CPU time per decision of the router API with the policy `rl`, and of port 8000, in milliseconds."""
    router = {"base_url": f"http://127.0.0.1:{server.port}/v1", "protocol": "tools"}
    with _router_api({"router": router, "routing": {"guard": False}}, folder) as api:
        _wait_for_a_decision(api)
        return _cpu_times(lambda prompt: _check(bool(api.decide(prompt))), decisions, api.process.cpu_seconds, server)


def start(policy: str, folder: Path) -> Start:
    """Starts the router API with a policy, measures the start, and stops the router API."""
    with _router_api({"routing": {"policy": policy, "guard": False}}, folder) as api:
        api.decide("Hello")
        seconds = time.monotonic() - api.process.started
        for prompt in prompts(_DECISIONS_OF_A_START):
            api.decide(prompt)
        return Start(seconds, api.process.memory_mb(), api.process.mapped_mb(VECTORS))


@contextmanager
def _router_api(configuration: dict[str, Any], folder: Path) -> Iterator[Server]:
    """Runs the router API with ten targets, and waits until it answers."""
    port, file = free_port(), folder / "router.yaml"
    targets = [{"name": name, "base_url": _NOWHERE, "price": price(at)} for at, name in enumerate(names())]
    server = {"port": port, "admin_port": 0}
    file.write_text(yaml.safe_dump({**configuration, "targets": targets, "server": server}))
    command = ["rl_router_api", "--config", str(file)]
    with _running(command, port, folder / "api.log") as api:
        api.process.wait_until_it_answers(f"http://127.0.0.1:{port}/health")
        yield api


@contextmanager
def _running(module: list[str], port: int, log: Path) -> Iterator[Server]:
    process = Process([sys.executable, "-m", *module], SERVER_CORE, log)
    try:
        yield Server(process, port)
    finally:
        process.stop()


def _wait_for_a_decision(api: Server) -> None:
    """Waits until the router API's first probe has found that port 8000 decides by a policy."""
    end = time.monotonic() + _START_SECONDS
    while not api.decide("Hello"):
        _check(time.monotonic() < end)
        time.sleep(0.1)


def _cpu_times(
    ask: Callable[[str], None], decisions: int, own_seconds: Callable[[], float], server: Server
) -> tuple[float, float]:
    """Returns the CPU time per decision on the clock `own_seconds` and of port 8000, in milliseconds."""
    asked = prompts(_WARM_UP + decisions)
    for prompt in asked[:_WARM_UP]:
        ask(prompt)
    clocks = own_seconds, server.process.cpu_seconds
    before = [clock() for clock in clocks]
    for prompt in asked[_WARM_UP:]:
        ask(prompt)
    own, servers = [(clock() - earlier) / decisions * 1000 for clock, earlier in zip(clocks, before, strict=True)]
    return own, servers


def _check(decided: bool) -> None:
    if not decided:
        raise SystemExit("error: the learned policy does not decide. Run `python3 scripts/environment.py dev`")
