"""The live checks accept correct servers and detect incorrect ones."""

import importlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = (
    "simple_query", "math_problem", "coding_task", "reasoning_task", "conversation", "creative_task", "system_prompt",
)  # fmt: skip

Change = Callable[[dict[str, Any]], None]


class Server(BaseHTTPRequestHandler):
    """Serves a router API or a router model. The function `change` changes each completion before it is sent."""

    change: Change = staticmethod(lambda completion: None)

    def do_GET(self) -> None:
        models = {"object": "list", "data": [{"id": name, "object": "model"} for name in ("router-tool-rl", "quick")]}
        pages = {"/v1/models": models, "/health": {"status": "ok"}, "/": {"service": "fake"}}
        self.reply(pages.get(self.path, {}), 200 if self.path in pages else 404)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        completion = answer_to(request)
        type(self).change(completion)
        if request.get("stream"):
            self.stream(completion)
        else:
            self.reply(completion)

    def reply(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, completion: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for chunk in chunks_of(completion):
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *arguments: object) -> None:
        pass


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    text = '{"call": "call_quick"}' if "response_format" in request else "Arr, Paris."
    tokens = sum(len(message["content"]) for message in request["messages"]) // 4
    return {
        "id": "c1", "object": "chat.completion", "created": 1, "model": request["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 3, "total_tokens": tokens + 3},
        "router_metadata": metadata(),
    }  # fmt: skip


def metadata() -> dict[str, Any]:
    calls = [entry("call_1", 0.1, selected=False), entry("call_2", 0.2, selected=True)]
    return {
        "model_used": "quick", "routing_strategy": "select_response", "turns_used": 2, "total_cost": 0.31,
        "router_cost": 0.01, "target_models_cost": 0.3, "total_time": 1.5, "call_history": calls,
    }  # fmt: skip


def entry(call_id: str, cost: float, *, selected: bool) -> dict[str, Any]:
    return {
        "call_id": call_id,
        "model_id": "quick",
        "cost": cost,
        "status": "ok",
        "selected": selected,
        "arguments": {},
    }


def chunks_of(completion: dict[str, Any]) -> Iterator[dict[str, Any]]:
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": completion["model"]}
    text = completion["choices"][0]["message"]["content"]
    yield {**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]}
    last = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if "router_metadata" in completion:
        last["router_metadata"] = completion["router_metadata"]
    yield last


@contextmanager
def serving(change: Change = lambda completion: None) -> Iterator[str]:
    handler = type("Handler", (Server,), {"change": staticmethod(change)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def check(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / script), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )  # fmt: skip


@pytest.fixture
def check_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """A function that runs test_serve.py in this process and returns the exit status and the output.

    A run in this process is faster than a run in a new process.
    """
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["test_serve.py", *arguments])
        status = importlib.import_module("test_serve").main()
        return status, capsys.readouterr().out

    return run


def test_every_check_passes_against_a_correct_router() -> None:
    with serving() as url:
        process = check("test_serve.py", "--url", url)
    assert process.returncode == 0, process.stdout + process.stderr
    for name in TESTS:
        assert name in process.stdout
    assert "all 7 checks passed" in process.stdout


@pytest.mark.parametrize("name", TESTS)
def test_each_check_can_be_run_alone(name: str, check_here: Callable[..., tuple[int, str]]) -> None:
    with serving() as url:
        status, output = check_here("--url", url, "--test", name)
    assert status == 0, output
    assert [other for other in TESTS if other in output] == [name]


def test_an_answer_is_shown_with_its_model_cost_time_calls_and_strategy() -> None:
    with serving() as url:
        process = check("test_serve.py", "--url", url, "--test", "math_problem")
    line = "→ quick · $0.31 · 1.50 s · 2 calls: quick (ok), quick (ok) · select_response after 2 turns"
    assert line in process.stdout


