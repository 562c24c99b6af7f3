"""The operator in a process of its own, which a test can kill."""

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
# The server of forks imports the operator once, because imports take most of an operator's start.
_FORKS.set_forkserver_preload(["rl_router_operator.__main__"])


def _run(flags: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    sys.argv[1:] = flags
    sys.exit(main())


@dataclass
class OperatorProcess:
    """A running or ended process."""

    process: ForkServerProcess

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs, the negative number of the signal that killed it."""
        return self.process.exitcode

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal if the process still runs."""
        if self.process.pid and self.exit_code is None:
            os.kill(self.process.pid, number)

    async def ended(self) -> int:
        """Waits for the end and returns the exit code."""

        def exit_code() -> int:
            assert self.exit_code is not None
            return self.exit_code

        return int(await eventually(exit_code, within=120))


@asynccontextmanager
async def operator_process(server: ApiServer, kube: Kube, proxy: Proxy, folder: Path) -> AsyncIterator[OperatorProcess]:
    """Runs the operator behind `proxy`, with its kubeconfig in `folder`. It is killed at the end."""
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
