"""Decides after each completed call of a request: call another candidate, or stop.

When the policy stops, the answer with the highest probability goes out. The cost of the calls so far is spent in both
cases, so the cost does not change the decision.

Arrays have the shape (…, candidates) or (…, candidates, candidates). The dimensions before the candidates are prompts
or sets of called candidates, so that the decisions for many prompts are one computation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .agreement import Agreement, Flags, Numbers
from .network import Array

FIRST_NAMES = ("rescue", "reconsider", "doubt")
"""The numbers of a candidate for the first call. They count only if the policy may call another candidate later."""
NEXT_NAMES = (
    "narrow", "wide", "stronger", "stronger_doubt", "doubt_quality", "agreeing", "opposing", "rival", "more_wide",
    "more_confirm",
)  # fmt: skip
"""The numbers of a candidate for a later call."""
_NARROW, _WIDE = 0.05, 0.15
"""The uncertainties of the lead of a candidate."""


@dataclass(frozen=True)
class Outlook:
    """What the policy expects of the candidates of a request before the first call.

    The attribute `qualities` contains the predicted probabilities of a good answer, and `preferences` what the choice
    of a single call maximises before costs. The attribute `prices` contains the expected cost of a call, including the
    cost of the wait, divided by V.
    """

    qualities: Numbers
    preferences: Numbers
    prices: Numbers

    def of_sets(self) -> Outlook:
        """Returns the outlook with a dimension for sets of called candidates: (…, 1, candidates)."""
        return Outlook(*[each[..., None, :] for each in (self.qualities, self.preferences, self.prices)])


@dataclass(frozen=True)
class Answers:
    """The completed answers to a request.

    The attribute `completed` says which candidates answered. The attribute `probabilities` contains the verifier's
    probability of each completed answer, after a comparison of all completed answers. The attribute `pairs` compares
    all pairs of answers. The numbers of the other candidates have no meaning.
    """

    completed: Flags
    probabilities: Numbers
    pairs: Agreement

    def best(self) -> np.ndarray:
        """Returns the position of the answer that goes out at a stop: (…). At least one call must be completed."""
        positions: np.ndarray = np.where(self.completed, self.probabilities, -np.inf).argmax(axis=-1)
        return positions


@dataclass(frozen=True)
class Turns:
    """A trained policy of several turns: the weights of the numbers for the first call and for later calls."""

    first: Array
    following: Array

    def first_values(self, outlook: Outlook, calls_left: int) -> Numbers:
        """Returns the value of each candidate as the first call: (…, candidates).

        If only one call is left, this is the utility that the choice of a single call maximises.
        """
        alone = outlook.preferences - outlook.prices
        return alone + first_numbers(outlook) @ self.first.astype(np.float64) if calls_left > 1 else alone

    def next_values(self, outlook: Outlook, answers: Answers, calls_left: int) -> Numbers:
        """Returns the utility that another call to each candidate would add: (…, candidates)."""
        numbers = next_numbers(outlook, answers, calls_left > 1)
        gains: Numbers = numbers @ self.following.astype(np.float64) - outlook.prices
        return gains

    def next_call(self, outlook: Outlook, answers: Answers, called: Flags, calls_left: int) -> int | None:
        """Returns the position of the candidate to call for a request, or None if the policy stops.

        The argument `called` contains the candidates that must not be called: those that were called, whether a call
        failed or not, and those that a limit excludes. At equal values, the first candidate is called.
        """
        if calls_left < 1 or called.all():
            return None
        lost = called & ~answers.completed
        outlook = replace(outlook, qualities=np.where(lost, 0, outlook.qualities))
        if not answers.completed.any():
            return int(np.where(called, -np.inf, self.first_values(outlook, calls_left)).argmax())
        values = np.where(called, -np.inf, self.next_values(outlook, answers, calls_left))
        return int(values.argmax()) if values.max() > 0 else None


def first_numbers(outlook: Outlook) -> Numbers:
    """Returns numbers in the order of `FIRST_NAMES` for each candidate: (…, candidates, numbers).

    The number `rescue` is the utility that the best other candidate would add if it were called exactly when the
    candidate's answer is bad. The number `reconsider` is large if another candidate has a higher utility.
    """
    qualities = outlook.qualities
    other = _best_other(qualities - outlook.prices)
    rescue = (1 - qualities) * np.maximum(other, 0)
    return np.stack([rescue, _lead(other - qualities, _WIDE), qualities * (1 - qualities)], axis=-1)


def _lead(difference: Numbers, uncertainty: float) -> Numbers:
    """Returns about the expected lead of an uncertain number over another if only a positive lead counts."""
    lead: Numbers = uncertainty * np.logaddexp(0, difference / uncertainty)
    return lead


def _best_other(utilities: Numbers) -> Numbers:
    """Returns the highest utility of the other candidates for each candidate, or 0 without other candidates."""
    if utilities.shape[-1] < 2:
        return np.zeros(utilities.shape)
    ordered = np.sort(utilities, axis=-1)
    best, second = ordered[..., -1:], ordered[..., -2:-1]
    return np.where(utilities == best, second, best)


def next_numbers(outlook: Outlook, answers: Answers, more: bool) -> Numbers:
    """Returns numbers in the order of `NEXT_NAMES` for each candidate: (…, candidates, numbers).

    The argument `more` says whether the policy may make another call after the next one.
    """
    qualities, best = outlook.qualities, answers.best()[..., None]
    probability = np.take_along_axis(answers.probabilities, best, axis=-1)
    narrow, wide = [_lead(qualities - probability, each) for each in (_NARROW, _WIDE)]
    own = np.take_along_axis(np.broadcast_to(qualities, answers.completed.shape), best, axis=-1)
    stronger, doubt = _lead(qualities - own, _NARROW), 1 - probability
    compared = [each * doubt * qualities for each in _compared(answers, best)]
    confirm = _confirm(outlook, probability) if more else np.zeros(1)
    known = [narrow, wide, stronger, stronger * doubt, doubt * qualities, *compared, more * wide, confirm]
    return np.stack(np.broadcast_arrays(*known), axis=-1)


def _compared(answers: Answers, best: np.ndarray) -> list[Numbers]:
    """Returns how many answers agree and disagree with the best one, and the highest probability of a different one."""
    same, comparable = [_row(flags, best) for flags in (answers.pairs.same, answers.pairs.comparable)]
    others = answers.completed & (np.arange(answers.completed.shape[-1]) != best)
    differing = others & ~same
    agreeing, opposing = [flags.sum(axis=-1, keepdims=True) for flags in (others & same, differing & comparable)]
    return [agreeing, opposing, np.where(differing, answers.probabilities, 0).max(axis=-1, keepdims=True)]


def _confirm(outlook: Outlook, probability: Numbers) -> Numbers:
    """Returns about what a second opinion is worth because a third candidate can be called if the answers differ."""
    qualities = outlook.qualities
    differ = 1 - probability * qualities
    left = np.maximum(probability * (1 - qualities), qualities * (1 - probability)) / np.maximum(differ, 1e-6)
    return differ * np.maximum(_best_other(qualities - outlook.prices) - left, 0)


def _row(flags: Flags, best: np.ndarray) -> Flags:
    """Returns the comparison of each answer with the best answer: (…, candidates)."""
    row: Flags = np.take_along_axis(flags, best[..., None], axis=-2)[..., 0, :]
    return row
