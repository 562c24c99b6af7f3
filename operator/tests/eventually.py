"""Waiting for something to become so."""

import time
from collections.abc import Callable


def eventually(is_so: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Looks until it is; fails naming `what` where it is not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
