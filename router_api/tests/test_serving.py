"""The server as a program: its ports, its workers, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from rl_router_api.access.keys import new_key
from rl_router_api.health import ExitCode

from fakes.testbed.configuration import router_section, target
from fakes.testbed.requests import QUESTION
from fakes.testbed.responses import events
from fakes.testbed.router import Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.answers import text
from fakes.upstreams.bodies import chunk, event
from fakes.upstreams.exchange import Answer, Body, Exchange
from fakes.upstreams.faults import error

HASTY = """
import sys
from rl_router_api.runtime.source import Source
from rl_router_api.server.listen import listen
from rl_router_api.server.supervisor import serve
from rl_router_api.server.worker import Stopping
if __name__ == "__main__":
    source = Source(sys.argv[1])
    loaded = source.start()
    serve(source, loaded, listen(loaded.configuration.server), Stopping(float(sys.argv[2]), int(sys.argv[3])))
"""
PATIENT = 60


class Program:
    """A running server; every request of its client has a connection of its own."""

    def __init__(self, process: asyncio.subprocess.Process, config: Body, errors: Path) -> None:
        self.process = process
        self.port, self.admin_port = config["server"]["port"], config["server"]["admin_port"]
        self._errors = errors
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", timeout=20, trust_env=False, verify=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )  # fmt: skip

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    async def ask(self, content: str = "Hello", **fields: Any) -> httpx.Response:
        said = [{"role": "user", "content": content}]
        return await self.client.post("/v1/chat/completions", json={"model": "alpha", "messages": said, **fields})

    async def admin(self, path: str) -> httpx.Response:
        return await self.client.get(f"http://127.0.0.1:{self.admin_port}{path}")

    async def metric(self, name: str) -> Decimal:
        """The sum over all labels."""
        lines = (await self.client.get("/metrics")).text.splitlines()
        found = [line.rpartition(" ")[2] for line in lines if line.startswith((name + "{", name + " "))]
        return sum(map(Decimal, found), Decimal(0))

    async def answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return (await self.client.get("/health")).status_code == 200
        return False

    async def eventually(self, reached: Any, what: str) -> None:
        """Polls a coroutine function."""
        for _ in range(1_000):
            if await reached():
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"{what} never came; the program said: {self.errors}")

    async def listens_no_more(self) -> None:
        async def refused() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionError:
                return True
            writer.transport.abort()
            return False

        await self.eventually(refused, "the end of listening")

    def tell(self, number: int) -> None:
        self.process.send_signal(number)

    async def exit_status(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 20)

    def workers(self) -> list[int]:
        """The process ids of several workers."""
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "args="], capture_output=True, text=True
        )
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        mine = str(self.process.pid)
        return [int(pid) for pid, parent, args in rows if parent == mine and "spawn_main" in args]

    def has_replaced(self, worker: int) -> bool:
        """Whether there are two workers again, that one not among them."""
        workers = self.workers()
        return len(workers) == 2 and worker not in workers

    @contextmanager
    def only(self, worker: int) -> Iterator[None]:
        """While the context lasts no other worker can answer."""
        others = [pid for pid in self.workers() if pid != worker]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        yield
        for pid in others:
            os.kill(pid, signal.SIGCONT)


class Programs:
    """Starts servers."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._count = 0

    async def start(self, config: Body, *, lag: float | None = None, grace: int = PATIENT) -> Program:
        """A server that answers; with `lag` and `grace` in seconds it stops with less patience than usual."""
        config = {**config, "server": {**ports(), **config.get("server", {})}}
        program = await self.launch(config, lag=lag, grace=grace)

        async def up() -> bool:
            assert program.process.returncode is None, program.errors
            return await program.answers()

        await program.eventually(up, "the server")
        return program

    async def launch(self, config: Body, *, lag: float | None = None, grace: int = PATIENT) -> Program:
        """The same, not waited for."""
        self._count += 1
        path, errors = self._folder / f"config-{self._count}.yaml", self._folder / f"errors-{self._count}"
        path.write_text(json.dumps(config))
        hasty = ["-c", HASTY, str(path), str(lag), str(grace)]
        arguments = ["-m", "rl_router_api", "--config", str(path)] if lag is None else hasty
        with errors.open("w") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stderr=file, stdout=file, cwd=self._folder, start_new_session=True
            )
        program = Program(process, config, errors)
        self._stack.push_async_callback(_end, program)
        return program


