"""Runs the operator in a separate process that a test can kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from rl_router_operator.__main__ import main

from .control_plane import OPERATOR, ApiServer, free_port
from .kube_client import Kube
from .proxy import Proxy
from .waiting import eventually

LEASE_SECONDS = 3
_FORKS = multiprocessing.get_context("forkserver")
# The fork server imports the operator once, because imports take most of an operator's start time.
_FORKS.set_forkserver_preload(["rl_router_operator.__main__"])


def _run(flags: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    sys.argv[1:] = flags
    sys.exit(main())


@dataclass
class OperatorProcess:
    """An operator process, which is running or has ended."""

    process: ForkServerProcess

    @property
    def exit_code(self) -> int | None:
        """Returns None if the process runs, otherwise its exit code. A signal that killed it is a negative number."""
        return self.process.exitcode

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal if the process still runs."""
        if self.process.pid and self.exit_code is None:
            os.kill(self.process.pid, number)

    async def ended(self) -> int:
        """Waits until the process ends, and returns its exit code."""

        def exit_code() -> int:
            assert self.exit_code is not None
            return self.exit_code

        return int(await eventually(exit_code, within=120))


@asynccontextmanager
async def operator_process(server: ApiServer, kube: Kube, proxy: Proxy, folder: Path) -> AsyncIterator[OperatorProcess]:
    """Runs an operator that reaches the API server through `proxy`, and kills it at the end."""
    config = server.write_kubeconfig(proxy.url, OPERATOR, folder / "operator.kubeconfig")
    environment = {"POD_NAMESPACE": kube.namespace, "POD_NAME": f"operator-{free_port()}"}
    connection = [f"--kubeconfig={config}", f"--watch-namespaces={kube.namespace}", "--host=127.0.0.1"]
    flags = [*connection, f"--port={free_port()}", f"--lease-seconds={LEASE_SECONDS}"]
    started = OperatorProcess(_FORKS.Process(target=_run, args=(flags, environment)))
    started.process.start()
    try:
        yield started
    finally:
        started.signal(signal.SIGKILL)
        await started.ended()
