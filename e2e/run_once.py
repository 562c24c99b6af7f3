"""Runs a shared setup once for all pytest workers."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path


def run_once(marker: Path, setup: Callable[[], object]) -> None:
    """Calls `setup` in the first worker, and the other workers wait. If `setup` fails, the next worker calls `setup`.

    The file `marker` exists after `setup` has succeeded.
    """
    with marker.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            setup()
            marker.touch()