async def _end(program: Program) -> None:
    await program.client.aclose()
    with contextlib.suppress(ProcessLookupError):
        # The session's processes: workers too, also those whose parent is dead.
        os.killpg(program.process.pid, signal.SIGKILL)
    await program.process.wait()


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Programs]:
    async with AsyncExitStack() as stack:
        yield Programs(tmp_path, stack)


def ports() -> Body:
    """Two free ports."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return {"port": one.getsockname()[1], "admin_port": other.getsockname()[1]}


class Gates:
    """A target that holds requests which say `wait` until it is told to go on."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0

    async def __call__(self, exchange: Exchange) -> None:
        said = exchange.body["messages"][0]["content"]
        if said == "fail":
            await error(500, "broken")(exchange)
        elif said != "wait":
            await text("a")(exchange)
        elif exchange.streamed:
            await exchange.head("text/event-stream")
            await exchange.piece(event(chunk({"role": "assistant", "content": "be"})))
            await self._wait()
            await exchange.piece(event(chunk({"content": "gun"})) + event(chunk({}, "stop")) + event(b"[DONE]"))
            await exchange.end()
        else:
            await self._wait()
            await text("a")(exchange)

    async def _wait(self) -> None:
        self.waiting += 1
        await self.open.wait()


@pytest.fixture
async def gates(testbed: Testbed) -> AsyncIterator[Gates]:
    made = Gates()
    yield made
    made.open.set()


async def configured(testbed: Testbed, answer: Answer | None = None, **server: Any) -> Body:
    """A router model and one target, `alpha`."""
    model, alpha = await testbed.upstream(), await testbed.upstream(answer)
    routed = {"router": router_section(model.url), "targets": [target("alpha", alpha.url, timeout=PATIENT)]}
    return {**routed, **({"server": server} if server else {})}


@asynccontextmanager
async def asking(program: Program, gates: Gates, **fields: Any) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """A request that has reached the target, which holds it."""
    before = gates.waiting
    task = asyncio.create_task(program.send("wait", **fields))
    await until(lambda: gates.waiting > before, "the call")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# Ports.


async def test_the_admin_port_serves_all_but_completions_without_a_key(
    testbed: Testbed, programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "keys.yaml").write_text(new_key("somebody")[1])
    program = await programs.start(await configured(testbed, api_keys_file=str(tmp_path / "keys.yaml")))
    for path in ("/", "/v1/models", "/v1/models/alpha", "/debug/tools", "/metrics", "/ready"):
        assert (await program.admin(path)).status_code == 200, path
    assert (await program.admin("/health")).json().keys() == {"status", "configuration", "router_model", "targets"}
    body = {"model": "router", "messages": QUESTION}
    routed = await program.client.post(f"http://127.0.0.1:{program.admin_port}/v1/route", json=body)
    assert (routed.status_code, routed.json()["decided_by"]) == (200, "router")
    refused = await program.client.post(f"http://127.0.0.1:{program.admin_port}/v1/chat/completions", json=body)
    assert (refused.status_code, refused.json()["error"]["type"]) == (404, "invalid_request_error")
    assert (await program.send()).status_code == 401
    program.tell(signal.SIGINT)
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


async def test_the_admin_port_can_be_turned_off(testbed: Testbed, programs: Programs) -> None:
    program = await programs.start(await configured(testbed, admin_port=0))
    assert (await program.send()).status_code == 200
    with pytest.raises(httpx.TransportError):
        await program.client.get(f"http://127.0.0.1:{program.port + 1}/ready")


