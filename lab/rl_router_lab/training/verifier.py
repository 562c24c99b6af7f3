"""Trains the verifier of an artefact on a table with answers.

The probabilities that the second part of the verifier learns from are cross-fitted: the prompts are split into five
parts by their texts, and the answers of a part are judged by a first part of the verifier that was trained on the other
prompts. The qualities that the predictor expected must be cross-fitted too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rl_router_policy.agreement import NAMES as COMPARED_NAMES
from rl_router_policy.agreement import Agreement, agreement, compared_numbers
from rl_router_policy.artefact import Artefact
from rl_router_policy.logistic import Logistic, probability
from rl_router_policy.predictor import Predictor
from rl_router_policy.reading import WORDS, Reading, question_of, read_answer
from rl_router_policy.verifier import ALONE_NAMES, Answer, Expected, Verifier, alone_numbers, bounded

from ..evaluation import auroc, brier
from ..table import Array, Table
from .artefact import KeptVerifier
from .fit import FirstStage, Fitted, raw_inputs
from .logistic import fit_logistic

PARTS = 5
MIN_PROMPTS = 100
"""The minimum number of prompts with an answer and a score. With fewer prompts, no verifier is trained."""
_SETS, _MAX_OTHERS = 5, 5
"""For each answer, the training draws this number of random sets of at most five other answers to compare with."""
_PENALTY, _WORD_PENALTY, _COMPARED_PENALTY = 30.0, 3_000.0, 3.0
"""The penalties of the coefficients. A group of words says little, so its coefficient stays close to 0."""


@dataclass(frozen=True)
class Judged:
    """The answers of a table in the form that the verifier reads. Arrays have the shape (prompts, models, …).

    The attribute `present` says which answers have a text and a score. The other answers have no meaning.
    """

    present: NDArray[np.bool_]
    scores: Array
    qualities: Array
    numbers: NDArray[np.float32]
    pairs: Agreement

    def compared(self, logits: Array, seen: NDArray[np.bool_]) -> Array:
        """Returns the numbers for the second part of the verifier: (prompts, models, numbers).

        The argument `logits` contains the logits of the first part, and `seen[prompt, i, j]` says whether model j's
        answer counts for model i's answer.
        """
        return compared_numbers(bounded(logits), self.qualities, self.pairs, seen & self.present[:, None, :])


@dataclass(frozen=True)
class FittedVerifier:
    """A trained verifier, and what later stages need to train on the same table.

    The attribute `members` contains a verifier for each part of the prompts that was not trained on the part. The
    attribute `parts` contains the part of each prompt, and `logits` the logits of the first parts of the members for
    the prompts that each member was not trained on: (prompts, models).
    """

    verifier: Verifier
    members: tuple[Verifier, ...]
    parts: NDArray[np.intp]
    logits: Array
    judged: Judged

    def probabilities(self, seen: NDArray[np.bool_]) -> Array:
        """Returns the cross-fitted probability that each answer is good: (prompts, models).

        The argument `seen` is that of `Judged.compared`. An answer that is compared with no other answer is judged
        alone.
        """
        numbers = self.judged.compared(self.logits, seen)
        logits = np.zeros(self.logits.shape)
        for part, member in enumerate(self.members):
            logits[self.parts == part] = member.compared.logits(numbers[self.parts == part])
        others = seen & self.judged.present[:, None, :] & ~np.eye(seen.shape[-1], dtype=bool)
        return probability(np.where(others.any(axis=-1), logits, self.logits))

    def about(self) -> dict[str, Any]:
        """Returns what the manifest of an artefact says about the training.

        The cross-fitted figures are those of single answers, and those after a comparison with all other answers.
        """
        present, models = self.judged.present, self.judged.present.shape[1]
        sets = {"alone": np.zeros((1, models, models), bool), "compared": np.ones((1, models, models), bool)}
        figures = {name: self._figures(self.probabilities(seen)) for name, seen in sets.items()}
        return {"prompts": len(self.parts), "answers": int(present.sum()), "cross_fitted": figures}

    def _figures(self, predicted: Array) -> dict[str, float | None]:
        rows = self.judged.present
        area = auroc(predicted[rows], self.judged.scores[rows])
        error = brier(predicted[rows], self.judged.scores[rows])
        return {"auroc_pooled": None if area is None else round(area, 4), "brier": round(error, 4)}


def train_verifier(table: Table, fitted: Fitted | FirstStage, seed: int) -> FittedVerifier | None:
    """Returns a verifier for the answers of the table that a predictor was trained on.

    Returns None if the table has answers with scores for fewer than 100 prompts.
    """
    known = table.answered()
    rows, columns = [np.where(known.any(axis=axis))[0] for axis in (1, 0)]
    if len(rows) < MIN_PROMPTS:
        return None
    answered = table.columns([table.models[at] for at in columns]).rows(rows)
    tokens = expected_tokens(answered, fitted.predictor, columns)
    judged = read_answers(answered, fitted.qualities[np.ix_(rows, columns)], fitted.mean_qualities[columns], tokens)
    return fit_verifier(answered, judged, seed)


def expected_tokens(table: Table, predictor: Predictor, targets: NDArray[np.intp]) -> Array:
    """Returns the expected number of output tokens for each prompt and each target: (prompts, targets)."""
    _, features = predictor.scaler.standardised(raw_inputs(table, predictor.embedding))
    return np.stack([predictor.lengths.output_tokens(row, targets) for row in features]).astype(np.float64)


def read_answers(table: Table, qualities: Array, strengths: Array, output_tokens: Array) -> Judged:
    """Returns the answers of a table, which must have answers, in the form that the verifier reads.

    The arguments `qualities` and `output_tokens` contain what was expected of each answer, and `strengths` contains the
    mean quality of each model.
    """
    assert table.answers is not None  # noqa: S101 (tells the type checker what the docstring says)
    shape = table.scores.shape
    present = table.answered()
    numbers = np.zeros((*shape, len(ALONE_NAMES) + WORDS), np.float32)
    same, comparable, similar = [np.zeros((*shape, shape[1]), kind) for kind in (bool, bool, np.float64)]
    for at, prompt in enumerate(table.prompts):
        models = np.where(present[at])[0]
        if not models.size:
            continue
        question = question_of(prompt.text)
        readings = [read_answer(question, table.answers[at, model]) for model in models]
        expected = [Expected(qualities[at, m], strengths[m], output_tokens[at, m]) for m in models]
        numbers[at, models] = _numbers(readings, expected)
        pairs, places = agreement(readings), np.ix_(np.array([at]), models, models)
        same[places], comparable[places], similar[places] = pairs.same, pairs.comparable, pairs.similar
    return Judged(present, table.scores, qualities, numbers, Agreement(same, comparable, similar))


def _numbers(readings: Sequence[Reading], expected: Sequence[Expected]) -> NDArray[np.float32]:
    return np.stack([alone_numbers(Answer(*pair)) for pair in zip(readings, expected, strict=True)])


def fit_verifier(table: Table, judged: Judged, seed: int) -> FittedVerifier:
    """Returns the verifier for the answers of a table. The same seed gives the same verifier."""
    parts = np.array([_part_of(prompt.key, seed) for prompt in table.prompts])
    every = np.ones(len(parts), bool)
    alone = [_fit_alone(judged, parts != part) for part in range(PARTS)]
    logits = np.zeros(judged.scores.shape)
    for part, member in enumerate(alone):
        logits[parts == part] = member.logits(judged.numbers[parts == part])
    calibrated = [_calibrated(member, judged, logits, parts != part) for part, member in enumerate(alone)]
    whole = _calibrated(_fit_alone(judged, every), judged, logits, every)
    for part, member in enumerate(calibrated):
        logits[parts == part] = member.logits(judged.numbers[parts == part])
    seen = _random_sets(judged.present, seed)
    members = [Verifier(calibrated[m], _fit_compared(judged, logits, seen, parts != m)) for m in range(PARTS)]
    verifier = Verifier(whole, _fit_compared(judged, logits, seen, every))
    return FittedVerifier(verifier, tuple(members), parts, logits, judged)


def _part_of(key: str, seed: int) -> int:
    return int(hashlib.sha256(f"verifier/{seed}/{key}".encode()).hexdigest(), 16) % PARTS


def _fit_alone(judged: Judged, prompts: NDArray[np.bool_]) -> Logistic:
    rows = judged.present & prompts[:, None]
    penalties = np.concatenate([np.full(len(ALONE_NAMES), _PENALTY), np.full(WORDS, _WORD_PENALTY)])
    return fit_logistic(judged.numbers[rows], judged.scores[rows], penalties)


def _calibrated(member: Logistic, judged: Judged, logits: Array, prompts: NDArray[np.bool_]) -> Logistic:
    """Returns a regression whose logits are scaled so that the cross-fitted logits are calibrated on some prompts."""
    rows = judged.present & prompts[:, None]
    fitted = fit_logistic(logits[rows][:, None], judged.scores[rows], np.zeros(1))
    deviation = float(fitted.deviations[0])
    slope = float(fitted.weights[0]) / deviation if deviation else 0.0
    bias = fitted.bias - slope * float(fitted.means[0])
    return replace(member, weights=member.weights * np.float32(slope), bias=member.bias * slope + bias)


def _fit_compared(judged: Judged, logits: Array, seen: NDArray[np.bool_], prompts: NDArray[np.bool_]) -> Logistic:
    rows = judged.present & prompts[:, None]
    numbers = np.concatenate([judged.compared(logits, each)[rows] for each in seen])
    penalties = np.full(len(COMPARED_NAMES), _COMPARED_PENALTY)
    return fit_logistic(numbers, np.tile(judged.scores[rows], len(seen)), penalties)


def _random_sets(present: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Returns which other answers each answer is compared with, for several random draws: (draws, prompts, i, j)."""
    random = np.random.default_rng(seed)
    prompts, models = present.shape
    shape = (_SETS, prompts, models, models)
    order = random.random(shape) + 2 * (~present[:, None, :] | np.eye(models, dtype=bool))
    sizes = random.integers(1, min(_MAX_OTHERS, max(models - 1, 1)) + 1, (_SETS, prompts, models, 1))
    drawn: NDArray[np.bool_] = order.argsort(axis=-1).argsort(axis=-1) < sizes
    return drawn


def verifier_of(table: Table, fitted: Fitted, base: Artefact | None, seed: int) -> KeptVerifier | None:
    """Returns the verifier of a new artefact: one for the table's answers, else the verifier of the artefact's base."""
    trained = train_verifier(table, fitted, seed)
    if trained is not None:
        return KeptVerifier(trained.verifier, trained.about())
    if base is not None and base.verifier is not None:
        return KeptVerifier(base.verifier, base.manifest["verifier"])
    return None
