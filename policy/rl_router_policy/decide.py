"""Decides which candidate to call for a situation, or which answer to select."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from .artefact import Artefact
from .constants import best_constant
from .costs import expected_cost
from .predictor import Prediction
from .profile import Profiles
from .situation import Candidate, Choice, Estimate, Situation, profile_of


@dataclass(frozen=True)
class _Option:
    """A candidate with its estimate. The attribute `utility` is what the policy maximises."""

    candidate: Candidate
    estimate: Estimate
    utility: float


def decide(artefact: Artefact, situation: Situation, catalogue: Profiles = lambda _: None) -> Choice:
    """Returns the policy's choice.

    If calls returned answers, the last answer is selected. Otherwise, the choice is a candidate without a failed call.
    The choice has neither a function nor a call id if no such candidate exists. The function `catalogue` returns the
    profile of a target without a profile in the situation, or None. Raises ArithmeticError if a prediction is not a
    finite number.
    """
    answered = [call for call in situation.calls if call.status == "ok"]
    if answered:
        return Choice(artefact.hash, "the call returned an answer", select=answered[-1].call_id)
    failed = {call.tool for call in situation.calls}
    left = [candidate for candidate in situation.candidates if candidate.tool not in failed]
    if not left:
        return Choice(artefact.hash, "every candidate's call failed, or no candidate exists")
    options = _options(artefact, situation, left, catalogue)
    best = max(sorted(options, key=lambda option: option.candidate.target), key=lambda option: option.utility)
    estimates = tuple([option.estimate for option in options])
    if situation.guard == "unproven":
        constant = best_constant(artefact, situation, left, catalogue)
        reason = f"the policy is not proven to be better than every single target, so `{constant.target}` serves"
        challenger = best.candidate.tool
        return Choice(artefact.hash, reason, tool=constant.tool, challenger=challenger, candidates=estimates)
    return Choice(artefact.hash, _reason(best, len(options)), tool=best.candidate.tool, candidates=estimates)


def _options(artefact: Artefact, situation: Situation, left: Sequence[Candidate], catalogue: Profiles) -> list[_Option]:
    known_as = artefact.targets.known_as
    known = [(known_as(each.target, each.model), profile_of(each, catalogue)) for each in left]
    predictions = artefact.predictor.predict(situation.text, situation.context, known)
    return [_option(situation, *pair) for pair in zip(left, predictions, strict=True)]


def _option(situation: Situation, candidate: Candidate, prediction: Prediction) -> _Option:
    if not isfinite(prediction.quality + prediction.preference + prediction.output_tokens):
        raise ArithmeticError(f"the prediction for the target `{candidate.target}` is not a finite number")
    cost = expected_cost(candidate, situation.input_tokens, prediction.output_tokens)
    estimate = Estimate(candidate.tool, prediction.quality, prediction.preference, cost)
    return _Option(candidate, estimate, utility(situation, candidate, estimate))


def utility(situation: Situation, candidate: Candidate, estimate: Estimate) -> float:
    """Returns what the policy maximises: preference - (cost of the call + cost of the wait) / V.

    V is `situation.value`. If V is None, only the preference counts. An unknown cost or latency counts as 0.
    """
    if situation.value is None:
        return estimate.preference
    time = (candidate.latency or 0.0) * situation.second_price
    return estimate.preference - ((estimate.cost or 0.0) + time) / situation.value


def _reason(best: _Option, count: int) -> str:
    estimate = best.estimate
    cost = "an unknown cost" if estimate.cost is None else f"{estimate.cost:.2g} USD"
    which = "the only candidate" if count == 1 else f"the best of {count} candidates"
    return f"{which}: predicted quality {estimate.quality:.2f} for {cost}"
