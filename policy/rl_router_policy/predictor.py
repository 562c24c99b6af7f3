"""Predicts for each candidate how good and how long the answer to a prompt would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import inputs
from .embedding import Embedding
from .features import Context
from .inputs import Scaler
from .lengths import Lengths
from .memory import Memory
from .network import Array, Network, probabilities
from .profile import Profile
from .targets import Targets


@dataclass(frozen=True)
class Prediction:
    """The predictions for a target's answer to a prompt.

    The attribute `quality` is the probability that the answer is good. The policy chooses by the
    attribute `preference`, which may also depend on the scores of similar prompts. The attribute
    `output_tokens` is the expected length.
    """

    quality: float
    preference: float
    output_tokens: float


@dataclass(frozen=True)
class Head:
    """A network with the vectors of the targets that belong to the network."""

    network: Network
    targets: Targets

    def chances(self, inputs_: Array, known: Sequence[tuple[str, Profile]]) -> Array:
        """Returns the probability of a good answer for each target."""
        vectors = np.stack([self.targets.of(name, profile) for name, profile in known])
        return probabilities(self.network.items(inputs_), vectors)


@dataclass(frozen=True)
class Predictor:
    """The parts of an artefact that predict.

    The attribute `outcomes` predicts the quality. The attribute `gradient` was trained further by policy gradient, and
    predicts the preference. If this training did not improve the choice or did not run, `gradient` is None, and
    `outcomes` predicts the preference.
    """

    embedding: Embedding
    scaler: Scaler
    outcomes: Head
    gradient: Head | None
    lengths: Lengths
    memory: Memory

    def predict(self, text: str, context: Context, known: Sequence[tuple[str, Profile]]) -> list[Prediction]:
        """Returns a prediction for each target.

        The argument `text` is the last user message, and `context` describes the rest of the conversation. The argument
        `known` contains each target's name and profile. The profile counts only if the artefact does not know the name.
        """
        if not known:
            return []
        embedding, features = self.scaler.standardised(inputs.read(text, context, self.embedding))
        numbers = inputs.network_inputs(embedding, features)
        qualities = self.outcomes.chances(numbers, known)
        preferred = self.gradient.chances(numbers, known) if self.gradient else qualities
        positions = np.array([self.outcomes.targets.position(name) for name, _ in known])
        preferences = self.memory.blended(inputs.memory_key(embedding, features), positions, preferred)
        tokens = self.lengths.output_tokens(features, positions)
        return [Prediction(*map(float, row)) for row in zip(qualities, preferences, tokens, strict=True)]
