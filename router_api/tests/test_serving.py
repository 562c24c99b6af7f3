"""The server as a process: its ports, its workers, and how it stops."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from rl_router_api.access.keys import new_key
from rl_router_api.config import Server
from rl_router_api.health import ExitCode
from rl_router_api.server.listen import listen

from fakes.testbed.configuration import router_section, target
from fakes.testbed.program import PATIENT, Programs, held_request, port_fields
from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import events
from fakes.testbed.router import Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.exchange import Answer, Body
from fakes.upstreams.holding import HoldingTarget


@pytest.fixture
async def holding() -> AsyncIterator[HoldingTarget]:
    """A target that holds requests; those that still wait are released at the end."""
    target = HoldingTarget()
    yield target
    target.released.set()


async def configured(testbed: Testbed, answer: Answer | None = None, **server: Any) -> Body:
    """Starts a router model and the target `alpha`. Returns the configuration."""
    model, alpha = await testbed.upstream(), await testbed.upstream(answer)
    sections = {"router": router_section(model.url), "targets": [target("alpha", alpha.url, timeout=PATIENT)]}
    return {**sections, **({"server": server} if server else {})}


# Methods and headers.


async def test_head_is_answered_wherever_get_is(testbed: Testbed, programs: Programs) -> None:
    program = await programs.start(await configured(testbed))
    paths = ("/", "/health", "/ready", "/metrics", "/v1/models", "/v1/models/alpha", "/debug/tools", "/none")
    for url in [f"http://127.0.0.1:{port}{path}" for port in (program.port, program.admin_port) for path in paths]:
        got, head = await program.client.get(url), await program.client.head(url)
        assert (head.status_code, head.content) == (got.status_code, b""), url
        assert head.headers["content-type"] == got.headers["content-type"]


async def test_proxies_are_told_not_to_buffer_a_stream(testbed: Testbed) -> None:
    setup = await testbed.start(None, None, None)
    response = await setup.send(stream=True)
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-cache"


# Ports.


ADMIN_REQUESTS = {
    "GET /": 200,
    "GET /health": 200,
    "GET /ready": 200,
    "GET /metrics": 200,
    "GET /debug/tools": 200,
    "POST /": 405,
    "POST /health": 405,
    "DELETE /metrics": 405,
    "PUT /debug/tools": 405,
    "OPTIONS /ready": 405,
    "GET /v1/models": 404,
    "GET /v1/models/alpha": 404,
    "POST /v1/route": 404,
    "POST /v1/chat/completions": 404,
    "GET /docs": 404,
    "GET /openapi.json": 404,
    "GET //metrics": 404,
}


async def test_the_admin_port_serves_only_get_requests_and_requires_no_key(
    testbed: Testbed, programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "keys.yaml").write_text(new_key("somebody")[1])
    program = await programs.start(await configured(testbed, api_keys_file=str(tmp_path / "keys.yaml")))
    address = f"http://127.0.0.1:{program.admin_port}"
    statuses = {}
    for request in ADMIN_REQUESTS:
        method, path = request.split()
        body = {"model": "router", "messages": QUESTION}
        response = await program.client.request(method, address + path, json=body if method == "POST" else None)
        statuses[request] = response.status_code
        assert response.status_code == 200 or response.json()["error"]["type"] == "invalid_request_error"
    assert statuses == ADMIN_REQUESTS
    assert (await program.admin("/health")).json().keys() == {"status", "configuration", "router_model", "targets"}
    assert (await program.admin("/")).json()["configuration"]["targets"][0]["base_url"]
    assert (await program.send()).status_code == 401
    program.process.send_signal(signal.SIGINT)
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


@pytest.mark.parametrize(
    ("server", "addresses"),
    [
        ({"host": "0.0.0.0"}, ("0.0.0.0", "127.0.0.1")),
        ({"host": "127.0.0.1", "admin_host": "0.0.0.0"}, ("127.0.0.1", "0.0.0.0")),
        ({"host": "127.0.0.1", "admin_host": "::1"}, ("127.0.0.1", "::1")),
        ({"host": "::1"}, ("::1", "127.0.0.1")),
    ],
)
def test_each_port_has_its_own_address(server: Body, addresses: tuple[str, str]) -> None:
    sockets = listen(Server.model_validate({**port_fields(), **server}))
    assert tuple(each.getsockname()[0] for each in sockets) == addresses
    for each in sockets:
        each.close()


LOCAL_NAMES = ["localhost", "LocalHost:8800", "localhost.", "app.localhost:80", "127.0.0.1", "127.8.9.1:8800",
                  "[::1]", "[::1]:8800", "[::ffff:127.0.0.1]:1", "x", "router-api:8800"]  # fmt: skip
OTHER_NAMES = ["evil.example", "evil.example:8800", "127.0.0.1.evil.example", "localhost.evil.example",
               "evil.localhost.example", "169.254.169.254", "10.0.0.1:8800", "0.0.0.0:8800", "[::]:8800",
               "[fd00::1]:8800"]  # fmt: skip
NAMES = {**dict.fromkeys(LOCAL_NAMES, True), **dict.fromkeys(OTHER_NAMES, False)}


async def test_a_loopback_server_without_keys_serves_only_local_host_names(
    testbed: Testbed, programs: Programs
) -> None:
    program = await programs.start(await configured(testbed))
    for port in (program.port, program.admin_port):
        served = {}
        for name in NAMES:
            response = await program.client.get(f"http://127.0.0.1:{port}/health", headers={"Host": name})
            served[name] = response.status_code == 200
            assert served[name] or (response.status_code, response.json()["error"]["code"]) == (403, "host_not_allowed")
        assert served == NAMES
    refused = await program.client.post("/v1/chat/completions", json={}, headers={"Host": "evil.example"})
    assert "`evil.example`" in refused.json()["error"]["message"]


async def test_if_keys_are_configured_or_the_address_is_no_loopback_address_every_host_name_is_served(
    testbed: Testbed, programs: Programs, tmp_path: Path
) -> None:
    key, entry = new_key("somebody")
    (tmp_path / "keys.yaml").write_text(entry)
    with_keys = await programs.start(await configured(testbed, api_keys_file=str(tmp_path / "keys.yaml")))
    headers = {"Host": "router.example", "Authorization": f"Bearer {key}"}
    assert (await with_keys.client.get("/v1/models", headers=headers)).status_code == 200
    url = f"http://127.0.0.1:{with_keys.admin_port}/health"
    assert (await with_keys.client.get(url, headers=headers)).status_code == 403

    in_a_pod = await programs.start(await configured(testbed, host="0.0.0.0", admin_host="0.0.0.0"))
    for port in (in_a_pod.port, in_a_pod.admin_port):
        url = f"http://127.0.0.1:{port}/health"
        assert (await in_a_pod.client.get(url, headers={"Host": "demo-api.default.svc"})).status_code == 200


async def test_the_admin_port_can_be_disabled(testbed: Testbed, programs: Programs) -> None:
    program = await programs.start(await configured(testbed, admin_port=0))
    assert (await program.send()).status_code == 200
    with pytest.raises(httpx.TransportError):
        await program.client.get(f"http://127.0.0.1:{program.port + 1}/ready")


@pytest.mark.parametrize(("name", "flag"), [("port", "--serve-port"), ("admin_port", "--server.admin-port")])
async def test_a_port_in_use_is_reported_in_one_line(
    testbed: Testbed, programs: Programs, name: str, flag: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        server = {**port_fields(), name: number}
        program = await programs.launch({**await configured(testbed), "server": server})
        assert await program.exit_status() == ExitCode.ADDRESS
    (line,) = program.errors.splitlines()
    assert f"127.0.0.1:{number} is in use" in line
    assert flag in line


async def test_a_default_admin_port_above_65535_is_reported_in_one_line(testbed: Testbed, programs: Programs) -> None:
    program = await programs.launch({**await configured(testbed), "server": {"port": 65_535, "admin_port": None}})
    assert await program.exit_status() == ExitCode.ADDRESS
    (line,) = program.errors.splitlines()
    assert "--server.admin-port" in line or "--serve-port" in line


# Stopping.


async def test_after_sigterm_ready_is_503_and_new_connections_are_still_served(
    testbed: Testbed, programs: Programs
) -> None:
    program = await programs.start(await configured(testbed), lag=2)
    assert (await program.client.get("/ready")).status_code == 200
    program.process.send_signal(signal.SIGTERM)
    await program.until(program.is_stopping, "the signal")
    assert (await program.admin("/ready")).status_code == 503
    assert (await program.client.get("/health")).status_code == 200
    assert (await program.send()).status_code == 200
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


async def test_after_sigterm_responses_tell_clients_to_close_their_connections(
    testbed: Testbed, programs: Programs
) -> None:
    program = await programs.start(await configured(testbed))
    assert "connection" not in (await program.send()).headers
    program.process.send_signal(signal.SIGTERM)
    await program.until(program.is_stopping, "the signal")
    for response in (await program.send(), await program.send(stream=True), await program.client.get("/health")):
        assert (response.status_code, response.headers["connection"]) == (200, "close")


async def test_after_sigterm_running_requests_and_streams_finish(
    testbed: Testbed, programs: Programs, holding: HoldingTarget
) -> None:
    program = await programs.start(await configured(testbed, holding), lag=0)
    async with held_request(program, holding) as whole_answer, held_request(program, holding, stream=True) as streamed:
        program.process.send_signal(signal.SIGTERM)
        await program.until_it_stops_listening()
        holding.released.set()
        assert (await whole_answer).status_code == 200
        *_, last, done = events((await streamed).content)
        assert done == "[DONE]"
        assert last["router_metadata"]["model_used"] == "alpha"
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


async def test_requests_that_still_run_after_the_grace_period_end_with_an_error(
    testbed: Testbed, programs: Programs, holding: HoldingTarget
) -> None:
    program = await programs.start(await configured(testbed, holding), lag=0, grace=1)
    async with held_request(program, holding) as whole_answer, held_request(program, holding, stream=True) as streamed:
        program.process.send_signal(signal.SIGTERM)
        response = await whole_answer
        assert (response.status_code, response.json()["error"]["code"]) == (503, "shutting_down")
        *_, last = events((await streamed).content)
        assert last["error"]["code"] == "shutting_down"
        (entry,) = last["router_metadata"]["call_history"]
        assert entry["status"] == "cancelled"
    assert await program.exit_status() == 0
    ledgers = [json.loads(line) for line in program.errors.splitlines() if '"message":"request"' in line]
    assert len(ledgers) == 2
    assert "Traceback" not in program.errors


async def test_a_second_signal_stops_the_server_at_once(
    testbed: Testbed, programs: Programs, holding: HoldingTarget
) -> None:
    program = await programs.start(await configured(testbed, holding), lag=PATIENT)
    async with held_request(program, holding):
        program.process.send_signal(signal.SIGTERM)

        async def ended() -> bool:
            program.process.send_signal(signal.SIGINT)
            return program.process.returncode is not None or not await program.is_up()

        await program.until(ended, "the end")
    assert await program.exit_status() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_ctrl_c_lets_a_running_request_finish(
    testbed: Testbed, programs: Programs, holding: HoldingTarget, workers: int
) -> None:
    program = await programs.start(await configured(testbed, holding, workers=workers))
    async with held_request(program, holding) as answer:
        # A terminal sends the signal to every process in the foreground.
        os.killpg(program.process.pid, signal.SIGINT)
        await program.until_it_stops_listening()
        holding.released.set()
        assert (await answer).status_code == 200
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


# Several workers.


async def test_every_worker_returns_the_metrics_of_all_workers(
    testbed: Testbed, programs: Programs, holding: HoldingTarget
) -> None:
    program = await programs.start(await configured(testbed, holding, workers=2))
    one, other = program.workers()
    for worker, times in ((one, 3), (other, 2)):
        with program.only(worker):
            for _ in range(times):
                assert (await program.send()).status_code == 200
    for worker in (one, other):
        with program.only(worker):
            assert await program.metric("rl_router_requests_total") == 5
    with program.only(one):
        async with held_request(program, holding):
            for worker in (one, other, one):
                with program.only(worker):
                    assert await program.metric("rl_router_in_flight") == 1
            holding.released.set()


async def test_a_killed_worker_is_replaced_and_its_counters_are_kept(
    testbed: Testbed, programs: Programs, holding: HoldingTarget
) -> None:
    program = await programs.start(await configured(testbed, holding, workers=2))
    one, other = program.workers()
    with program.only(one):
        for _ in range(5):
            assert (await program.send("fail")).status_code == 502
        assert await program.metric("rl_router_breaker_open") == 1
    with program.only(other):
        assert await program.metric("rl_router_breaker_open") == 1
    new = await program.kill_worker(one)
    with program.only(new):
        await program.until(program.is_up, "the new worker's answer")
        assert (await program.send()).status_code == 200
        assert await program.metric("rl_router_requests_total") == 6
        assert await program.metric("rl_router_breaker_open") == 0


async def test_a_worker_that_starts_while_the_keys_file_is_invalid_requires_the_last_valid_keys(
    testbed: Testbed, programs: Programs, tmp_path: Path
) -> None:
    key, entry = new_key("somebody")
    (tmp_path / "keys.yaml").write_text(entry)
    program = await programs.start(await configured(testbed, workers=2, api_keys_file=str(tmp_path / "keys.yaml")))
    one, _ = program.workers()
    (tmp_path / "keys.yaml").write_text("- {name: nobody}")
    new = await program.kill_worker(one)
    with program.only(new):
        await program.until(program.is_up, "the new worker's answer")
        assert (await program.send()).status_code == 401
        program.client.headers["Authorization"] = f"Bearer {key}"
        assert (await program.send()).status_code == 200
        assert (await program.admin("/health")).json()["configuration"]["state"] == "refused"


async def test_limits_hold_over_all_workers(
    testbed: Testbed, programs: Programs, holding: HoldingTarget, tmp_path: Path
) -> None:
    key, entry = new_key("somebody")
    (tmp_path / "keys.yaml").write_text(entry + "  requests_per_day: 4\n")
    config = await configured(testbed, holding, workers=2, max_in_flight=2, api_keys_file=str(tmp_path / "keys.yaml"))
    program = await programs.start(config)
    program.client.headers["Authorization"] = f"Bearer {key}"
    one, other = program.workers()
    async with AsyncExitStack() as requests:
        for worker in (one, other):
            with program.only(worker):
                await requests.enter_async_context(held_request(program, holding))
        for worker in (one, other):
            with program.only(worker):
                refused = await program.send()
                assert (refused.status_code, refused.json()["error"]["code"]) == (429, "overloaded")
                assert "retry-after" in refused.headers
        holding.released.set()
    for worker, status in ((one, 200), (other, 200), (one, 429), (other, 429)):
        with program.only(worker):
            await program.until(program.is_up, "the worker")
            assert (await program.send()).status_code == status
    program.process.send_signal(signal.SIGINT)
    assert await program.exit_status() == 0


async def test_workers_end_if_their_parent_is_killed(testbed: Testbed, programs: Programs) -> None:
    program = await programs.start(await configured(testbed, workers=2))
    program.process.send_signal(signal.SIGKILL)
    await program.until_it_stops_listening()


async def test_workers_finish_running_requests_after_sigterm(
    testbed: Testbed, programs: Programs, holding: HoldingTarget
) -> None:
    program = await programs.start(await configured(testbed, holding, workers=2), lag=0)
    async with held_request(program, holding) as answer:
        program.process.send_signal(signal.SIGTERM)
        await program.until_it_stops_listening()
        holding.released.set()
        assert (await answer).status_code == 200
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_that_receives_sigterm_while_it_starts_stops(
    testbed: Testbed, programs: Programs, workers: int
) -> None:
    config = await configured(testbed)
    server = {**port_fields(), "workers": workers}
    program = await programs.launch({**config, "server": server})
    await until(lambda: "RL Router" in program.errors or program.process.returncode is not None, "the first output")
    program.process.send_signal(signal.SIGTERM)
    assert await program.exit_status() in (0, -signal.SIGTERM)
    assert "AttributeError" not in program.errors
