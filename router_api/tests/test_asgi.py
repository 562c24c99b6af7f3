"""The application needs nothing of its server but ASGI: it works under servers and test clients that are not ours."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import hypercorn.asyncio
import hypercorn.config
import pytest
from rl_router_api.access.keys import new_key
from rl_router_api.config import Configuration
from rl_router_api.runtime.source import with_keys
from rl_router_api.server.app import App
from stages import QUESTION, Stage, events, router_section, served_by, target, until
from starlette.testclient import TestClient
from upstreams import Answer, Body, Exchange, Upstream, chunk, event, hang

PATIENT = {"alpha": {"timeout": 30}}
"""A target that may say nothing for longer than a test takes."""


@asynccontextmanager
async def under_hypercorn(app: App) -> AsyncIterator[str]:
    """hypercorn's server in this event loop."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config, stop = hypercorn.config.Config(), asyncio.Event()
        config.bind = [f"fd://{listening.detach()}"]
        config.errorlog = None
    serving = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait))
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        assert (await client.get(f"{url}/ready")).status_code == 200
    yield url
    stop.set()
    await serving


SERVERS = {
    "uvicorn with h11": partial(served_by, http="h11"),
    "uvicorn with httptools": partial(served_by, http="httptools"),
    "hypercorn": under_hypercorn,
}


@pytest.fixture(params=SERVERS.values(), ids=SERVERS)
def elsewhere(stage: Stage, request: pytest.FixtureRequest) -> Stage:
    """A stage whose router runs under a server that is not ours."""
    stage.server = request.param
    return stage


async def test_a_completion_is_routed_and_recorded(elsewhere: Stage) -> None:
    cast = await elsewhere.routed(None, None)
    answer = await cast.answer()
    assert answer["choices"][0]["message"]["content"] == "Four."
    (ledger,) = cast.served.ledgers
    assert (ledger["status"], ledger["total_cost"]) == (200, answer["router_metadata"]["total_cost"])


async def test_a_stream_is_relayed_to_its_end(elsewhere: Stage) -> None:
    cast = await elsewhere.routed(None, None)
    *_, last, done = await cast.stream()
    assert (last["router_metadata"]["model_used"], done) == ("alpha", "[DONE]")


async def test_an_error_has_its_status_and_its_shape(elsewhere: Stage) -> None:
    cast = await elsewhere.routed(None, None)
    response = await cast.ask(model="unknown")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    assert (await cast.client.get("/nothing")).json()["error"]["type"] == "invalid_request_error"


async def test_a_server_with_keys_tells_strangers_its_state_alone(elsewhere: Stage, tmp_path: Path) -> None:
    key, entry = new_key("somebody")
    (tmp_path / "keys.yaml").write_text(entry)
    cast = await elsewhere.routed(None, None, server={"api_keys_file": str(tmp_path / "keys.yaml")})
    assert (await cast.client.get("/health")).json() == {"status": "ok"}
    assert (await cast.client.get("/metrics")).status_code == 401
    assert (await cast.ask()).status_code == 401
    cast.client.headers["Authorization"] = f"Bearer {key}"
    assert (await cast.ask()).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_when_the_client_leaves_the_call_is_cancelled_and_recorded_as_499(elsewhere: Stage, stream: bool) -> None:
    cast = await elsewhere.routed(None, hang, changes=PATIENT)
    await leave(cast.client, cast.alpha, stream=stream)
    await until(lambda: cast.served.ledgers, "the record")
    check_left(cast.served.ledgers)


