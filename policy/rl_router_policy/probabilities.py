"""Expresses a choice as a probability for each candidate, for programs that expect probabilities."""

from __future__ import annotations

from math import exp

from .decide import utility
from .situation import Choice, Situation

TEMPERATURE = 0.03
"""The temperature of the softmax policy that the training by policy gradient improves. If the utilities of two
candidates differ by the temperature, the better candidate is e (2.718) times as probable as the other candidate."""


def probabilities(situation: Situation, choice: Choice) -> dict[str, float]:
    """Returns the probability of each candidate by the name of the candidate's tool.

    The chosen candidate has the highest probability. If a constant serves because the policy is not proven, the
    probability of the constant is 1. A candidate whose call failed has the probability 0. If the choice calls no
    candidate, all probabilities are 0.
    """
    chances = dict.fromkeys([candidate.tool for candidate in situation.candidates], 0.0)
    if choice.challenger is not None and choice.tool is not None:
        return {**chances, choice.tool: 1.0}
    by_tool = {candidate.tool: candidate for candidate in situation.candidates}
    utilities = {each.tool: utility(situation, by_tool[each.tool], each) for each in choice.candidates}
    best = max(utilities.values(), default=0.0)
    weights = {tool: exp((value - best) / TEMPERATURE) for tool, value in utilities.items()}
    return {**chances, **{tool: weight / sum(weights.values()) for tool, weight in weights.items()}}
