"""`python -m rl_router_api` serves the API. `python -m rl_router_api new-key NAME` prints a new API key."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rl_router_process.standard_streams import open_closed_streams

from .commands import new_key, serve

_PROG = "python -m rl_router_api"


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit code."""
    open_closed_streams()
    # argparse's subcommands are not used. They would take an unknown flag's value for the name of a subcommand.
    if arguments and arguments[0] == "new-key":
        return new_key.main(arguments[1:], f"{_PROG} new-key")
    return serve.main(arguments, _PROG)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
