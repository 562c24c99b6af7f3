"""The costs of the answers in a table."""

from __future__ import annotations

import numpy as np
from rl_router_policy.costs import listed_costs

from .models import Models
from .table import Table


def costs_of(table: Table, models: Models, output_tokens: np.ndarray) -> np.ndarray:
    """Returns the cost of each answer in US dollars, from prices and lengths."""
    input_tokens = np.array([prompt.input_tokens for prompt in table.prompts])
    return listed_costs([models[name].price for name in table.models], input_tokens, output_tokens)


def real_costs(table: Table, models: Models) -> np.ndarray:
    """Returns the costs of a table's answers. Prices and lengths give the costs that the table does not contain."""
    return np.where(np.isnan(table.costs), costs_of(table, models, table.output_tokens), table.costs)
