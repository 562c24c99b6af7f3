"""Implements the command `check CONFIG`, which validates a configuration file in the same way as the command
`serve`."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..accounting.log import LOG
from ..config import Configuration
from ..errors import SetupError
from ..health import ExitCode
from ..runtime.active_configuration import check_keys
from ..runtime.configuration_warnings import warn_about_keys
from ..runtime.default_policy import depends_on_router_model
from ..runtime.runtime import Runtime
from ..runtime.source import LoadedConfiguration, Source
from ..server.start_errors import report
from ..upstreams.transport import HttpTransport
from .parser import CommandParser, exit_codes

_DESCRIPTION = """\
Checks a configuration file of the router API. The command `serve` makes the same checks before it starts a server.
Checks the fields, the environment variables that override fields (RL_ROUTER_*), the keys file, and the API keys of the
targets. Sends no request and opens no port. Prints a line for each warning, and one line for the errors, on standard
error. Prints one line on standard output if no check fails."""
_DISCOVERED = "every model with a valid name that the router model's server lists is a target"
_EXIT_CODES = (ExitCode.CONFIGURATION, ExitCode.KEYS_FILE)
_EPILOG = """\
exit codes:
  0   no check failed, but there may be warnings
{codes}

example:
  {prog} router.yaml"""


def main(arguments: Sequence[str], prog: str) -> int:
    """Checks a configuration file.

    Returns 0 if no check fails, and otherwise the value of the enum `ExitCode` for the error.
    """
    parser = CommandParser(prog, "CONFIG", _DESCRIPTION, _EPILOG.format(prog=prog, codes=exit_codes(*_EXIT_CODES)))
    parser.add_argument("config", metavar="CONFIG", help="the YAML configuration file to check")
    path = parser.parse_args(arguments).config
    try:
        with _printed_warnings():
            loaded = _checked(Source.from_environment(path))
    except SetupError as error:
        return report(error)
    print(f"{path}: valid: {_summary(loaded)}")
    return 0


class _Lines(logging.Handler):
    """A logging handler that prints each log record as one line of plain text."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"{record.levelname.lower()}: {record.getMessage()}", file=sys.stderr)


@contextmanager
def _printed_warnings() -> Iterator[None]:
    handler = _Lines()
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)


def _checked(source: Source) -> LoadedConfiguration:
    """Returns the loaded configuration, and logs the warnings about this configuration.

    Raises SetupError if a check fails.
    """
    loaded = source.check()
    check_keys(loaded.configuration)
    asyncio.run(_warn(loaded))
    return loaded


async def _warn(loaded: LoadedConfiguration) -> None:
    # This runtime is never started, so the runtime sends no requests.
    runtime = Runtime(loaded, HttpTransport())
    warn_about_keys(runtime.fleet, runtime.admission)
    await runtime.stop()


def _summary(loaded: LoadedConfiguration) -> str:
    configuration, keys = loaded.configuration, loaded.keys
    targets = configuration.targets
    return ", ".join(
        (
            _DISCOVERED if targets is None else _count(targets, "target"),
            f"policy {_policy(configuration)}",
            "clients need no API key" if keys is None else _count(keys, "client key"),
        )
    )


def _policy(configuration: Configuration) -> str:
    return "rl or learned" if depends_on_router_model(configuration) else configuration.routing.policy or "rl"


def _count(items: Sequence[object], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"
