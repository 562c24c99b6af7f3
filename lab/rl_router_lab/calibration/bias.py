"""Shows whether a judge prefers the first place or long answers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_Z = 1.96
_MIN_AGREEMENT, _MIN_PREFERENCE, _MIN_CORRELATION = 0.8, 0.05, 0.3


@dataclass(frozen=True)
class Verdict:
    """The scores and the lengths of the answers to a prompt, by target, and the order in which the judge saw them."""

    order: tuple[str, ...]
    scores: Mapping[str, float]
    lengths: Mapping[str, int]


@dataclass(frozen=True)
class Bias:
    """How a judge's scores depend on what should not matter.

    The attribute `agreement` is the share of the pairs of answers that the judge compares in the same way in both
    orders, over `pairs` pairs. The attribute `first_place` is the mean score in the first place minus the mean score in
    the last place, and `margin` is half the width of its 95 % interval. The attribute `length` is the correlation of
    score and length within the prompts. An attribute is None if too few verdicts exist.
    """

    agreement: float | None
    pairs: int
    first_place: float | None
    margin: float | None
    length: float | None

    @property
    def lines(self) -> list[str]:
        """The figures as lines of text, with a warning after a suspicious figure."""
        found = []
        if self.agreement is not None:
            poor = " (warning: the order decides)" if self.agreement < _MIN_AGREEMENT else ""
            found.append(
                f"judge, same comparison in the opposite order: {self.agreement:.0%} of {self.pairs} pairs{poor}"
            )
        elif self.first_place is not None:
            found.append(
                "judge: no prompt was graded in both orders. To see the effect of the order, use --judge-twice"
            )
        if self.first_place is not None and self.margin is not None:
            is_clear = abs(self.first_place) > max(self.margin, _MIN_PREFERENCE)
            liked = "first" if self.first_place > 0 else "last"
            poor = f" (warning: the judge prefers the {liked} place)" if is_clear else ""
            found.append(
                f"judge, score of the first place above the last: {self.first_place:+.3f} ± {self.margin:.3f}{poor}"
            )
        if self.length is not None:
            poor = " (warning: the judge may prefer long answers)" if self.length > _MIN_CORRELATION else ""
            found.append(f"judge, correlation of score and length: {self.length:+.2f}{poor}")
        return found


def bias_of(verdicts: Sequence[Sequence[Verdict]]) -> Bias:
    """Returns the bias of a judge from the verdicts on each prompt, of which the second has the opposite order."""
    same = [equal for found in verdicts if len(found) > 1 for equal in _same_comparisons(*found[:2])]
    firsts = [found[0] for found in verdicts if found and len(found[0].order) > 1]
    places = np.array([verdict.scores[verdict.order[0]] - verdict.scores[verdict.order[-1]] for verdict in firsts])
    is_enough = len(places) > 1
    return Bias(
        agreement=float(np.mean(same)) if same else None,
        pairs=len(same),
        first_place=float(places.mean()) if is_enough else None,
        margin=float(_Z * places.std(ddof=1) / np.sqrt(len(places))) if is_enough else None,
        length=_length_correlation(firsts),
    )


def _same_comparisons(one: Verdict, other: Verdict) -> Iterator[bool]:
    for left, right in itertools.combinations(sorted(one.order), 2):
        yield np.sign(one.scores[left] - one.scores[right]) == np.sign(other.scores[left] - other.scores[right])


def _length_correlation(verdicts: Sequence[Verdict]) -> float | None:
    scores = [_centred([verdict.scores[target] for target in verdict.order]) for verdict in verdicts]
    lengths = [_centred([np.log1p(verdict.lengths[target]) for target in verdict.order]) for verdict in verdicts]
    if not scores:
        return None
    pairs = np.stack([np.concatenate(scores), np.concatenate(lengths)])
    if (pairs.std(axis=1) < 1e-9).any():
        return None
    return float(np.corrcoef(pairs)[0, 1])


def _centred(values: Sequence[float]) -> np.ndarray:
    array: np.ndarray = np.array(values, np.float64)
    centred: np.ndarray = array - array.mean()
    return centred