async def test_when_the_client_leaves_in_the_middle_of_a_stream_the_call_is_cancelled(elsewhere: Stage) -> None:
    cast = await elsewhere.routed(None, half_a_stream, changes=PATIENT)
    body = {"model": "alpha", "messages": QUESTION, "stream": True}
    async with cast.client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert await anext(response.aiter_bytes())
    await until(lambda: cast.alpha.requests[0].gone, "the end of the call", within=1)
    await until(lambda: cast.served.ledgers, "the record")
    check_left(cast.served.ledgers)


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_recorded_as_499(elsewhere: Stage) -> None:
    cast = await elsewhere.routed(None, None)
    _, writer = await asyncio.open_connection(cast.client.base_url.host, cast.client.base_url.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    await until(lambda: cast.served.app.runtime.in_flight, "the request")
    writer.transport.abort()
    await until(lambda: cast.served.ledgers, "the record")
    assert cast.served.ledgers[0]["status"] == 499


# Test clients.


async def application(stage: Stage, answer: Answer | None = None) -> tuple[App, Upstream]:
    """An application that nothing serves, and its target."""
    model, alpha = await stage.upstream(), await stage.upstream(answer)
    sections = {"router": router_section(model.url), "targets": [target("alpha", alpha.url, timeout=30)]}
    return App(with_keys(Configuration.model_validate(sections))), alpha


@asynccontextmanager
async def calling(app: App, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """httpx's client of an application, which sends no lifespan events."""
    transport = httpx.ASGITransport(app, **options)
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://router"))
        await app.runtime.stop()


async def test_starlettes_test_client_gets_answers_streams_and_errors(stage: Stage) -> None:
    app, _ = await application(stage)

    def ask() -> None:
        with TestClient(app) as client:
            body = {"model": "router", "messages": QUESTION}
            answer = client.post("/v1/chat/completions", json=body)
            assert (answer.status_code, answer.json()["model"]) == (200, "router")
            streamed = client.post("/v1/chat/completions", json={**body, "stream": True})
            assert events(streamed.content)[-1] == "[DONE]"
            refused = client.post("/v1/chat/completions", json={"model": "router"})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")
            assert client.get("/health").json().keys() > {"status", "router_model", "targets"}

    # The upstreams answer in this thread.
    await asyncio.to_thread(ask)


async def test_httpx_gets_answers_streams_and_errors_without_lifespan_events(stage: Stage) -> None:
    app, _ = await application(stage)
    async with calling(app) as client:
        body = {"model": "router", "messages": QUESTION}
        answer = await client.post("/v1/chat/completions", json=body)
        assert (answer.status_code, answer.json()["model"]) == (200, "router")
        streamed = await client.post("/v1/chat/completions", json={**body, "stream": True})
        assert events(streamed.content)[-1] == "[DONE]"
        refused = await client.post("/v1/chat/completions", json={"model": "router"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")
        assert (await client.get("/health")).json().keys() > {"status", "router_model", "targets"}


async def test_an_application_may_be_mounted_under_a_path(stage: Stage) -> None:
    app, _ = await application(stage)
    async with calling(app, root_path="/llm") as client:
        answer = await client.post("/llm/v1/chat/completions", json={"model": "router", "messages": QUESTION})
        assert (answer.status_code, answer.json()["model"]) == (200, "router")
        assert (await client.get("/llm/v1/models")).status_code == 200


async def test_a_cancelled_call_of_the_application_ends_cancelled(stage: Stage, log: list[Body]) -> None:
    app, alpha = await application(stage, hang)
    async with calling(app) as client:
        await leave(client, alpha)
    (ledger,) = [line for line in log if line["message"] == "request"]
    assert ledger["call_history"][0]["status"] == "cancelled"


class Leaving:
    """A client as ASGI's messages tell of it: it sends a body, and then leaves when it is told to."""

    def __init__(self, body: Body) -> None:
        self._messages = [{"type": "http.request", "body": json.dumps(body).encode()}]
        self.leave = asyncio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        if self._messages:
            return self._messages.pop()
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def send_nothing(self, message: Any) -> None:
        """As servers of ASGI 2.4 say that nobody is there."""
        raise OSError


SCOPE = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
    "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions", "query_string": b"",
    "headers": [(b"content-type", b"application/json")],
}  # fmt: skip
"""What a scope must hold, and no more."""


async def test_a_disconnect_message_cancels_the_call(stage: Stage, log: list[Body]) -> None:
    app, alpha = await application(stage, hang)
    client = Leaving({"model": "alpha", "messages": QUESTION})
    answering = asyncio.create_task(app(dict(SCOPE), client.receive, client.send))
    await until(lambda: alpha.requests, "the call")
    client.leave.set()
    await until(lambda: alpha.requests[0].gone, "the end of the call", within=1)
    await answering
    assert (client.sent, answering.cancelling()) == ([], 0)
    check_left([line for line in log if line["message"] == "request"])
    await app.runtime.stop()


async def test_a_stream_that_cannot_be_sent_cancels_the_call(stage: Stage, log: list[Body]) -> None:
    app, alpha = await application(stage, half_a_stream)
    client = Leaving({"model": "alpha", "messages": QUESTION, "stream": True})
    await app(dict(SCOPE), client.receive, client.send_nothing)
    await until(lambda: alpha.requests[0].gone, "the end of the call", within=1)
    check_left([line for line in log if line["message"] == "request"])
    await app.runtime.stop()


async def half_a_stream(exchange: Exchange) -> None:
    """A stream that begins, and then says nothing."""
    await exchange.head("text/event-stream")
    await exchange.piece(event(chunk({"role": "assistant", "content": "Fo"})))
    await exchange.until_dropped()


async def leave(client: httpx.AsyncClient, alpha: Upstream, **fields: Any) -> None:
    """Asks, and leaves when the target has the call; then the call must end within a second."""
    body = {"model": "alpha", "messages": QUESTION, **fields}
    asking = asyncio.create_task(client.post("/v1/chat/completions", json=body))
    await until(lambda: alpha.requests, "the call")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: alpha.requests[0].gone, "the end of the call", within=1)


def check_left(ledgers: list[Body]) -> None:
    """One request was recorded, as one whose client has gone, with the cost of its call."""
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
"""The commands of docs/scaling.md."""


@documented
async def test_the_documented_commands_serve(stage: Stage, tmp_path: Path, command: list[str]) -> None:
    model, alpha = await stage.upstream(), await stage.upstream()
    sections = {"router": router_section(model.url), "targets": [target("alpha", alpha.url)]}
    (tmp_path / "config.yaml").write_text(json.dumps(sections))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = str(port) if command[0] == "uvicorn" else f"127.0.0.1:{port}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, where, stderr=asyncio.subprocess.PIPE,
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
    """The answer to a completion once the server is there."""
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False, verify=False) as client:
        for _ in range(1_000):
            assert process.returncode is None
            try:
                response = await client.post("/v1/chat/completions", json={"model": "alpha", "messages": QUESTION})
            except httpx.ConnectError:
                await asyncio.sleep(0.01)
            else:
                return dict(response.json())
    pytest.fail("the server never came up")


@documented
async def test_a_wrong_configuration_is_one_line_there_too(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "config.yaml").write_text("routing: {max_turn: 3}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command[:-1], stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "RL_ROUTER_CONFIG": str(tmp_path / "config.yaml")},
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    (line,) = errors.decode().splitlines()
    assert line.endswith("config.yaml: routing: unknown key `max_turn`: did you mean `max_turns`?")
