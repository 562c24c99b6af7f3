"""Reserves money for calls before the calls start.

All limits on the cost of a request implement the interface `Spending`. If a request has a limit, the router API
reserves the worst-case cost of each call before the call. When the call ends, the actual cost replaces the reserved
cost, unless the actual cost is unknown. Unused money becomes available again. At present, `max_cost` is the only limit
on the cost of a request.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from ..errors import UnaffordableError
from .money import NOTHING, total, whole_units


class Hold(Protocol):
    """Money that is reserved for one call."""

    @property
    def worst(self) -> Decimal:
        """The reserved amount in US dollars, or 0 if the request has no money limit."""

    def settle(self, cost: Decimal, /) -> None:
        """Ends the reservation and charges `cost` US dollars. The cost may exceed the reserved amount."""


class Spending(Protocol):
    """The money that a request may spend."""

    @property
    def left(self) -> Decimal | None:
        """The US dollars that are neither spent nor reserved, or None if the request has no money limit."""

    def reserve(self, worst: Decimal, /) -> Hold:
        """Reserves `worst` US dollars, the worst-case cost of a call, if the request has a money limit.

        Raises UnaffordableError if less than `worst` US dollars is left of the limit.
        """

    def refusal(self, reasons: str, /) -> UnaffordableError:
        """Returns the error for a request that no target can answer within the money limit.

        The argument `reasons` is a text that explains why no target can answer.
        """


class _NoHold:
    worst = NOTHING

    def settle(self, _: Decimal, /) -> None:
        """Does nothing, because no money was reserved."""


NO_HOLD: Hold = _NoHold()


class _Unlimited:
    left = None

    def reserve(self, _: Decimal, /) -> Hold:
        return NO_HOLD

    def refusal(self, reasons: str, /) -> UnaffordableError:
        return UnaffordableError(400, f"No model is affordable ({reasons}). Add a cheaper target.", retryable=False)


UNLIMITED: Spending = _Unlimited()


class MaxCost:
    """The money limit `max_cost` of a request, in US dollars, rounded down to a multiple of 1e-18 US dollars."""

    def __init__(self, dollars: Decimal) -> None:
        self._dollars = self._left = whole_units(dollars)

    @property
    def left(self) -> Decimal:
        return self._left

    def reserve(self, worst: Decimal, /) -> Hold:
        if worst > self._left:
            raise self.refusal(f"a call may cost {worst:f} USD, but only {self._left:f} USD are left")
        self._take(worst)
        return _MaxCostHold(self, worst)

    def refusal(self, reasons: str, /) -> UnaffordableError:
        message = (
            f"No model fits the `max_cost` of {self._dollars:f} USD ({reasons})."
            " Raise the request's `router.max_cost` (or the server's `routing.max_cost`, if that is lower), or lower"
            " `max_tokens`."
        )
        return UnaffordableError(400, message, param="router.max_cost", code="max_cost_too_low", retryable=False)

    def give_back(self, dollars: Decimal) -> None:
        """Adds the unused part of a reservation to the money that is left.

        A negative amount is the part of the cost that exceeds the reserved amount.
        """
        self._take(-dollars)

    def _take(self, dollars: Decimal) -> None:
        self._left = total([self._left, -dollars])


class _MaxCostHold:
    def __init__(self, spending: MaxCost, worst: Decimal) -> None:
        self.worst = worst
        self._spending = spending

    def settle(self, cost: Decimal, /) -> None:
        self._spending.give_back(total([self.worst, -cost]))
