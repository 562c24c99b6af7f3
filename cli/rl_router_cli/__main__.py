"""`python -m rl_router_cli`: the command `rl-router` where it is not installed, as in a clone."""

import sys

from rl_router_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
