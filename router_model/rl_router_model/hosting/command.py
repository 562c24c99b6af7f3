"""Implements the command `rl-router model`, which hosts the router model.

In a clone, `host.sh` runs `rl-router model`.
"""

import os
from collections.abc import Sequence

from rl_router_process.output import STDERR, STDOUT

from . import gpus, preflight
from .endpoint import endpoint_of
from .engine_choice import choose
from .engine_command import engine_command
from .error import HostingError
from .installation import Installation
from .options import Options, parse
from .supervise import supervise


def main(arguments: Sequence[str], prog: str) -> int:
    """Hosts the router model until a signal arrives.

    Returns 128 plus the signal's number, or the exit code of the error that ended the command. If the option
    --print is set, only prints the engine's command and returns 0.
    """
    installation = Installation.from_environment(os.environ)
    try:
        return _host(parse(arguments, "bash host.sh" if installation.clone else prog), installation)
    except HostingError as error:
        # The engine's output lines are printed before the error.
        STDOUT.flush()
        STDERR.say(f"error: {error}")
        return error.code
    except KeyboardInterrupt:
        # The user pressed Ctrl-C before the engine was started.
        return 130


def _host(options: Options, installation: Installation) -> int:
    choice = choose(options, gpus.installed())
    command = engine_command(options, choice, installation, os.environ)
    if options.print_only:
        STDOUT.say(command.as_shell())
        return 0
    endpoint = endpoint_of(options, os.environ.get("VLLM_API_KEY", ""))
    preflight.check(options, choice, endpoint, installation)
    return supervise(command, endpoint, options.wait, f"{installation.serve}{endpoint.serving_flags}")
