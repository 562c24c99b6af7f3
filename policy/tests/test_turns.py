"""The decision after each call: call another candidate, or stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rl_router_policy.agreement import Agreement
from rl_router_policy.turns import FIRST_NAMES, NEXT_NAMES, Answers, Outlook, Turns, first_numbers, next_numbers

OUTLOOK = Outlook(np.array([0.5, 0.6, 0.9]), np.array([0.5, 0.6, 0.9]), np.array([0.01, 0.02, 0.5]))
EQUAL = Agreement(np.eye(3, dtype=bool), np.ones((3, 3), bool), np.zeros((3, 3)))
POLICY = Turns(
    np.array([1, 0, 0], np.float32),
    np.array([name == "doubt_quality" for name in NEXT_NAMES], np.float32),
)
"""The policy trusts the verifier: it expects that another candidate is right exactly when the best answer is wrong."""


def answers(*probabilities: float | None) -> Answers:
    """Returns answers with these probabilities. None stands for a candidate without an answer."""
    known = [np.nan if each is None else each for each in probabilities]
    return Answers(np.array([each is not None for each in probabilities]), np.array(known), EQUAL)


def called(*flags: int) -> np.ndarray:
    return np.array(flags, bool)


def test_a_sure_answer_ends_the_calls() -> None:
    assert POLICY.next_call(OUTLOOK, answers(None, 0.99, None), called(0, 1, 0), 2) is None


def test_a_doubtful_answer_leads_to_the_candidate_whose_gain_is_worth_the_most() -> None:
    assert POLICY.next_call(OUTLOOK, answers(None, 0.2, None), called(0, 1, 0), 2) == 0
    cheaper = replace(OUTLOOK, prices=np.array([0.01, 0.02, 0.05]))
    assert POLICY.next_call(cheaper, answers(None, 0.2, None), called(0, 1, 0), 2) == 2


def test_without_calls_left_the_policy_stops() -> None:
    assert POLICY.next_call(OUTLOOK, answers(None, 0.01, None), called(0, 1, 0), 0) is None
    assert POLICY.next_call(OUTLOOK, answers(0.01, 0.01, 0.01), called(1, 1, 1), 2) is None


def test_a_failed_call_is_no_answer_and_is_not_repeated() -> None:
    nothing = answers(None, None, None)
    assert POLICY.next_call(OUTLOOK, nothing, called(0, 0, 0), 3) == 0
    assert POLICY.next_call(OUTLOOK, nothing, called(1, 0, 0), 2) == 1


def test_the_only_call_goes_to_the_highest_preference_minus_price() -> None:
    dear = replace(OUTLOOK, prices=np.array([0.01, 0.02, 0.1]))
    assert POLICY.next_call(dear, answers(None, None, None), called(0, 0, 0), 1) == 2


def test_the_best_answer_is_the_one_with_the_highest_probability_among_completed_answers() -> None:
    assert answers(0.3, 0.8, None).best() == 1


def test_all_numbers_are_finite_at_the_limits() -> None:
    sure = Outlook(np.array([1.0, 0.0, 1.0]), np.ones(3), np.zeros(3))
    for more in (True, False):
        numbers = next_numbers(sure, answers(1.0, 0.0, None), more)
        assert numbers.shape == (3, len(NEXT_NAMES))
        assert np.isfinite(numbers).all()
    assert first_numbers(sure).shape == (3, len(FIRST_NAMES))


@pytest.mark.parametrize("count", [1, 2])
def test_a_request_with_few_candidates_is_decided(count: int) -> None:
    few = Outlook(*[each[:count] for each in (OUTLOOK.qualities, OUTLOOK.preferences, OUTLOOK.prices)])
    nothing = Answers(np.zeros(count, bool), np.full(count, np.nan), Agreement(*[np.zeros((count, count))] * 3))
    assert POLICY.next_call(few, nothing, np.zeros(count, bool), 3) in range(count)
