"""The CPU fallback from a client's view: one real server serves the bundled model under three names."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.policy.artefacts import write_artefact
from fakes.policy.requests import tool
from fakes.testbed.model_server import running_model_server

NAMES = ["alpha", "beta", "gamma"]
KEY = "a-key-for-tests"
QUESTION = [{"role": "user", "content": "Say hello."}]
CHOICE: dict[str, Any] = {
    "type": "object",
    "properties": {"ask": {"type": "string", "enum": NAMES}},
    "required": ["ask"],
    "additionalProperties": False,
}
MAXIMUM_RESIDENT = 600 * 10**6  # bytes
SLOTS = 4


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artefact(tmp_path_factory.mktemp("artefacts") / "fake", {"alpha": 0.9, "beta": 0.5})


@pytest.fixture(scope="module")
def server(artefact: Path) -> Iterator[tuple[str, int]]:
    """Yields the server's URL and its process id."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "rl_router_model", "--port", str(port), "--served-model-name", *NAMES,
               "--api-key", KEY, "--tool-call-parser", "hermes", "--artefact", str(artefact)]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        url = f"http://127.0.0.1:{port}"
        _until_healthy(url, process)
        yield url, process.pid
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=20)[1]
        assert process.returncode == 0
        assert "flags ignored by the CPU fallback: --tool-call-parser" in errors


def _until_healthy(url: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("the server never became healthy")


@pytest.fixture
async def client(server: tuple[str, int]) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=server[0], headers=headers, timeout=300, trust_env=False) as made:
        yield made


def resident_bytes(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    body = {"model": "alpha", "messages": QUESTION, "max_tokens": 8, **fields}
    return await client.post("/v1/chat/completions", json=body)


async def test_every_served_name_is_listed_with_its_context(client: httpx.AsyncClient) -> None:
    models = (await client.get("/v1/models")).json()["data"]
    assert [model["id"] for model in models] == NAMES
    assert all(model["max_model_len"] == 4096 for model in models)


@pytest.mark.parametrize("name", NAMES)
async def test_an_answer_has_the_model_name_of_its_request(client: httpx.AsyncClient, name: str) -> None:
    answer = (await ask(client, model=name)).json()
    assert answer["model"] == name
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] > 0


async def test_an_unknown_name_gets_vllms_404(client: httpx.AsyncClient) -> None:
    response = await ask(client, model="delta")
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["message"] == "The model `delta` does not exist."
    assert (error["type"], error["param"], error["code"]) == ("NotFoundError", "model", 404)


async def test_a_json_schema_that_offers_targets_is_answered_by_the_policy(client: httpx.AsyncClient) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "decision", "strict": True, "schema": CHOICE}}
    answer = (await ask(client, response_format=form)).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"ask": "alpha"}
    assert answer["rl_router"]["reason"]


async def test_any_other_json_schema_is_always_obeyed_by_the_language_model(client: httpx.AsyncClient) -> None:
    schema = {**CHOICE, "properties": {"answer": CHOICE["properties"]["ask"]}, "required": ["answer"]}
    form = {"type": "json_schema", "json_schema": {"name": "decision", "strict": True, "schema": schema}}
    answer = (await ask(client, response_format=form, max_tokens=32, temperature=0)).json()
    assert json.loads(answer["choices"][0]["message"]["content"])["answer"] in NAMES
    assert "rl_router" not in answer


def test_the_language_model_is_not_loaded_for_decisions(artefact: Path) -> None:
    tools = [tool("call_alpha"), tool("call_beta")]
    with running_model_server("--artefact", str(artefact)) as server:
        url = f"{server.url}/v1/chat/completions"
        decided = httpx.post(url, json={"messages": QUESTION, "tools": tools}, trust_env=False).json()
        assert decided["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "call_alpha"
        resident = resident_bytes(server.process.pid)
    assert not [line for line in server.lines if "loading" in line]
    assert resident < 150 * 10**6


def test_the_language_model_decides_if_the_user_wants_it() -> None:
    with running_model_server("--decide", "language-model") as server:
        listed = httpx.get(f"{server.url}/v1/models", trust_env=False).json()["data"]
    assert "rl_router" not in listed[0]
    assert [line for line in server.lines if "loading" in line]


async def test_a_stream_has_the_model_name_of_its_request(client: httpx.AsyncClient) -> None:
    response = await ask(client, model="beta", stream=True, stream_options={"include_usage": True})
    events = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert {chunk["model"] for chunk in chunks} == {"beta"}
    assert "".join(each["delta"].get("content") or "" for chunk in chunks for each in chunk["choices"])
    assert chunks[-1]["usage"]["total_tokens"] > 0


async def test_the_hermes_template_includes_tools_and_their_results(client: httpx.AsyncClient) -> None:
    tool = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages = [*QUESTION, {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "2"}]  # fmt: skip
    bare = (await ask(client)).json()["usage"]["prompt_tokens"]
    answer = (await ask(client, messages=messages, tools=[tool])).json()
    assert answer["usage"]["prompt_tokens"] > bare + 50


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_a_body_that_is_not_a_json_object_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "BadRequestError"


async def test_without_the_key_only_health_answers(server: tuple[str, int]) -> None:
    async with httpx.AsyncClient(base_url=server[0], trust_env=False) as stranger:
        assert (await stranger.get("/health")).status_code == 200
        assert (await stranger.get("/v1/models")).status_code == 401
        assert (await ask(stranger)).status_code == 401


async def test_an_unknown_path_is_a_404_in_openais_shape(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/nothing")
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "NotFoundError"


async def test_health_answers_while_every_slot_is_busy(client: httpx.AsyncClient) -> None:
    busy = [asyncio.create_task(ask(client, max_tokens=40)) for _ in range(SLOTS + 2)]
    for _ in range(20):
        assert (await client.get("/health")).status_code == 200
    assert not all(task.done() for task in busy)
    await asyncio.gather(*busy)


async def test_a_client_that_disconnects_frees_its_slot(client: httpx.AsyncClient) -> None:
    leaving = [asyncio.create_task(ask(client, max_tokens=3500, ignore_eos=True)) for _ in range(SLOTS)]
    done, _ = await asyncio.wait(leaving, timeout=1)
    assert not done
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    # Without cancellation, these requests would occupy every slot for minutes.
    async with asyncio.timeout(20):
        assert (await ask(client, max_tokens=2)).status_code == 200


async def test_the_server_uses_less_than_600_mb(server: tuple[str, int], client: httpx.AsyncClient) -> None:
    # The prompts together exceed one batch of the engine, so its buffers are full.
    long = [{"role": "user", "content": "word " * 300}]
    await asyncio.gather(*(ask(client, messages=long, stream=number % 2 == 0) for number in range(SLOTS)))
    assert resident_bytes(server[1]) < MAXIMUM_RESIDENT
