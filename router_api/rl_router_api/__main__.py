"""The command `python -m rl_router_api` serves the API, or prints a new API key with the argument `new-key NAME`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rl_router_process.standard_streams import open_closed_streams

from .commands import new_key, serve

_PROG = "python -m rl_router_api"


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit code."""
    open_closed_streams()
    # argparse's subcommands are not used, because they would take the value of an unknown flag for a subcommand.
    if arguments and arguments[0] == "new-key":
        return new_key.main(arguments[1:], f"{_PROG} new-key")
    return serve.main(arguments, _PROG)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
