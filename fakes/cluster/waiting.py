"""Provides functions that poll until a condition is true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(check: Callable[[], Any], within: float = 10.0) -> Any:
    """Calls `check` every 50 ms until `check` raises no error, and returns the result of `check`.

    `check` is a function or a coroutine function. If `check` still raises an error after `within` seconds, the function
    raises this error. Errors other than AssertionError, LookupError, TypeError and ValueError are raised at once.
    """
    deadline = asyncio.get_running_loop().time() + within
    while True:
        try:
            result = check()
            return await result if isinstance(result, Awaitable) else result
        except (AssertionError, LookupError, TypeError, ValueError):
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.05)


def wait_until(holds: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Calls `holds` every 50 ms until `holds` returns true.

    Raises AssertionError with a message that contains `what` if `holds` does not return true within `seconds` seconds.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"timeout after {seconds:g} s while waiting for: {what}")
        time.sleep(0.05)
