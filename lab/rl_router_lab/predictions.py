"""The predictions of an artefact for the prompts of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rl_router_policy.predictor import Predictor

from .models import Models
from .table import Array, Table


@dataclass(frozen=True)
class Predictions:
    """What a policy expects of each model for each prompt: (prompts, models). Costs are in US dollars."""

    qualities: Array
    preferences: Array
    costs: Array

    def rows(self, chosen: NDArray[np.intp]) -> Predictions:
        """Returns the predictions for some of the prompts."""
        return Predictions(self.qualities[chosen], self.preferences[chosen], self.costs[chosen])


def predictions(predictor: Predictor, table: Table, models: Models) -> Predictions:
    """Returns the predictions for the table's prompts and models."""
    known = [(name, models[name].profile) for name in table.models]
    prices = [models[name].price for name in table.models]
    rows = []
    for prompt in table.prompts:
        expected = predictor.predict(prompt.text, prompt.context, known)
        costs = [
            (prompt.input_tokens * price.input + each.output_tokens * price.output) / 1e6
            for each, price in zip(expected, prices, strict=True)
        ]
        rows.append(([each.quality for each in expected], [each.preference for each in expected], costs))
    return Predictions(*[np.array(column, np.float64) for column in zip(*rows, strict=True)])
