"""The command line of `rl-router`: finds and runs the command that the first argument names."""

import difflib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from rl_router_process.standard_streams import open_closed_streams

from .commands import COMMANDS, MODULES_OF_EXTRA, Command

_USAGE_ERROR = 2
_HELP = """\
usage: rl-router COMMAND [options]

RL Router is one OpenAI-compatible endpoint in front of many models. A learned policy, or a language model called the
router model, decides which models answer requests for the model `router`.

commands:
{commands}

options:
  -h, --help        show this help
  --version         show the version

`rl-router COMMAND --help` explains a command and its options. The guides are in the folder docs of the source code.
The first guide to read is docs/quickstart.md.

examples:
  rl-router model                            host the router model, in a first terminal
  rl-router serve --config my-router.yaml    serve the API, in a second terminal
  rl-router check my-router.yaml             check the configuration without serving"""

Main = Callable[[Sequence[str], str], int]


class CommandError(Exception):
    """Raised if the command cannot be run.

    The error message names the reason and the remedy. The attribute `code` is the exit code of `rl-router`.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that the first argument names, with all other arguments. Returns the exit code of `rl-router`.

    Without arguments, or if the first argument is --help, -h or --version, only prints the help or the version.
    """
    open_closed_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        print(_help(), file=sys.stderr)
        return _USAGE_ERROR
    name, *rest = arguments
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name == "--version":
        print(import_module("rl_router_api.version").__version__)
        return 0
    return _run(name, rest)


def _run(name: str, arguments: Sequence[str]) -> int:
    try:
        command_main = _load(_find(name))
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    return command_main(arguments, f"rl-router {name}")


def _help() -> str:
    lines = (f"  {f'{command.name} {command.operands}':<18}{command.help}" for command in COMMANDS)
    return _HELP.format(commands="\n".join(lines))


def _find(name: str) -> Command:
    """Returns the command called `name`. Raises CommandError with a suggestion if no command is called `name`."""
    commands = {command.name: command for command in COMMANDS}
    if name in commands:
        return commands[name]
    if name.startswith("-"):
        raise CommandError(f'unknown option "{name}". Put the command first: rl-router COMMAND {name}', _USAGE_ERROR)
    matches = difflib.get_close_matches(name, commands, n=1)
    hint = f'Did you mean "{matches[0]}"?' if matches else f"Commands are {', '.join(commands)}."
    raise CommandError(f'unknown command "{name}". {hint}', _USAGE_ERROR)


def _load(command: Command) -> Main:
    """Returns the main function of a command. Raises CommandError if a module of the command's extra is missing."""
    try:
        loaded: Main = import_module(command.module).main
    except ModuleNotFoundError as error:
        # If a module outside the optional dependencies is missing, the installation is faulty. The traceback shows why.
        missing = (error.name or "").partition(".")[0]
        if missing not in MODULES_OF_EXTRA.get(command.extra, ()):
            raise
        remedy = f"Install RL Router with the extra `{command.extra}`."
        problem = f'the command "{command.name}" requires the module {missing}, which is not installed'
        raise CommandError(f"{problem}. {remedy}", 1) from None
    return loaded
