"""The verifier: estimates the probability that a completed answer is good.

The part `alone` of the verifier reads the prompt, what the predictor expected of the target, and the answer. If several
targets answered, the part `compared` also compares the answers with each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log1p

import numpy as np

from .agreement import NAMES as COMPARED_NAMES
from .agreement import agreement, compared_numbers
from .features import TEXT_NAMES
from .logistic import LIMIT, Logistic, Numbers, logistic_from, logit, probability
from .network import Array
from .reading import FORM_NAMES, WORDS, Reading

FORMAT = 1
"""The version of the numbers that the verifier reads. The manifest of an artefact contains the version."""
_CHARACTERS_PER_TOKEN = 4
_EXPECTED_NAMES = (
    "quality", "length", "strength", "quality_length", "strength_length", "strength_quality", "square_length",
    "square_quality",
)  # fmt: skip
ALONE_NAMES = (*_EXPECTED_NAMES, *FORM_NAMES, *TEXT_NAMES)
"""The names of the first numbers that the part `alone` reads. One number for each group of words follows."""
ALONE_INPUTS = len(ALONE_NAMES) + WORDS


@dataclass(frozen=True)
class Expected:
    """What the policy expected of a target's answer before the target answered.

    The attribute `quality` is the predicted probability of a good answer, `strength` is the target's mean quality over
    the training prompts, and `output_tokens` is the predicted length of the answer in tokens.
    """

    quality: float
    strength: float
    output_tokens: float


@dataclass(frozen=True)
class Answer:
    """A completed answer."""

    reading: Reading
    expected: Expected


@dataclass(frozen=True)
class Verifier:
    """A trained verifier. The part `alone` judges single answers, and the part `compared` judges several answers."""

    alone: Logistic
    compared: Logistic

    def probabilities(self, answers: Sequence[Answer]) -> Numbers:
        """Returns the probability that each answer to a prompt is good. Compares the answers if there are several."""
        if not answers:
            return np.zeros(0)
        logits = self.alone.logits(np.stack([alone_numbers(answer) for answer in answers]))
        if len(answers) > 1:
            qualities = np.array([answer.expected.quality for answer in answers])
            pairs = agreement([answer.reading for answer in answers])
            seen = np.ones((len(answers), len(answers)), bool)
            logits = self.compared.logits(compared_numbers(bounded(logits), qualities, pairs, seen))
        return probability(logits)

    def tensors(self) -> dict[str, Array]:
        """Returns the tensors of both parts by their names in an artefact's file."""
        return {**self.alone.tensors("alone"), **self.compared.tensors("compared")}


def verifier_from(tensors: Mapping[str, Array]) -> Verifier:
    """Returns the verifier that an artefact's file contains.

    Raises KeyError if a tensor is missing, and ValueError if a tensor has a wrong shape or a number that is not finite.
    """
    alone = logistic_from(tensors, "alone", ALONE_INPUTS)
    return Verifier(alone, logistic_from(tensors, "compared", len(COMPARED_NAMES)))


def bounded(logits: Numbers) -> Numbers:
    """Returns logits of the part `alone`, cut off at `-LIMIT` and `LIMIT` for the part `compared`."""
    limited: Numbers = np.clip(logits, -LIMIT, LIMIT)
    return limited


def alone_numbers(answer: Answer) -> Array:
    """Returns the numbers that the part `alone` reads: those in `ALONE_NAMES`, then one for each group of words."""
    reading, expected = answer.reading, answer.expected
    quality, strength = float(logit(expected.quality)), float(logit(expected.strength))
    length = log1p(reading.characters) - log1p(_CHARACTERS_PER_TOKEN * expected.output_tokens)
    products = (quality * length, strength * length, strength * quality, length * length, quality * quality)
    first = np.array([quality, length, strength, *products], np.float32)
    return np.concatenate([first, reading.form, reading.question.features, reading.words])
