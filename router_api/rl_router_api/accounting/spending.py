"""Money is reserved before it is spent: one interface for everything that limits what a request may cost.

Before a call its worst case is reserved. When the call has ended, the hold is settled with what it cost, and the rest
is free again. Today `max_cost` alone stands behind the interface.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from ..errors import UnaffordableError
from .money import NOTHING, total


class Hold(Protocol):
    """Money that is set aside for one call."""

    @property
    def worst(self) -> Decimal:
        """What was reserved, in US dollars; 0 if nothing limits what the call costs."""

    def settle(self, cost: Decimal, /) -> None:
        """Ends the hold: the call cost so much, which may be more than was reserved."""


class Spending(Protocol):
    """What a request may spend."""

    @property
    def left(self) -> Decimal | None:
        """US dollars that may still be spent, holds taken off; None if nothing limits them."""

    def reserve(self, worst: Decimal, /) -> Hold:
        """Sets the worst case of a call aside, in US dollars. Raises UnaffordableError if it is not left."""

    def refusal(self, reasons: str, /) -> UnaffordableError:
        """Returns what a client is told if no target can be kept within the limit; `reasons` says why of each."""


class _NoHold:
    worst = NOTHING

    def settle(self, _: Decimal, /) -> None:
        """Does nothing: nothing was set aside."""


NO_HOLD: Hold = _NoHold()


class _Unlimited:
    left = None

    def reserve(self, _: Decimal, /) -> Hold:
        return NO_HOLD

    def refusal(self, reasons: str, /) -> UnaffordableError:
        return UnaffordableError(400, f"No model can be afforded ({reasons}).", retryable=False)


UNLIMITED: Spending = _Unlimited()


class MaxCost:
    """A request's `max_cost`, in US dollars."""

    def __init__(self, dollars: Decimal) -> None:
        self._dollars = dollars
        self._left = dollars

    @property
    def left(self) -> Decimal:
        return self._left

    def reserve(self, worst: Decimal, /) -> Hold:
        if worst > self._left:
            raise self.refusal(f"a call may cost {worst:f} USD, and {self._left:f} USD are left")
        self._take(worst)
        return _MaxCostHold(self, worst)

    def refusal(self, reasons: str, /) -> UnaffordableError:
        message = f"No model can be kept within the `max_cost` of {self._dollars:f} USD ({reasons})."
        return UnaffordableError(400, message, param="router.max_cost", code="max_cost_too_low", retryable=False)

    def give_back(self, dollars: Decimal) -> None:
        """Frees what a call did not cost; a negative amount is what it cost more."""
        self._take(-dollars)

    def _take(self, dollars: Decimal) -> None:
        self._left = total([self._left, -dollars])


class _MaxCostHold:
    def __init__(self, spending: MaxCost, worst: Decimal) -> None:
        self.worst = worst
        self._spending = spending

    def settle(self, cost: Decimal, /) -> None:
        self._spending.give_back(total([self.worst, -cost]))
