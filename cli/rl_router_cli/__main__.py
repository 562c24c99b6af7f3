"""`python -m rl_router_cli`: runs `rl-router` if it is not installed, for example in a clone."""

import sys

from rl_router_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
