"""Tables in memory that all workers of one server share: creates the mapped files and hashes the names in them."""

from __future__ import annotations

import hashlib
import os
import tempfile


def make_table(folder: str, prefix: str, size: int) -> str:
    """Returns the path of a new file of `size` zero bytes in `folder`. The caller removes it."""
    handle, path = tempfile.mkstemp(prefix=prefix, dir=folder)
    os.ftruncate(handle, size)
    os.close(handle)
    return path


def hashed(name: str) -> int:
    """Returns the eight-byte hash of a name in a table. It is never 0, because 0 marks a free slot."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) or 1
