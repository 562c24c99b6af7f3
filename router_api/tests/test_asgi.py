"""The application runs under any ASGI server and with any ASGI test client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from rl_router_api.access.keys import new_key
from rl_router_api.config import Configuration
from rl_router_api.runtime.source import with_keys
from rl_router_api.server.app import App
from starlette.testclient import TestClient

from fakes.ports import free_port
from fakes.testbed.asgi import SCOPE, AsgiClient, calling, run_hypercorn
from fakes.testbed.configuration import router_section, target
from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import events
from fakes.testbed.router import Testbed, run_uvicorn
from fakes.testbed.waiting import until
from fakes.upstreams.bodies import chunk, event
from fakes.upstreams.exchange import Answer, Body, Exchange
from fakes.upstreams.faults import hang
from fakes.upstreams.server import Upstream

LONG_TIMEOUT = {"alpha": {"timeout": 30}}
"""An idle timeout that no test reaches, in seconds."""

SERVERS = {
    "uvicorn with h11": partial(run_uvicorn, http="h11"),
    "uvicorn with httptools": partial(run_uvicorn, http="httptools"),
    "hypercorn": run_hypercorn,
}


@pytest.fixture(params=SERVERS.values(), ids=SERVERS)
def other_server(testbed: Testbed, request: pytest.FixtureRequest) -> Testbed:
    """A testbed that runs routers under other servers than `python -m rl_router_api`."""
    testbed.server = request.param
    return testbed


async def test_a_completion_is_routed_and_recorded(other_server: Testbed) -> None:
    setup = await other_server.start(None, None)
    answer = await setup.answer()
    assert answer["choices"][0]["message"]["content"] == "Four."
    (ledger,) = setup.router.ledgers
    assert (ledger["status"], ledger["total_cost"]) == (200, answer["router_metadata"]["total_cost"])


async def test_a_stream_is_relayed_completely(other_server: Testbed) -> None:
    setup = await other_server.start(None, None)
    *_, last, done = await setup.stream()
    assert (last["router_metadata"]["model_used"], done) == ("alpha", "[DONE]")


async def test_an_error_has_its_status_and_openais_format(other_server: Testbed) -> None:
    setup = await other_server.start(None, None)
    response = await setup.send(model="unknown")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    assert (await setup.client.get("/nothing")).json()["error"]["type"] == "invalid_request_error"


async def test_a_server_with_keys_reports_only_its_status_without_a_key(other_server: Testbed, tmp_path: Path) -> None:
    key, entry = new_key("somebody")
    (tmp_path / "keys.yaml").write_text(entry)
    setup = await other_server.start(None, None, server={"api_keys_file": str(tmp_path / "keys.yaml")})
    assert (await setup.client.get("/health")).json() == {"status": "ok"}
    assert (await setup.client.get("/metrics")).status_code == 401
    assert (await setup.send()).status_code == 401
    setup.client.headers["Authorization"] = f"Bearer {key}"
    assert (await setup.send()).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_if_the_client_disconnects_the_call_is_cancelled_and_recorded_as_499(
    other_server: Testbed, stream: bool
) -> None:
    setup = await other_server.start(None, hang, changes=LONG_TIMEOUT)
    await disconnect(setup.client, setup.alpha, stream=stream)
    await until(lambda: setup.router.ledgers, "the record")
    check_recorded_as_disconnected(setup.router.ledgers)


async def test_if_the_client_disconnects_during_a_stream_the_call_is_cancelled(other_server: Testbed) -> None:
    setup = await other_server.start(None, half_a_stream, changes=LONG_TIMEOUT)
    body = {"model": "alpha", "messages": QUESTION, "stream": True}
    async with setup.client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert await anext(response.aiter_bytes())
    await until(lambda: setup.alpha.requests[0].dropped, "the end of the call", within=1)
    await until(lambda: setup.router.ledgers, "the record")
    check_recorded_as_disconnected(setup.router.ledgers)


async def test_a_client_that_disconnects_during_its_body_is_recorded_as_499(other_server: Testbed) -> None:
    setup = await other_server.start(None, None)
    _, writer = await asyncio.open_connection(setup.client.base_url.host, setup.client.base_url.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    await until(lambda: setup.router.app.runtime.load.pending_bytes, "the request")
    writer.transport.abort()
    await until(lambda: setup.router.ledgers, "the record")
    assert setup.router.ledgers[0]["status"] == 499


# ASGI test clients.


async def application(testbed: Testbed, answer: Answer | None = None) -> tuple[App, Upstream]:
    """Returns an application without a server, and its target."""
    model, alpha = await testbed.upstream(), await testbed.upstream(answer)
    sections = {"router": router_section(model.url), "targets": [target("alpha", alpha.url, timeout=30)]}
    return App(with_keys(Configuration.model_validate(sections))), alpha


async def test_starlettes_test_client_receives_answers_streams_and_errors(testbed: Testbed) -> None:
    app, _ = await application(testbed)

    def send() -> None:
        with TestClient(app) as client:
            body = {"model": "router", "messages": QUESTION}
            answer = client.post("/v1/chat/completions", json=body)
            assert (answer.status_code, answer.json()["model"]) == (200, "router")
            streamed = client.post("/v1/chat/completions", json={**body, "stream": True})
            assert events(streamed.content)[-1] == "[DONE]"
            refused = client.post("/v1/chat/completions", json={"model": "router"})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")
            assert client.get("/health").json().keys() > {"status", "router_model", "targets"}

    # The upstreams run in this thread.
    await asyncio.to_thread(send)


async def test_httpx_receives_answers_streams_and_errors_without_lifespan_events(testbed: Testbed) -> None:
    app, _ = await application(testbed)
    async with calling(app) as client:
        body = {"model": "router", "messages": QUESTION}
        answer = await client.post("/v1/chat/completions", json=body)
        assert (answer.status_code, answer.json()["model"]) == (200, "router")
        streamed = await client.post("/v1/chat/completions", json={**body, "stream": True})
        assert events(streamed.content)[-1] == "[DONE]"
        refused = await client.post("/v1/chat/completions", json={"model": "router"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")
        assert (await client.get("/health")).json().keys() > {"status", "router_model", "targets"}


async def test_an_application_can_be_mounted_under_a_path(testbed: Testbed) -> None:
    app, _ = await application(testbed)
    async with calling(app, root_path="/llm") as client:
        answer = await client.post("/llm/v1/chat/completions", json={"model": "router", "messages": QUESTION})
        assert (answer.status_code, answer.json()["model"]) == (200, "router")
        assert (await client.get("/llm/v1/models")).status_code == 200


async def test_cancelling_the_application_cancels_its_call(testbed: Testbed, log: list[Body]) -> None:
    app, alpha = await application(testbed, hang)
    async with calling(app) as client:
        await disconnect(client, alpha)
    (ledger,) = [line for line in log if line["message"] == "request"]
    assert ledger["call_history"][0]["status"] == "cancelled"


async def test_a_disconnect_message_cancels_the_call(testbed: Testbed, log: list[Body]) -> None:
    app, alpha = await application(testbed, hang)
    client = AsgiClient({"model": "alpha", "messages": QUESTION})
    answering = asyncio.create_task(app(dict(SCOPE), client.receive, client.send))
    await until(lambda: alpha.requests, "the call")
    client.leave.set()
    await until(lambda: alpha.requests[0].dropped, "the end of the call", within=1)
    await answering
    assert (client.received, answering.cancelling()) == ([], 0)
    check_recorded_as_disconnected([line for line in log if line["message"] == "request"])
    await app.runtime.stop()


async def test_a_stream_that_cannot_be_sent_cancels_the_call(testbed: Testbed, log: list[Body]) -> None:
    app, alpha = await application(testbed, half_a_stream)
    client = AsgiClient({"model": "alpha", "messages": QUESTION, "stream": True})
    await app(dict(SCOPE), client.receive, client.send_fails)
    await until(lambda: alpha.requests[0].dropped, "the end of the call", within=1)
    check_recorded_as_disconnected([line for line in log if line["message"] == "request"])
    await app.runtime.stop()


async def half_a_stream(exchange: Exchange) -> None:
    """Begins a stream and sends nothing more."""
    await exchange.head("text/event-stream")
    await exchange.piece(event(chunk({"role": "assistant", "content": "Fo"})))
    await exchange.until_dropped()


async def disconnect(client: httpx.AsyncClient, alpha: Upstream, **fields: Any) -> None:
    """Disconnects the client when the target has received the call. The call must then end within 1 s."""
    body = {"model": "alpha", "messages": QUESTION, **fields}
    request = asyncio.create_task(client.post("/v1/chat/completions", json=body))
    await until(lambda: alpha.requests, "the call")
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await until(lambda: alpha.requests[0].dropped, "the end of the call", within=1)


def check_recorded_as_disconnected(ledgers: list[Body]) -> None:
    """Checks that one request was recorded, with status 499 and the cost of its cancelled call."""
    (ledger,) = ledgers
    (call,) = ledger["call_history"]
    assert (ledger["status"], call["status"], call["cost"] > 0) == (499, "cancelled", True)


documented = pytest.mark.parametrize(
    "command",
    [
        ["uvicorn", "--factory", "rl_router_api.server.app:create", "--port"],
        ["hypercorn", "rl_router_api.server.app:create()", "--bind"],
    ],
    ids=["uvicorn", "hypercorn"],
)
"""Runs a test with each command from docs/scaling.md."""


@documented
async def test_the_documented_commands_serve(testbed: Testbed, tmp_path: Path, command: list[str]) -> None:
    model, alpha = await testbed.upstream(), await testbed.upstream()
    sections = {"router": router_section(model.url), "targets": [target("alpha", alpha.url)]}
    (tmp_path / "config.yaml").write_text(json.dumps(sections))
    port = free_port()
    address = str(port) if command[0] == "uvicorn" else f"127.0.0.1:{port}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, address, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "RL_ROUTER_CONFIG": str(tmp_path / "config.yaml")},
    )  # fmt: skip
    try:
        assert (await first_answer(f"http://127.0.0.1:{port}", process))["model"] == "alpha"
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    records = [json.loads(line) for line in errors.decode().splitlines() if '"message":"request"' in line]
    assert [record["status"] for record in records] == [200]


async def first_answer(url: str, process: asyncio.subprocess.Process) -> Body:
    """Waits for the server and returns its answer to a chat request."""
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False, verify=False) as client:

        async def is_up() -> bool:
            assert process.returncode is None
            with contextlib.suppress(httpx.ConnectError):
                return (await client.get("/ready")).status_code == 200
            return False

        await until(is_up, "the server")
        response = await client.post("/v1/chat/completions", json={"model": "alpha", "messages": QUESTION})
        return dict(response.json())


@documented
async def test_other_servers_report_an_invalid_configuration_in_one_line(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "config.yaml").write_text("routing: {max_turn: 3}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command[:-1], stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "RL_ROUTER_CONFIG": str(tmp_path / "config.yaml")},
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    (line,) = errors.decode().splitlines()
    assert line.endswith("config.yaml: routing: unknown key `max_turn`: did you mean `max_turns`?")
