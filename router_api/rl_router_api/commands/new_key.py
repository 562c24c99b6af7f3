"""Implements the command `new-key NAME`, which prints a new API key for a client of the router API."""

from __future__ import annotations

from collections.abc import Sequence

from ..access.keys import new_key
from .parser import CommandParser

_DESCRIPTION = """\
Prints a new API key for a client of the router API, and the entry of this key for the keys file. The key is shown only
once, because the entry contains only the SHA-256 hash of the key. Give the key to the client, and append the entry to
the file that the field `server.api_keys_file` names. A running server reads the changed keys file within seconds. The
command `new-key` writes no file."""


def main(arguments: Sequence[str], prog: str) -> int:
    """Prints a new API key, and the entry of this key for the keys file. Returns the exit code 0."""
    parser = CommandParser(prog, "NAME", _DESCRIPTION, f"example:\n  {prog} alice")
    parser.add_argument("name", metavar="NAME", help="name of the client; the name must be unique in the keys file")
    key, entry = new_key(parser.parse_args(arguments).name)
    print(f"The API key, which is shown only once: {key}\n\nIts entry for server.api_keys_file:\n{entry}", end="")
    return 0
