"""Implements the command line of the operator, `python -m rl_router_operator`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from kubernetes.aio.config import ConfigException
from rl_router_process.output import STDERR
from rl_router_process.standard_streams import open_closed_streams

from . import log
from .controller import options
from .controller.operator import run
from .controller.settings import Settings


async def run_until_signal(settings: Settings) -> None:
    """Runs the operator until the process receives the signal SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, stop)


def main(arguments: Sequence[str] | None = None, prog: str = "python -m rl_router_operator") -> int:
    """Runs the operator until SIGTERM or SIGINT, and returns the exit status: 1 if the operator cannot run, else 0.

    If a flag or an environment variable is invalid, the function exits with status 2.
    """
    open_closed_streams()
    # The operator keeps running after its terminal was closed.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = options.read(sys.argv[1:] if arguments is None else arguments, os.environ, prog)
    log.set_up(settings.log_level)
    try:
        asyncio.run(run_until_signal(settings))
    except (ConfigException, OSError) as error:
        advice = "Check the flags --kubeconfig, --host and --port, or run the operator in a cluster."
        STDERR.say(f"error: the operator cannot run: {error}. {advice}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