@pytest.mark.parametrize(("name", "flag"), [("port", "--serve-port"), ("admin_port", "--server.admin-port")])
async def test_a_port_in_use_is_said_in_one_line(testbed: Testbed, programs: Programs, name: str, flag: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        server = {**ports(), name: number}
        program = await programs.launch({**await configured(testbed), "server": server})
        assert await program.exit_status() == ExitCode.ADDRESS
    (line,) = program.errors.splitlines()
    assert f"127.0.0.1:{number} is in use" in line
    assert flag in line


async def test_an_admin_port_behind_the_last_port_is_said_in_one_line(testbed: Testbed, programs: Programs) -> None:
    program = await programs.launch({**await configured(testbed), "server": {"port": 65_535, "admin_port": None}})
    assert await program.exit_status() == ExitCode.ADDRESS
    (line,) = program.errors.splitlines()
    assert "--server.admin-port" in line or "--serve-port" in line


# Stopping.


async def test_after_sigterm_ready_says_no_and_new_connections_are_still_served(
    testbed: Testbed, programs: Programs
) -> None:
    program = await programs.start(await configured(testbed), lag=2)
    assert (await program.client.get("/ready")).status_code == 200
    program.tell(signal.SIGTERM)

    async def not_ready() -> bool:
        return (await program.client.get("/ready")).status_code == 503

    await program.eventually(not_ready, "the 503")
    assert (await program.admin("/ready")).status_code == 503
    assert (await program.client.get("/health")).status_code == 200
    assert (await program.send()).status_code == 200
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


async def test_after_sigterm_clients_are_told_to_come_by_another_connection(
    testbed: Testbed, programs: Programs
) -> None:
    program = await programs.start(await configured(testbed))
    assert "connection" not in (await program.send()).headers
    program.tell(signal.SIGTERM)

    async def told() -> bool:
        return (await program.client.get("/ready")).status_code == 503

    await program.eventually(told, "the signal")
    for response in (await program.send(), await program.send(stream=True), await program.client.get("/health")):
        assert (response.status_code, response.headers["connection"]) == (200, "close")


async def test_after_sigterm_running_requests_and_streams_finish(
    testbed: Testbed, programs: Programs, gates: Gates
) -> None:
    program = await programs.start(await configured(testbed, gates), lag=0)
    async with asking(program, gates) as whole_answer, asking(program, gates, stream=True) as streamed:
        program.tell(signal.SIGTERM)
        await program.listens_no_more()
        gates.open.set()
        assert (await whole_answer).status_code == 200
        *_, last, done = events((await streamed).content)
        assert done == "[DONE]"
        assert last["router_metadata"]["model_used"] == "alpha"
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


async def test_what_still_runs_at_the_end_of_the_grace_ends_with_an_error(
    testbed: Testbed, programs: Programs, gates: Gates
) -> None:
    program = await programs.start(await configured(testbed, gates), lag=0, grace=1)
    async with asking(program, gates) as whole_answer, asking(program, gates, stream=True) as streamed:
        program.tell(signal.SIGTERM)
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


async def test_a_second_signal_is_not_waited_for(testbed: Testbed, programs: Programs, gates: Gates) -> None:
    program = await programs.start(await configured(testbed, gates), lag=PATIENT)
    async with asking(program, gates):
        program.tell(signal.SIGTERM)

        async def gone() -> bool:
            program.tell(signal.SIGINT)
            return program.process.returncode is not None or not await program.answers()

        await program.eventually(gone, "the end")
    assert await program.exit_status() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_ctrl_c_lets_a_running_request_finish(
    testbed: Testbed, programs: Programs, gates: Gates, workers: int
) -> None:
    program = await programs.start(await configured(testbed, gates, workers=workers))
    async with asking(program, gates) as answer:
        # A terminal tells every process of the foreground.
        os.killpg(program.process.pid, signal.SIGINT)
        await program.listens_no_more()
        gates.open.set()
        assert (await answer).status_code == 200
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


# Several workers.


async def test_metrics_are_those_of_all_workers(testbed: Testbed, programs: Programs, gates: Gates) -> None:
    program = await programs.start(await configured(testbed, gates, workers=2))
    one, other = program.workers()
    for worker, times in ((one, 3), (other, 2)):
        with program.only(worker):
            for _ in range(times):
                assert (await program.send()).status_code == 200
    for worker in (one, other):
        with program.only(worker):
            assert await program.metric("rl_router_requests_total") == 5
    with program.only(one):
        async with asking(program, gates):
            for worker in (one, other, one):
                with program.only(worker):
                    assert await program.metric("rl_router_in_flight") == 1
            gates.open.set()


async def test_a_killed_worker_is_replaced_and_what_it_counted_is_kept(
    testbed: Testbed, programs: Programs, gates: Gates
) -> None:
    program = await programs.start(await configured(testbed, gates, workers=2))
    one, other = program.workers()
    with program.only(one):
        for _ in range(5):
            assert (await program.send("fail")).status_code == 502
        assert await program.metric("rl_router_breaker_open") == 1
    with program.only(other):
        assert await program.metric("rl_router_breaker_open") == 1
    os.kill(one, signal.SIGKILL)
    await until(lambda: program.has_replaced(one), "a new worker")
    (new,) = set(program.workers()) - {other}
    with program.only(new):
        await program.eventually(program.answers, "the new worker's answer")
        assert (await program.send()).status_code == 200
        assert await program.metric("rl_router_requests_total") == 6
        assert await program.metric("rl_router_breaker_open") == 0


async def test_a_worker_that_is_started_while_the_keys_are_wrong_wants_those_that_the_others_do(
    testbed: Testbed, programs: Programs, tmp_path: Path
) -> None:
    key, entry = new_key("somebody")
    (tmp_path / "keys.yaml").write_text(entry)
    program = await programs.start(await configured(testbed, workers=2, api_keys_file=str(tmp_path / "keys.yaml")))
    one, other = program.workers()
    (tmp_path / "keys.yaml").write_text("- {name: nobody}")
    os.kill(one, signal.SIGKILL)
    await until(lambda: program.has_replaced(one), "a new worker")
    (new,) = set(program.workers()) - {other}
    with program.only(new):
        await program.eventually(program.answers, "the new worker's answer")
        assert (await program.send()).status_code == 401
        program.client.headers["Authorization"] = f"Bearer {key}"
        assert (await program.send()).status_code == 200
        assert (await program.admin("/health")).json()["configuration"]["state"] == "refused"


async def test_limits_hold_over_all_workers(testbed: Testbed, programs: Programs, gates: Gates, tmp_path: Path) -> None:
    key, entry = new_key("somebody")
    (tmp_path / "keys.yaml").write_text(entry + "  requests_per_day: 4\n")
    config = await configured(testbed, gates, workers=2, max_in_flight=2, api_keys_file=str(tmp_path / "keys.yaml"))
    program = await programs.start(config)
    program.client.headers["Authorization"] = f"Bearer {key}"
    one, other = program.workers()
    async with AsyncExitStack() as under_way:
        for worker in (one, other):
            with program.only(worker):
                await under_way.enter_async_context(asking(program, gates))
        for worker in (one, other):
            with program.only(worker):
                refused = await program.send()
                assert (refused.status_code, refused.json()["error"]["code"]) == (429, "overloaded")
                assert "retry-after" in refused.headers
        gates.open.set()
    for worker, status in ((one, 200), (other, 200), (one, 429), (other, 429)):
        with program.only(worker):
            await program.eventually(program.answers, "room")
            assert (await program.send()).status_code == status
    program.tell(signal.SIGINT)
    assert await program.exit_status() == 0


async def test_workers_end_with_their_parent(testbed: Testbed, programs: Programs) -> None:
    program = await programs.start(await configured(testbed, workers=2))
    program.tell(signal.SIGKILL)
    await program.listens_no_more()


async def test_workers_finish_what_runs_after_sigterm(testbed: Testbed, programs: Programs, gates: Gates) -> None:
    program = await programs.start(await configured(testbed, gates, workers=2), lag=0)
    async with asking(program, gates) as answer:
        program.tell(signal.SIGTERM)
        await program.listens_no_more()
        gates.open.set()
        assert (await answer).status_code == 200
    assert await program.exit_status() == 0
    assert "Traceback" not in program.errors


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_that_is_told_to_stop_while_it_starts_stops(
    testbed: Testbed, programs: Programs, workers: int
) -> None:
    config = await configured(testbed)
    server = {**ports(), "workers": workers}
    program = await programs.launch({**config, "server": server})
    await until(lambda: "RL Router" in program.errors or program.process.returncode is not None, "the announcement")
    program.tell(signal.SIGTERM)
    assert await program.exit_status() in (0, -signal.SIGTERM)
    assert "AttributeError" not in program.errors
