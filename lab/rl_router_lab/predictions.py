"""The predictions of an artefact for the prompts of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rl_router_policy.predictor import Predictor

from .costs import costs_of
from .models import Models
from .table import Array, Table


@dataclass(frozen=True)
class Predictions:
    """An artefact's predictions for each prompt and model: (prompts, models). Costs are in US dollars."""

    qualities: Array
    preferences: Array
    costs: Array

    def rows(self, chosen: NDArray[np.intp]) -> Predictions:
        """Returns the predictions for the prompts at the positions `chosen`."""
        return Predictions(self.qualities[chosen], self.preferences[chosen], self.costs[chosen])


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Returns the predictions for the prompts of several parts of a table, in the order of the parts."""
    names = ("qualities", "preferences", "costs")
    return Predictions(*[np.concatenate([getattr(part, name) for part in parts]) for name in names])


def predictions(predictor: Predictor, table: Table, models: Models) -> Predictions:
    """Returns the predictions for the table's prompts and models."""
    return predictions_and_lengths(predictor, table, models)[0]


def predictions_and_lengths(predictor: Predictor, table: Table, models: Models) -> tuple[Predictions, Array]:
    """Returns the predictions, and the expected number of output tokens for each prompt and model."""
    known = [(name, models[name].profile) for name in table.models]
    rows = [predictor.predict(prompt.text, prompt.context, known) for prompt in table.prompts]
    qualities = np.array([[each.quality for each in row] for row in rows])
    preferences = np.array([[each.preference for each in row] for row in rows])
    tokens = np.array([[each.output_tokens for each in row] for row in rows])
    return Predictions(qualities, preferences, costs_of(table, models, tokens)), tokens
