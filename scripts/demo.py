"""Implements `make demo`, which shows a routed answer on this machine.

The demo prints a table of decisions among the catalogue's models, without a call to a model. Then the demo starts the
bundled router model (by default on port 8000), starts the router API (by default on port 8800), and sends one question
with the openai package. The demo prints the answer, and prints how the answer was routed. Without the flag `--once`,
the servers run until Ctrl-C, so that users can try the README's examples. The demo always stops the servers that it
started.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Any

import environment

if __name__ == "__main__":
    environment.reenter(__file__)

import decision_table
import live_check
import openai
import yaml

CATALOGUE = environment.ROOT / "router_api" / "rl_router_api" / "catalogue.yaml"
ROUTER_MODEL = "smollm2-router"
# The demo serves one model under three names. The prices are invented, so that the router model has a choice.
TARGETS = (
    ("quick-helper", "0.05", "0.20", "Cheap and quick. Greetings, facts, short everyday questions."),
    ("careful-thinker", "0.50", "2.00", "Slow and thorough. Mathematics, logic, explanations in several steps."),
    ("code-writer", "0.20", "0.80", "Programming: writes, explains and fixes code in any language."),
)
QUESTION = "Explain in two sentences why the sky is blue."
MAX_TOKENS = 120
MODEL_READY = 120.0
API_READY = 60.0
PR_SET_PDEATHSIG = 1


class DemoError(Exception):
    """Raised if the demo cannot continue. The message of the error says in one line why the demo ended."""


class Child:
    """A running program of the demo. The program writes its output to the file `log`."""

    def __init__(self, module: str, arguments: list[str], log: Path) -> None:
        self.module = module
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_die_with_parent, env=_environment(),
            )  # fmt: skip

    def check(self) -> None:
        """Raises DemoError with the last line of the program's output if the program has ended."""
        if self._process.poll() is not None:
            raise DemoError(f"{self.module} ended (exit status {self._process.returncode}): {self._last_line()}")

    def wait_until_ready(self, url: str, seconds: float) -> None:
        """Waits until the URL `url` answers with the status 200.

        Raises DemoError if the program ends, or if the URL does not answer with the status 200 within `seconds`
        seconds.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            if _answers(url):
                return
            time.sleep(0.1)
        raise DemoError(f"{self.module} was not ready within {seconds:g} s: {self._last_line()}")

    def stop(self) -> None:
        """Stops the program and its child processes with SIGINT, or if necessary with SIGTERM or SIGKILL."""
        # SIGINT stops the router API at once. After SIGTERM, the router API would serve requests for some more seconds.
        for number, patience in ((signal.SIGINT, 5), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
                return

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return _message(lines[-1]) if lines else "the program printed nothing"


def main() -> int:
    arguments = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        _demonstrate(arguments)
    except KeyboardInterrupt:
        print("\nStopped.", flush=True)
    except DemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    flags = argparse.ArgumentParser(description="Starts a router and prints a routed answer.", allow_abbrev=False)
    flags.add_argument("--model-port", type=int, default=8000, help="port of the router model (default: %(default)s)")
    flags.add_argument("--serve-port", type=int, default=8800, help="port of the router API (default: %(default)s)")
    flags.add_argument("--once", action="store_true", help="stop the servers and exit after the answer")
    return flags.parse_args()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _demonstrate(arguments: argparse.Namespace) -> None:
    _require_free(arguments.model_port, "--model-port")
    _require_free(arguments.serve_port, "--serve-port")
    url = f"http://localhost:{arguments.serve_port}/v1"
    client = live_check.connect(argparse.Namespace(url=url, api_key="dummy", timeout=120.0))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rl-router-demo-")))
        _show_decisions(arguments.serve_port, folder)
        children = [_start_router_model(stack, arguments, folder), _start_router_api(stack, arguments, folder)]
        _ask(client)
        if not arguments.once:
            _stay(children, arguments, folder)


def _stop(child: Child) -> None:
    # A second Ctrl-C must not prevent the other program from being stopped.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    child.stop()


def _show_decisions(port: int, folder: Path) -> None:
    """Prints how the bundled policy would route a few prompts among the catalogue's models.

    The function starts a router API on the port `port`, which makes the decisions, and stops this router API again.
    """
    _say("How the bundled policy would route these prompts among the catalogue's models. No model is called.")
    _say("The guard is off here, because there is no evidence yet that the policy chooses well among these models.\n")
    path = folder / "catalogue.yaml"
    path.write_text(yaml.safe_dump(decision_table.configuration(yaml.safe_load(CATALOGUE.read_text()), port)))
    with contextlib.ExitStack() as stack:
        child = Child("rl_router_api", ["--config", str(path)], folder / "decisions.log")
        stack.callback(child.stop)
        child.wait_until_ready(f"http://127.0.0.1:{port}/ready", API_READY)
        try:
            decision_table.show(f"http://127.0.0.1:{port}")
        except OSError as error:
            raise DemoError(f"no decision: {error}") from None


def _start_router_model(stack: contextlib.ExitStack, arguments: argparse.Namespace, folder: Path) -> Child:
    names = [ROUTER_MODEL, *(name for name, *_ in TARGETS)]
    _say(f"Starting the router model on port {arguments.model_port}: the policy decides, and SmolLM2-135M answers.")
    child = Child(
        "rl_router_model", ["--port", str(arguments.model_port), "--served-model-name", *names], folder / "model.log"
    )  # fmt: skip
    stack.callback(_stop, child)
    child.wait_until_ready(f"http://127.0.0.1:{arguments.model_port}/health", MODEL_READY)
    _say(f"The targets {', '.join(names[1:])} are one small model under three names with invented prices.")
    _say("Of these three targets, the policy knows only the prices. The guard is off, so that the policy decides.")
    return child


def _start_router_api(stack: contextlib.ExitStack, arguments: argparse.Namespace, folder: Path) -> Child:
    targets = _targets(arguments.model_port)
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(_configuration(arguments, targets), sort_keys=False))
    paid = [f"{target['name']} ({target['api_key_env']})" for target in targets if "api_key_env" in target]
    if paid:
        _say(f"The demo may call paid targets, because their API keys are in the environment: {', '.join(paid)}")
    _say(f"Starting the router API on port {arguments.serve_port} with {live_check.plural(len(targets), 'target')}.")
    child = Child("rl_router_api", ["--config", str(path), "--wait", "30"], folder / "api.log")
    stack.callback(_stop, child)
    child.wait_until_ready(f"http://127.0.0.1:{arguments.serve_port}/ready", API_READY)
    return child


def _configuration(arguments: argparse.Namespace, targets: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "router": {
            "base_url": f"http://127.0.0.1:{arguments.model_port}/v1",
            "model": ROUTER_MODEL,
            "protocol": "json_schema",
            "timeout": 60,
        },
        "targets": targets,
        "routing": {"guard": False},
        "server": {"port": arguments.serve_port, "admin_port": None},
    }


def _targets(model_port: int) -> list[dict[str, Any]]:
    own = [
        {
            "name": name,
            "base_url": f"http://127.0.0.1:{model_port}/v1",
            "price": {"input": price_in, "output": price_out},
            "description": description,
            "capabilities": ["tools", "json_schema"],
        }
        for name, price_in, price_out, description in TARGETS
    ]
    listed = yaml.safe_load(CATALOGUE.read_text())["targets"]
    return own + [target for target in listed if os.environ.get(target["api_key_env"])]


def _ask(client: openai.OpenAI) -> None:
    _say(f"Question: {QUESTION}\n")
    try:
        answer = live_check.ask(
            client, "router-tool-rl", [{"role": "user", "content": QUESTION}], max_tokens=MAX_TOKENS
        )  # fmt: skip
        live_check.check_metadata(answer.metadata)
    except (openai.OpenAIError, live_check.CheckError) as error:
        raise DemoError(f"no routed answer: {error}") from None
    live_check.show(answer)
    print(f"  {live_check.dim('→ ' + _who_decided(answer.metadata or {}))}\n", flush=True)


def _who_decided(metadata: dict[str, Any]) -> str:
    decisions = [call for call in metadata.get("router_calls", []) if call.get("status") == "ok"]
    if metadata["routing_strategy"] == "fallback" or not decisions:
        return "decided by the fallback order: the router model's decisions led to no answer"
    return f"decided by {decisions[0].get('model_id', ROUTER_MODEL)} in {live_check.plural(len(decisions), 'decision')}"


def _stay(children: list[Child], arguments: argparse.Namespace, folder: Path) -> None:
    _say("Try it yourself:\n")
    print(f"""curl -X POST "http://localhost:{arguments.serve_port}/v1/chat/completions" \\
  -H "Content-Type: application/json" \\
  -H "Authorization: Bearer dummy" \\
  -d '{{
    "model": "router",
    "messages": [
      {{"role": "user", "content": "Explain quantum computing in simple terms"}}
    ],
    "max_tokens": 500
  }}'
""")
    _say(f"The logs are in {folder}/*.log. Ctrl-C stops everything.")
    while True:
        for child in children:
            child.check()
        time.sleep(0.5)


def _message(line: str) -> str:
    # The log lines of the router API are JSON, and the log lines of the router model are plain text.
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(line)["message"])
    return line


def _require_free(port: int, flag: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise DemoError(
                f"port {port} is in use. Stop the program that uses the port, or choose another port:"
                f" .venv/bin/python scripts/demo.py {flag} PORT"
            ) from None


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _environment() -> dict[str, str]:
    # Settings of another router must not change the demo.
    return {name: value for name, value in os.environ.items() if not name.startswith("RL_ROUTER_")}


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
