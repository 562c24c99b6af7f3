"""The budget of a calibration, from which the worst-case cost of each call is reserved before the call."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from rl_router_api.accounting.money import NOTHING, total
from rl_router_api.accounting.spending import Hold, Spending
from rl_router_api.errors import UnaffordableError

from .journal import Journal


class Budget:
    """The money in US dollars that all runs of one calibration may spend together."""

    def __init__(self, dollars: Decimal, journal: Journal) -> None:
        self._dollars, self.journal = dollars, journal
        self._allotted = NOTHING
        """The money of the open allotments that is neither spent nor reserved for a call."""
        self._open = 0
        self._freed = asyncio.Event()

    @property
    def left(self) -> Decimal:
        """The money that is neither spent nor reserved nor allotted."""
        return total([self._dollars, -self.journal.spent, -self._allotted])

    async def allot(self, dollars: Decimal) -> Allotment | None:
        """Returns a part of the budget, or None if the budget cannot pay for it.

        Waits while open allotments may still give money back.
        """
        while dollars > self.left:
            if not self._open:
                return None
            self._freed.clear()
            await self._freed.wait()
        self._open += 1
        self.move(dollars)
        return Allotment(self, dollars)

    def move(self, dollars: Decimal) -> None:
        """Moves money from the free part of the budget to the open allotments. A negative amount is moved back."""
        self._allotted = total([self._allotted, dollars])

    def close(self) -> None:
        """Records that an allotment was closed."""
        self._open -= 1
        self._freed.set()


class Allotment:
    """A part of the budget that pays for the calls of one prompt."""

    def __init__(self, budget: Budget, dollars: Decimal) -> None:
        self._budget, self._left = budget, dollars

    @property
    def left(self) -> Decimal:
        """The money that a call may use: the rest of the allotment and the free part of the budget."""
        return total([self._left, max(self._budget.left, NOTHING)])

    def for_call(self, worst: Decimal) -> Spending:
        """Returns the money for a call that may cost `worst` US dollars."""
        return _WholeCall(self, worst)

    def reserve(self, worst: Decimal) -> Hold:
        """Reserves the worst-case cost of a call. Raises UnaffordableError."""
        if worst > self.left:
            reason = f"the call may cost {worst:f} USD, but only {self.left:f} USD are left. Raise --budget"
            raise UnaffordableError(400, reason, retryable=False)
        self._add(max(total([worst, -self._left]), NOTHING))
        number = self._budget.journal.reserve(worst)
        self._add(-worst)
        return _Reservation(self, number, worst)

    def settle(self, number: int, worst: Decimal, cost: Decimal) -> None:
        """Replaces a reservation by the cost of the call."""
        self._budget.journal.settle(number, cost)
        self._add(total([worst, -cost]))

    def close(self) -> None:
        """Gives the rest of the money back to the budget."""
        self._add(-self._left)
        self._budget.close()

    def _add(self, dollars: Decimal) -> None:
        self._left = total([self._left, dollars])
        self._budget.move(dollars)


class _WholeCall:
    """The money for one call.

    The router lowers the output limit of a call that the money does not pay for. A shorter answer would be no outcome
    of the target, so a call gets either the money for its whole output limit or no money.
    """

    def __init__(self, allotment: Allotment, worst: Decimal) -> None:
        self._allotment, self._worst = allotment, worst

    @property
    def left(self) -> Decimal:
        return self._allotment.left if self._allotment.left >= self._worst else NOTHING

    def reserve(self, worst: Decimal, /) -> Hold:
        return self._allotment.reserve(worst)

    def refusal(self, reasons: str, /) -> UnaffordableError:
        return UnaffordableError(400, f"the budget cannot pay for the call ({reasons})", retryable=False)


class _Reservation:
    def __init__(self, allotment: Allotment, number: int, worst: Decimal) -> None:
        self._allotment, self._number, self.worst = allotment, number, worst

    def settle(self, cost: Decimal, /) -> None:
        self._allotment.settle(self._number, self.worst, cost)
