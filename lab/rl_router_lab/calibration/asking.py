"""Asks targets, waits while a target is rate limited, and gives up a target that fails again and again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from rl_router_api.config import Target
from rl_router_api.errors import ApiError, UnaffordableError
from rl_router_api.runtime.direct_calls import DirectAnswer, DirectCalls

from .budget import Allotment

_MAX_FAILURES = 5
"""The number of failures in a row after which a target is not asked any more in a run."""
_MAX_WAITS = 5
_MAX_WAIT = 60.0
"""The maximum number of seconds before a rate-limited target is asked again."""
_REFUSED = (400, 413, 422)
"""The status codes with which a target rejects a prompt. They say nothing about the health of the target."""
_MAX_REASON = 300


class Asking:
    """Asks the targets of a configuration.

    The attribute `failures` counts the failed prompts of each target, and the attribute `reasons` contains the last
    reason. The attribute `given_up` contains the targets that are not asked any more.
    """

    def __init__(self, calls: DirectCalls, targets: Sequence[Target], most: int) -> None:
        self._calls = calls
        self._slots = {target.name: asyncio.Semaphore(min(target.max_in_flight or most, most)) for target in targets}
        self._in_a_row = Counter[str]()
        self.failures = Counter[str]()
        self.reasons: dict[str, str] = {}
        self.given_up: set[str] = set()

    async def ask(self, target: str, body: bytes, worst: Decimal, allotment: Allotment) -> DirectAnswer | None:
        """Returns a target's answer, or None if the target fails or is given up, or if the money does not suffice."""
        async with self._slots[target]:
            if target in self.given_up:
                return None
            try:
                answer = await self._patiently(body, worst, allotment)
            except ApiError as error:
                self._failed(target, error)
                return None
        self._in_a_row[target] = 0
        return answer

    async def _patiently(self, body: bytes, worst: Decimal, allotment: Allotment) -> DirectAnswer:
        for _ in range(_MAX_WAITS):
            try:
                return await self._calls.answer(body, allotment.for_call(worst))
            except ApiError as error:
                if error.status != 429 or error.code == "insufficient_quota":
                    raise
                await asyncio.sleep(min(error.retry_after or 1.0, _MAX_WAIT))
        return await self._calls.answer(body, allotment.for_call(worst))

    def _failed(self, target: str, error: ApiError) -> None:
        self.failures[target] += 1
        self.reasons[target] = " ".join(error.message.split())[:_MAX_REASON]
        if isinstance(error, UnaffordableError) or error.status in _REFUSED:
            return
        self._in_a_row[target] += 1
        if error.code == "insufficient_quota" or self._in_a_row[target] >= _MAX_FAILURES:
            self.given_up.add(target)
