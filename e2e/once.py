"""What several workers of pytest use and the first of them makes."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path


def once(made: Path, make: Callable[[], object]) -> None:
    """Has the first worker that comes call `make`, while the others wait. If it fails, the next one tries.

    `made` is a file that says that it is done.
    """
    with made.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make()
            made.touch()
