"""Defines the argument parser of all commands of the router API.

The parser reports an error in one line and keeps the line breaks of the description and the epilog.
"""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from ..health import ExitCode


class CommandParser(argparse.ArgumentParser):
    """An argument parser that reports an error in one line, without the long usage text that argparse would print.

    The argument `operands` is the text after the program name in the usage line.
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
    """Returns the part of a help text that lists the exit codes `codes` with their meanings, one exit code per line."""
    return "\n".join(f"  {code:<4d}{code.means}" for code in codes)
