"""The parser of the commands: errors in one line, and help texts with their own line breaks."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from ..health import ExitCode


class CommandParser(argparse.ArgumentParser):
    """Reports an error in one line. argparse would print a usage of fifty flags before it.

    `operands` is what the usage shows behind the program.
    """

    def __init__(self, prog: str, operands: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            usage=f"%(prog)s {operands}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}. See --help.", file=sys.stderr)
        sys.exit(ExitCode.CONFIGURATION)


def exit_codes(*codes: ExitCode) -> str:
    """Returns exit codes with their meanings, one a line, for a help text."""
    return "\n".join(f"  {code:<4d}{code.means}" for code in codes)
