"""Decides after each completed call of a request: call another candidate, or stop.

When the policy stops, the answer with the highest probability goes out. The cost of the calls so far is spent in both
cases, so the cost does not change the decision.

Arrays have the shape (…, candidates) or (…, candidates, candidates). The dimensions before the candidates are prompts
or sets of called candidates, so that the decisions for many prompts are one computation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .agreement import Agreement, Flags, Numbers
from .network import Array

FIRST_NAMES = ("rescue", "rescue_quality", "doubt")
"""The numbers of a candidate for the first call. They count only if the policy may call another candidate later."""
NEXT_NAMES = (
    "one", "quality", "square_quality", "probability", "probability_quality", "agreeing", "opposing", "rival",
    "rival_quality", "more", "more_quality",
)  # fmt: skip
"""The numbers of a candidate for a later call. Each number is multiplied by the probability that the best answer is
bad."""


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
        numbers = next_numbers(outlook.qualities, answers, calls_left > 1)
        gains: Numbers = numbers @ self.following.astype(np.float64) - outlook.prices
        return gains

    def next_call(self, outlook: Outlook, answers: Answers, called: Flags, calls_left: int) -> int | None:
        """Returns the position of the candidate to call for a request, or None if the policy stops.

        The argument `called` contains the candidates that must not be called: those that were called, whether a call
        failed or not, and those that a limit excludes. At equal values, the first candidate is called.
        """
        if calls_left < 1 or called.all():
            return None
        if not answers.completed.any():
            return int(np.where(called, -np.inf, self.first_values(outlook, calls_left)).argmax())
        values = np.where(called, -np.inf, self.next_values(outlook, answers, calls_left))
        return int(values.argmax()) if values.max() > 0 else None

    def tensors(self) -> dict[str, Array]:
        """Returns the weights by the names that an artefact's file uses."""
        return {"turns.first": self.first, "turns.following": self.following}


def turns_from(tensors: Mapping[str, Array]) -> Turns:
    """Returns the policy whose weights an artefact's file contains.

    Raises KeyError if a tensor is missing, and ValueError if a tensor has a wrong shape or a number that is not finite.
    """
    turns = Turns(tensors["turns.first"], tensors["turns.following"])
    for (name, tensor), names in zip(turns.tensors().items(), (FIRST_NAMES, NEXT_NAMES), strict=True):
        if tensor.shape != (len(names),):
            raise ValueError(f"`{name}` has the shape {list(tensor.shape)}, not {[len(names)]}")
        if not np.isfinite(tensor).all():
            raise ValueError(f"`{name}` contains a number that is not finite")
    return turns


def first_numbers(outlook: Outlook) -> Numbers:
    """Returns numbers in the order of `FIRST_NAMES` for each candidate: (…, candidates, numbers).

    The number `rescue` is the utility that the best other candidate would add if it were called exactly when the
    candidate's answer is bad.
    """
    qualities = outlook.qualities
    rescue = (1 - qualities) * np.maximum(_best_other(qualities - outlook.prices), 0)
    return np.stack([rescue, rescue * qualities, qualities * (1 - qualities)], axis=-1)


def _best_other(utilities: Numbers) -> Numbers:
    """Returns the highest utility of the other candidates for each candidate, or 0 without other candidates."""
    if utilities.shape[-1] < 2:
        return np.zeros(utilities.shape)
    ordered = np.sort(utilities, axis=-1)
    best, second = ordered[..., -1:], ordered[..., -2:-1]
    return np.where(utilities == best, second, best)


def next_numbers(qualities: Numbers, answers: Answers, more: bool) -> Numbers:
    """Returns numbers in the order of `NEXT_NAMES` for each candidate: (…, candidates, numbers).

    The argument `more` says whether the policy may make another call after the next one.
    """
    best = answers.best()
    probability = np.take_along_axis(answers.probabilities, best[..., None], axis=-1)
    same, comparable = [_row(flags, best) for flags in (answers.pairs.same, answers.pairs.comparable)]
    others = answers.completed & (np.arange(qualities.shape[-1]) != best[..., None])
    differing = others & ~same
    opposing = differing & comparable
    agrees, opposes = [flags.sum(axis=-1, keepdims=True) for flags in (others & same, opposing)]
    rival = np.where(differing, answers.probabilities, 0).max(axis=-1, keepdims=True)
    known = [np.ones(1), qualities, qualities**2, probability, probability * qualities, agrees, opposes]
    rest = [rival, rival * qualities, np.full(1, float(more)), more * qualities]
    return np.stack(np.broadcast_arrays(*known, *rest), axis=-1) * (1 - probability)[..., None]


def _row(flags: Flags, best: np.ndarray) -> Flags:
    """Returns the comparison of each answer with the best answer: (…, candidates)."""
    row: Flags = np.take_along_axis(flags, best[..., None, None], axis=-2)[..., 0, :]
    return row
