"""Creates files for the tables that all workers of one server share, and hashes the names in these tables."""

from __future__ import annotations

import hashlib
import os
import tempfile


def make_table(folder: str, prefix: str, size: int) -> str:
    """Creates a file of `size` zero bytes in the folder `folder` and returns the file's path.

    The caller of the function `make_table` must remove the file.
    """
    handle, path = tempfile.mkstemp(prefix=prefix, dir=folder)
    os.ftruncate(handle, size)
    os.close(handle)
    return path


def hashed(name: str) -> int:
    """Returns the eight-byte hash of a name in a table.

    The hash of a name is never 0, because 0 marks a free slot of the table.
    """
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) or 1
