"""The costs of the answers in a table."""

from __future__ import annotations

import numpy as np

from .models import Models
from .table import Table


def costs_of(table: Table, models: Models, output_tokens: np.ndarray) -> np.ndarray:
    """Returns the cost of each answer in US dollars, from prices and lengths."""
    prices = [models[name].price for name in table.models]
    prompt_tokens = np.array([prompt.input_tokens for prompt in table.prompts])
    input_prices = np.array([price.input for price in prices])
    output_prices = np.array([price.output for price in prices])
    requests = np.array([price.request for price in prices])
    costs: np.ndarray = (prompt_tokens[:, None] * input_prices + output_tokens * output_prices) / 1e6 + requests
    return costs


def real_costs(table: Table, models: Models) -> np.ndarray:
    """Returns the costs of a table's answers. Prices and lengths give the costs that the table does not contain."""
    return np.where(np.isnan(table.costs), costs_of(table, models, table.output_tokens), table.costs)
