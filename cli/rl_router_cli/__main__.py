"""Runs `rl-router` as `python -m rl_router_cli` where the command is not installed, for example in a clone."""

import sys

from rl_router_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