def put(path: str, value: object) -> Change:
    """Returns a change that sets the field at the dotted path, or that removes the field if `value` is None."""

    def change(completion: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        parent: Any = completion
        for part in parents:
            parent = parent[part]
        if value is None:
            del parent[last]
        else:
            parent[last] = value

    return change


FAULTS = {
    "total that is not the sum": (put("router_metadata.total_cost", 0.31000001), "total_cost is 0.31000001"),
    "history that does not add up": (put("router_metadata.call_history.0.cost", 0.1000001), "call_history adds up to"),
    "nothing selected": (put("router_metadata.call_history.1.selected", False), "0 entries of call_history"),
    "two selected": (put("router_metadata.call_history.0.selected", True), "2 entries of call_history"),
    "another model selected": (put("router_metadata.call_history.1.model_id", "slow"), "the selected call is 'slow'"),
    "unknown strategy": (put("router_metadata.routing_strategy", "magic"), "routing_strategy is 'magic'"),
    "cost as text": (put("router_metadata.router_cost", "0.01"), "router_cost is '0.01', not a number"),
    "no metadata": (put("router_metadata", None), "the answer has no `router_metadata`"),
    "no calls": (put("router_metadata.call_history", None), "lacks `call_history`"),
    "another model's name": (put("model", "gpt-4"), "the answer names 'gpt-4'"),
    "no text": (put("choices.0.message.content", ""), "the answer has no text"),
    "no usage": (put("usage", None), "the answer has no `usage`"),
    "usage that does not add up": (put("usage.total_tokens", 1), "total_tokens 1 is less than"),
    "a truncated question": (put("usage.prompt_tokens", 1), "parts of the request may be lost"),
    "no completion": (put("object", "error"), "`object` is 'error'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_router_is_detected(fault: str, check_here: Callable[..., tuple[int, str]]) -> None:
    change, reason = FAULTS[fault]
    with serving(change) as url:
        status, output = check_here("--url", url, "--test", "system_prompt")
    assert status == 1
    assert reason in output
    assert "1 of 1 checks failed: system_prompt" in output


def test_a_stream_without_metadata_is_detected() -> None:
    def remove_metadata_from_the_stream(completion: dict[str, Any]) -> None:
        completions.append(completion)
        if len(completions) == 2:
            del completion["router_metadata"]

    completions: list[object] = []
    with serving(remove_metadata_from_the_stream) as url:
        process = check("test_serve.py", "--url", url, "--test", "simple_query")
    assert process.returncode == 1
    assert "the answer has no `router_metadata`" in process.stdout


def test_a_conversation_without_its_earlier_turns_is_detected() -> None:
    with serving(put("usage", {"prompt_tokens": 90, "completion_tokens": 3, "total_tokens": 93})) as url:
        process = check("test_serve.py", "--url", url, "--test", "conversation")
    assert process.returncode == 1
    assert "too few prompt_tokens: 90, after 90 for the first request" in process.stdout


def test_a_direct_response_selects_no_call() -> None:
    direct = metadata() | {
        "routing_strategy": "direct_response", "call_history": [], "target_models_cost": 0, "total_cost": 0.01,
    }  # fmt: skip
    with serving(put("router_metadata", direct)) as url:
        process = check("test_serve.py", "--url", url, "--test", "simple_query")
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize("script", ["test_serve.py", "test_host.py"])
def test_an_unreachable_server_is_a_one_line_error_with_a_fix(script: str) -> None:
    with serving() as url:
        pass
    process = check(script, "--url", url)
    assert process.returncode == 1
    assert process.stdout == ""
    command = script.replace("test_", "bash ").replace(".py", ".sh")
    assert re.fullmatch(
        rf"error: no server answers at {url} \(.*\)\. Start the server with `{command}`, or correct --url\n",
        process.stderr,
    )


def test_the_servers_information_and_models_are_shown() -> None:
    with serving() as url:
        info = check("test_serve.py", "--url", url, "--info")
        models = check("test_serve.py", "--url", url, "--models")
    assert "service  fake" in info.stdout
    assert "status  ok" in info.stdout
    assert models.stdout.split("\n")[:2] == ["router-tool-rl  (routed)", "quick"]


def test_requests_to_a_local_server_do_not_use_the_proxy() -> None:
    with serving() as url:
        process = check(
            "test_serve.py", "--url", url, "--test", "math_problem", http_proxy="http://127.0.0.1:9", NO_PROXY=""
        )
    assert process.returncode == 0, process.stdout + process.stderr


def test_a_router_model_without_a_tool_call_passes_with_an_explanation() -> None:
    with serving(put("router_metadata", None)) as url:
        process = check("test_host.py", "--url", url)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "the engine does not enforce `tool_choice`" in process.stdout
    assert "all 6 checks passed" in process.stdout


def test_a_router_model_that_violates_the_schema_is_detected() -> None:
    with serving(put("choices.0.message.content", '{"call": "call_everyone"}')) as url:
        process = check("test_host.py", "--url", url, "--test", "decision")
    assert process.returncode == 1
    assert "the answer does not match the schema" in process.stdout


def test_a_router_model_that_calls_an_unknown_tool_is_detected() -> None:
    call = {"id": "t1", "type": "function", "function": {"name": "launch", "arguments": "{}"}}
    with serving(put("choices.0.message.tool_calls", [call])) as url:
        process = check("test_host.py", "--url", url, "--test", "tools")
    assert process.returncode == 1
    assert "the model called the function 'launch', which the request does not offer" in process.stdout
