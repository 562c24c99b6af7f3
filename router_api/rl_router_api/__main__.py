"""Implements the command `python -m rl_router_api`, which serves the router API.

With the arguments `new-key NAME`, the command prints a new API key and its entry for the keys file instead.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rl_router_process.standard_streams import open_closed_streams

from .commands import new_key, serve

_PROG = "python -m rl_router_api"


def main(arguments: Sequence[str]) -> int:
    """Runs the command with the given arguments, and returns the exit code of the command."""
    open_closed_streams()
    # argparse's subcommands are not used, because they would take the value of an unknown flag for a subcommand.
    if arguments and arguments[0] == "new-key":
        return new_key.main(arguments[1:], f"{_PROG} new-key")
    return serve.main(arguments, _PROG)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
