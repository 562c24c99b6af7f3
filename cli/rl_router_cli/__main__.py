"""Runs the command `rl-router` as `python -m rl_router_cli`, for example in a clone without an installed command."""

import sys

from rl_router_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
