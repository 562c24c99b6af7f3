"""`python -m rl_router_operator`: the command line."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from kubernetes.aio.config import ConfigException

from . import log
from .controller import options
from .controller.operator import run
from .controller.settings import Settings


async def _until_told(given: Settings) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    await run(given, stop)


def main() -> int:
    """Runs until SIGTERM or SIGINT."""
    given = options.read(sys.argv[1:], os.environ)
    log.set_up(given.log_level)
    try:
        asyncio.run(_until_told(given))
    except (ConfigException, OSError) as error:
        print(
            f"rl_router_operator: {error}\nName a kubeconfig with --kubeconfig, or run in a cluster.", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
