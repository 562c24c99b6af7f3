"""Compares the answers of several targets: which final answers are equal, and how much each answer is supported.

Arrays have the shape (…, answers) or (…, answers, answers). The dimensions before the answers are prompts or sets of
answers, so that the comparisons of many prompts are one computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .logistic import logit
from .reading import Reading

Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]

NAMES = (
    "alone", "quality", "others", "agreeing", "opposing", "incomparable", "share", "agreeing_quality",
    "opposing_quality", "best_agreeing", "best_opposing", "largest_opposing", "behind", "margin", "bounded_margin",
    "similarity", "alone_share", "alone_others", "alone_margin", "alone_bounded_margin", "share_others", "square_share",
)  # fmt: skip
_VOTE = 1.4
"""The logit that a final answer gains for each answer with a predicted quality of one half. With few wrong answers that
are equal by chance, two such answers are more probably right than one answer."""
_VOTE_LIMIT, _MARGIN = 3.0, 3.0


@dataclass(frozen=True)
class Agreement:
    """The comparison of each pair of answers to a prompt.

    Two answers are comparable if both have a final answer. The attribute `same` says which comparable answers have
    equal final answers. The attribute `similar` is the similarity of the words, from 0 to 1.
    """

    same: Flags
    comparable: Flags
    similar: Numbers


def agreement(readings: Sequence[Reading]) -> Agreement:
    """Returns the comparison of each pair of some answers to the same prompt."""
    finals = np.array([reading.final.value for reading in readings], object)
    known = np.array([reading.final.kind != "none" for reading in readings])
    comparable = known[:, None] & known
    words = np.stack([reading.words for reading in readings]).astype(np.float64)
    lengths = np.maximum(np.linalg.norm(words, axis=1), 1)
    return Agreement((finals[:, None] == finals) & comparable, comparable, words @ words.T / np.outer(lengths, lengths))


def compared_numbers(alone: Numbers, qualities: Numbers, pairs: Agreement, seen: Flags) -> Numbers:
    """Returns numbers in the order of `NAMES` for each answer: (…, answers, numbers).

    The argument `alone` contains the logits of the verifier without other answers, and `qualities` the qualities that
    the predictor expected. The argument `seen` says which other answers each answer is compared with: `seen[…, i, j]`
    is true if answer j counts for answer i.
    """
    others = seen & ~np.eye(seen.shape[-1], dtype=bool)
    agreeing, opposing = others & pairs.same, others & pairs.comparable & ~pairs.same
    unknown = others & ~pairs.comparable
    size, agree, oppose = np.log1p(_total(others)), _total(agreeing), _total(opposing)
    share = np.where(agree + oppose > 0, agree / np.maximum(agree + oppose, 1), 0.5) - 0.5
    largest, margin = _opposition(qualities, pairs.same, others, agreeing, opposing)
    bounded = np.tanh(margin / _MARGIN)
    similarity = (unknown * pairs.similar).sum(axis=-1) / np.maximum(_total(unknown), 1)
    own = [alone, logit(qualities), size, agree, oppose, _total(unknown), share]
    compared = [largest, largest - agree, margin, bounded, similarity]
    products = [alone * each for each in (share, size, margin, bounded)]
    support = _support(qualities, agreeing, opposing)
    shares = [share * size, share * np.abs(share)]
    return np.stack(np.broadcast_arrays(*own, *support, *compared, *products, *shares), axis=-1)


def _support(qualities: Numbers, agreeing: Flags, opposing: Flags) -> list[Numbers]:
    """Returns the sums and the maxima of the qualities of the answers that agree and of those that do not."""
    each, kinds = qualities[..., None, :], (agreeing, opposing)
    return [*[(kind * each).sum(axis=-1) for kind in kinds], *[(kind * each).max(axis=-1) for kind in kinds]]


def _opposition(
    qualities: Numbers, same: Flags, others: Flags, agreeing: Flags, opposing: Flags
) -> tuple[Numbers, Numbers]:
    """Returns the size of the largest group of equal opposing answers, and the lead in votes over the strongest group.

    The vote of an answer grows with the answer's predicted quality. Without other answers, the lead is 0.
    """
    votes = logit(qualities, _VOTE_LIMIT) + _VOTE
    members = np.einsum("...ik,...jk->...ij", others.astype(np.float64), same.astype(np.float64))
    support = np.einsum("...ik,...jk->...ij", others.astype(np.float64), same * votes[..., None, :])
    strongest = np.where(opposing.any(axis=-1), np.where(opposing, support, -np.inf).max(axis=-1), 0)
    own = votes + (agreeing * votes[..., None, :]).sum(axis=-1)
    return (opposing * members).max(axis=-1), np.where(others.any(axis=-1), own - strongest, 0)


def _total(flags: Flags) -> Numbers:
    total: Numbers = flags.sum(axis=-1, dtype=np.float64)
    return total
