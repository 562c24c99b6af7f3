"""The expected cost of a call to a candidate, and the costs of many answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .situation import Candidate, Price


def expected_cost(candidate: Candidate, input_tokens: float, output_tokens: float) -> float | None:
    """Returns the expected cost of a call in US dollars, or None if the candidate's price is unknown.

    If `candidate.cost` is set, it replaces the cost of the request and its input tokens.
    """
    price = candidate.price
    if price is None:
        return None
    input_cost = input_tokens * price.input / 1e6 + price.request if candidate.cost is None else candidate.cost
    return input_cost + output_tokens * price.output / 1e6


def listed_costs(prices: Sequence[Price], input_tokens: np.ndarray, output_tokens: np.ndarray) -> np.ndarray:
    """Returns the cost of each answer in US dollars, from the price of each target and from the lengths.

    The shape of `input_tokens` is (prompts). The shape of `output_tokens` and of the result is (prompts, targets).
    """
    inputs, outputs, requests = np.array([(price.input, price.output, price.request) for price in prices]).T
    costs: np.ndarray = (input_tokens[:, None] * inputs + output_tokens * outputs) / 1e6 + requests
    return costs
