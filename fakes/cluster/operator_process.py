"""Runs the operator in a separate process that a test can kill."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from rl_router_operator import log
from rl_router_operator.__main__ import run_until_signal
from rl_router_operator.cluster.claims import CLAIM_TERMS
from rl_router_operator.cluster.lease import LeaseTerms
from rl_router_operator.controller import options

from ..ports import free_port
from .control_plane import OPERATOR, ApiServer
from .kube_client import Kube
from .proxy import Proxy
from .waiting import eventually

LEASE_SECONDS = 3
_FORKS = multiprocessing.get_context("forkserver")
# The fork server imports the operator once, because imports take most of an operator's start time.
_FORKS.set_forkserver_preload(["rl_router_operator.__main__"])


def _run(flags: list[str], environment: dict[str, str], claim_terms: LeaseTerms) -> None:
    settings = replace(options.read(flags, {**os.environ, **environment}), claim_terms=claim_terms)
    log.set_up(settings.log_level)
    asyncio.run(run_until_signal(settings))


@dataclass
class OperatorProcess:
    """An operator process, which is running or has ended."""

    process: ForkServerProcess

    @property
    def exit_code(self) -> int | None:
        """Returns the exit code of the process, or None if the process is still running.

        If a signal killed the process, the exit code is negative.
        """
        return self.process.exitcode

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process if the process is still running."""
        if self.process.pid and self.exit_code is None:
            os.kill(self.process.pid, number)

    async def ended(self) -> int:
        """Waits until the process has ended, and returns the exit code of the process. Fails after 120 s."""

        def exit_code() -> int:
            assert self.exit_code is not None
            return self.exit_code

        return int(await eventually(exit_code, within=120))


@asynccontextmanager
async def operator_process(
    server: ApiServer,
    kube: Kube,
    proxy: Proxy,
    folder: Path,
    flags: Sequence[str] | None = None,
    own_namespace: str = "",
    claim_terms: LeaseTerms = CLAIM_TERMS,
) -> AsyncIterator[OperatorProcess]:
    """Runs an operator that reaches the API server through `proxy`. Kills the operator at the end of the context.

    The parameter `flags` contains additional flags of the operator. If `flags` is None, the operator watches only the
    namespace of `kube`.
    """
    port = free_port()
    config = server.write_kubeconfig(proxy.url, OPERATOR, folder / f"operator-{port}.kubeconfig")
    environment = {"POD_NAMESPACE": own_namespace or kube.namespace, "POD_NAME": f"operator-{port}"}
    connection = [f"--kubeconfig={config}", "--host=127.0.0.1", f"--port={port}", f"--lease-seconds={LEASE_SECONDS}"]
    flags = [*connection, *([f"--watch-namespaces={kube.namespace}"] if flags is None else flags)]
    started = OperatorProcess(_FORKS.Process(target=_run, args=(flags, environment, claim_terms)))
    started.process.start()
    try:
        yield started
    finally:
        started.signal(signal.SIGKILL)
        await started.ended()
