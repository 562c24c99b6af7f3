"""Constants: policies that call one target for all requests. A constant serves if the guard's verdict is `unproven`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .artefact import Artefact
from .costs import expected_cost
from .profile import Profiles
from .situation import Candidate, Situation, profile_of
from .value import INPUT_TOKENS


def best_constant(
    artefact: Artefact, situation: Situation, candidates: Sequence[Candidate], catalogue: Profiles
) -> Candidate:
    """Returns the candidate to call if the guard's verdict is `unproven`.

    The argument `candidates` contains the candidates without a failed call. The result is the first of them in the
    situation's ranking. If the ranking names none of them, the result is the candidate with the highest mean utility.
    """
    by_name = {candidate.target: candidate for candidate in reversed(candidates)}
    named = next((by_name[name] for name in situation.ranking if name in by_name), None)
    if named is not None:
        return named
    in_order = sorted(candidates, key=lambda candidate: candidate.target)
    return max(in_order, key=lambda candidate: mean_utility(artefact, situation.value, candidate, catalogue))


def mean_utility(artefact: Artefact, value: float | None, candidate: Candidate, catalogue: Profiles) -> float:
    """Returns the estimated mean utility of a candidate over the training prompts, for a call with 1,000 input tokens.

    If `value` is None, costs do not count. An unknown cost counts as 0. The result does not depend on the
    text or the length of the request.
    """
    known_as = artefact.targets.known_as(candidate.target, candidate.model)
    mean = artefact.mean(known_as, profile_of(candidate, catalogue))
    # The attribute `cost` is the cost of this request's input.
    cost = expected_cost(replace(candidate, cost=None), INPUT_TOKENS, mean.output_tokens)
    return mean.quality - (cost or 0.0) / value if value else mean.quality
