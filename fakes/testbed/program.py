"""Runs routers as separate processes, usually with the command `python -m rl_router_api`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.ports import free_ports
from fakes.testbed.responses import metric
from fakes.testbed.streams import redirected
from fakes.testbed.waiting import until
from fakes.upstreams.exchange import Body
from fakes.upstreams.holding import HoldingTarget

COMMAND = [sys.executable, "-m", "rl_router_api"]
PATIENT = 60
"""A time in seconds that is longer than any test waits."""
_QUICK_STOP = """
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
"""The code of a program that runs a router.

Two arguments of the program set the durations of the two phases in which the router stops (see `Stopping`).
"""


class Program:
    """A running router.

    Each request of the attribute `client` uses a new connection. The attribute `errors` is the text that the router has
    written to standard output and standard error, unless the test has redirected these streams.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int, admin_port: int, errors: Path) -> None:
        self.process = process
        self.port, self.admin_port = port, admin_port
        self._errors = errors
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", timeout=20, trust_env=False, verify=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )  # fmt: skip

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    async def send(self, content: str = "Hello", **fields: Any) -> httpx.Response:
        """Sends a chat request with the user message `content` to the router, and returns the response."""
        messages = [{"role": "user", "content": content}]
        return await self.client.post("/v1/chat/completions", json={"model": "alpha", "messages": messages, **fields})

    async def admin(self, path: str) -> httpx.Response:
        """Sends a GET request for the path `path` to the router's admin port, and returns the response."""
        return await self.client.get(f"http://127.0.0.1:{self.admin_port}{path}")

    async def metric(self, name: str) -> Decimal:
        """Returns the sum of the values of all series of the metric `name`."""
        return metric((await self.client.get("/metrics")).text, name)

    async def is_up(self) -> bool:
        """Returns whether the endpoint `/health` answers with the status 200."""
        with contextlib.suppress(httpx.TransportError):
            return (await self.client.get("/health")).status_code == 200
        return False

    async def is_stopping(self) -> bool:
        """Returns whether the endpoint `/ready` answers with the status 503."""
        return (await self.client.get("/ready")).status_code == 503

    async def until(self, reached: Callable[[], object], what: str) -> None:
        """Polls until `reached` returns a true value.

        If `reached` returns no true value within 10 s, the test fails, and the message includes the router's output.
        """
        try:
            await until(reached, what)
        except AssertionError as error:
            pytest.fail(f"{error}. The program wrote: {self.errors}")

    async def until_it_stops_listening(self) -> None:
        async def refused() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionError:
                return True
            writer.transport.abort()
            return False

        await self.until(refused, "the router to stop listening")

    async def exit_status(self) -> int:
        """Waits until the process ends, and returns its exit status. Raises TimeoutError after 30 s."""
        return await asyncio.wait_for(self.process.wait(), 30)

    def workers(self) -> list[int]:
        """Returns the process ids of the workers. The list is empty if the program has only one process."""
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "args="], capture_output=True, text=True
        )
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        own = str(self.process.pid)
        return [int(pid) for pid, parent, args in rows if parent == own and "spawn_main" in args]

    async def kill_worker(self, worker: int) -> int:
        """Kills the worker with the process id `worker`. The router must have two workers.

        Waits until the router has started a new worker, and returns the process id of the new worker.
        """
        (other,) = set(self.workers()) - {worker}
        os.kill(worker, signal.SIGKILL)

        def replaced() -> bool:
            workers = self.workers()
            return len(workers) == 2 and worker not in workers

        await until(replaced, "a new worker")
        (new,) = set(self.workers()) - {other}
        return new

    @contextmanager
    def only(self, worker: int) -> Iterator[None]:
        """Pauses all workers except the worker with the process id `worker` until the end of the context."""
        others = [pid for pid in self.workers() if pid != worker]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        yield
        for pid in others:
            os.kill(pid, signal.SIGCONT)


class Programs:
    """Starts routers as processes, which are killed when the exit stack closes."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self._stack = folder, stack
        self._count = 0

    async def start(self, config: Body, *, lag: float | None = None, grace: int = PATIENT) -> Program:
        """Starts a router with the configuration `config`, and waits until the router answers.

        After SIGTERM, the router listens for `lag` seconds, and then gives in-flight requests `grace` seconds to
        finish. If `lag` is None, the router uses its default durations and ignores `grace`.
        """
        config = {**config, "server": {**port_fields(), **config.get("server", {})}}
        return await _up(await self.launch(config, lag=lag, grace=grace))

    async def launch(self, config: Body, *, lag: float | None = None, grace: int = PATIENT) -> Program:
        """Starts a router with the configuration `config`, and returns without waiting until the router answers.

        The configuration must contain the ports of the router.
        """
        path = self.folder / f"config-{self._count}.yaml"
        path.write_text(json.dumps(config))
        command = [*COMMAND, "--config", str(path)]
        if lag is not None:
            command = [sys.executable, "-c", _QUICK_STOP, str(path), str(lag), str(grace)]
        return await self._run(command, config["server"])

    async def start_with_streams(self, config: Body, streams: str, *descriptors: int) -> Program:
        """Starts a router whose standard streams have the bash redirections `streams`, and waits until it answers.

        The redirections may use the open file descriptors in `descriptors`.
        """
        path = self.folder / f"config-{self._count}.yaml"
        ports = port_fields()
        path.write_text(json.dumps({**config, "server": {**ports, **config.get("server", {})}}))
        command = redirected([*COMMAND, "--config", str(path)], streams)
        return await _up(await self._run(command, ports, descriptors))

    async def start_command(self, *arguments: str) -> Program:
        """Starts `python -m rl_router_api` with the arguments `arguments` on free ports.

        The function waits until the router answers.
        """
        ports = port_fields()
        flags = ["--serve-port", str(ports["port"]), "--server.admin-port", str(ports["admin_port"])]
        return await _up(await self._run([*COMMAND, *flags, *arguments], ports))

    async def _run(self, command: list[str], ports: Body, descriptors: tuple[int, ...] = ()) -> Program:
        self._count += 1
        errors = self.folder / f"errors-{self._count}"
        with errors.open("w") as file:
            process = await asyncio.create_subprocess_exec(
                *command, stderr=file, stdout=file, cwd=self.folder, start_new_session=True, pass_fds=descriptors
            )
        program = Program(process, ports["port"], ports["admin_port"], errors)
        self._stack.push_async_callback(_end, program)
        return program


def port_fields() -> Body:
    """Returns two free ports as fields of the section `server`."""
    port, admin_port = free_ports(2)
    return {"port": port, "admin_port": admin_port}


async def _up(program: Program) -> Program:
    async def up() -> bool:
        assert program.process.returncode is None, program.errors
        return await program.is_up()

    await program.until(up, "the server")
    return program


async def _end(program: Program) -> None:
    await program.client.aclose()
    with contextlib.suppress(ProcessLookupError):
        # This kills all processes of the session, including workers whose parent has ended.
        os.killpg(program.process.pid, signal.SIGKILL)
    await program.process.wait()


@asynccontextmanager
async def held_request(
    program: Program, holding: HoldingTarget, **fields: Any
) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """Sends a request that the target `holding` holds back, and yields the task that waits for the answer."""
    before = holding.waiting
    task = asyncio.create_task(program.send("wait", **fields))
    await until(lambda: holding.waiting > before, "the call")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
