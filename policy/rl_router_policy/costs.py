"""The expected cost of a call to a candidate."""

from __future__ import annotations

from .situation import Candidate


def expected_cost(candidate: Candidate, input_tokens: float, output_tokens: float) -> float | None:
    """Returns the expected cost of a call in US dollars, or None if the candidate's price is unknown.

    If `candidate.cost` is set, it replaces the cost of the request and its input tokens.
    """
    price = candidate.price
    if price is None:
        return None
    input_cost = input_tokens * price.input / 1e6 + price.request if candidate.cost is None else candidate.cost
    return input_cost + output_tokens * price.output / 1e6
