"""Reports an error that prevents the start of the server, with one line for people and an exit code for programs."""

from __future__ import annotations

from rl_router_process.output import STDERR

from ..errors import ConfigurationError, KeysError, ListenError, SetupError
from ..health import ExitCode

EXIT_CODES: dict[type[SetupError], ExitCode] = {
    ConfigurationError: ExitCode.CONFIGURATION,
    KeysError: ExitCode.KEYS_FILE,
    ListenError: ExitCode.ADDRESS,
}


def report(error: SetupError) -> ExitCode:
    """Writes the error to standard error as one line, and returns the exit code for the type of the error."""
    STDERR.say(f"error: {error}")
    STDERR.flush()
    return EXIT_CODES[type(error)]
