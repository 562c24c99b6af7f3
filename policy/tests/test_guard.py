"""The guard lets a policy serve only if evidence shows that the policy is better than each constant."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from rl_router_policy.evidence import Identity
from rl_router_policy.guard import judge, level_of, lower_bounds, prompts_needed
from rl_router_policy.situation import Price

from fakes.policy.evidence import evidence

NAMES = ("alpha", "beta")
CHEAP, DEAR = Price(1.0, 1.0), Price(10.0, 10.0)


def differences(prompts: int, *means: float, deviation: float = 0.5, seed: int = 1) -> np.ndarray:
    """Returns paired differences with exactly these means."""
    drawn = np.random.default_rng(seed).normal(0, deviation, (prompts, len(means)))
    return drawn - drawn.mean(axis=0) + means


def test_a_clear_gain_over_each_constant_is_proven() -> None:
    found = judge(differences(1000, 0.2, 0.1), NAMES, level_of(1))
    assert (found.verdict, found.weakest.constant, found.prompts) == ("proven", "beta", 1000)
    assert found.bound is not None
    assert 0 < found.bound < 0.1


def test_the_weakest_comparison_decides() -> None:
    assert judge(differences(1000, 0.2, -0.01), NAMES, level_of(1)).verdict == "unproven"


@pytest.mark.parametrize(("margin", "verdict"), [(0.02, "unproven"), (0.05, "safe")])
def test_a_policy_that_is_probably_better_serves_if_the_possible_loss_is_below_the_margin(
    margin: float, verdict: str
) -> None:
    # The standard error is 0.016, so the bound is about 0.001 - 0.031.
    assert judge(differences(1000, 0.001, 0.001), NAMES, level_of(1), margin).verdict == verdict


def test_a_policy_that_always_chooses_one_target_is_never_proven() -> None:
    same = differences(1000, 0.2, 0.2)
    same[:, 1] = 0
    assert judge(same, NAMES, level_of(1), 1.0).verdict == "unproven"


def test_few_prompts_prove_nothing() -> None:
    assert judge(np.full((29, 2), 0.5), NAMES, level_of(1)).verdict == "unproven"
    assert judge(np.full((30, 2), 0.5), NAMES, level_of(1)).verdict == "proven"


def test_each_test_on_the_same_prompts_is_stricter() -> None:
    # The gain is 2.2 standard errors: enough for the first test, and not for the second.
    small = differences(1000, 0.035, 0.035)
    assert [judge(small, NAMES, level_of(test), 0.0).verdict for test in (1, 2)] == ["proven", "unproven"]
    assert sum(level_of(test) for test in range(1, 10_000)) < 0.05


def test_after_many_tests_the_resamples_resolve_no_bound() -> None:
    found = judge(np.full((100, 2), 0.5), NAMES, level_of(22))
    assert (found.verdict, found.bound, found.missing()) == ("unproven", None, None)
    assert judge(np.full((100, 2), 0.5), NAMES, level_of(21)).verdict == "proven"


def test_the_bound_is_the_percentile_of_the_resampled_means() -> None:
    drawn = differences(400, 0.1)
    normal = 0.1 - 1.96 * 0.5 / 20
    assert lower_bounds(drawn, 0.025)[0] == pytest.approx(normal, abs=0.004)
    assert lower_bounds(drawn, 0.025)[0] == lower_bounds(drawn, 0.025)[0]
    assert lower_bounds(drawn, 1e-6)[0] == -inf


def test_the_number_of_missing_prompts_has_a_power_of_80_percent() -> None:
    needed = prompts_needed(0.05, 0.5, 0.025)
    assert needed == pytest.approx(785, abs=2)
    proven = [
        judge(np.random.default_rng(seed).normal(0.05, 0.5, (needed, 2)), NAMES, 0.025).gains[0].bound > 0
        for seed in range(60)
    ]
    assert 0.65 < np.mean(proven) < 0.95


def test_the_missing_prompts_are_unknown_if_the_policy_is_not_better_on_average() -> None:
    assert judge(differences(400, 0.1, -0.1), NAMES, level_of(1)).missing() is None
    found = judge(differences(400, 0.03, 0.1), NAMES, level_of(1))
    assert found.missing() == prompts_needed(0.03, found.gains[0].deviation, 0.025) - 400
    assert (found.missing(0.02) or 0) < (found.missing() or 0)
    assert judge(differences(400, 0.2, 0.3), NAMES, level_of(1)).missing() == 0


def routed(prompts: int = 100) -> np.ndarray:
    return np.tile([[1.0, 0.0], [0.0, 1.0]], (prompts // 2, 1))


def test_prices_change_the_choice_and_the_utility() -> None:
    scores = routed()
    sure = evidence(NAMES, scores, scores * 0.5, (CHEAP, CHEAP))
    # An answer costs 0.0002 USD at the cheap price and 0.002 USD at the dear price.
    gains = sure.differences((CHEAP, CHEAP), 0.01).mean(axis=0)
    assert gains == pytest.approx([0.5, 0.5])
    dear = sure.differences((CHEAP, DEAR), 0.001).mean(axis=0)
    assert sure.choices((CHEAP, DEAR), 0.001).tolist() == [0] * 100
    assert dear == pytest.approx([0, 1.8])
    assert sure.ranking((CHEAP, DEAR), 0.001) == ("alpha", "beta")
    assert sure.ranking((DEAR, CHEAP), 0.001) == ("beta", "alpha")


def test_without_a_value_costs_do_not_count() -> None:
    scores = routed()
    both = evidence(NAMES, scores, scores, (CHEAP, DEAR))
    assert both.differences((CHEAP, DEAR), None).mean(axis=0) == pytest.approx([0.5, 0.5])


def test_real_costs_change_in_the_ratio_of_the_prices() -> None:
    scores = np.zeros((40, 2))
    paid = evidence(NAMES, scores, scores, (CHEAP, CHEAP))
    paid.costs[:] = 0.001
    assert paid.utilities((CHEAP, DEAR), 1.0)[0] == pytest.approx([-0.001, -0.01])
    assert paid.utilities((Price(0, 0), CHEAP), 1.0)[0] == pytest.approx([0, -0.001])


def test_the_evidence_of_fewer_targets_is_about_the_choice_among_these() -> None:
    scores = np.tile([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], (50, 1))
    three = evidence(("alpha", "beta", "gamma"), scores, scores, (CHEAP,) * 3)
    two = three.only([Identity("alpha", "alpha"), Identity("beta", "beta"), Identity("gamma", "another")])
    assert two.names == NAMES
    assert two.differences((CHEAP, CHEAP), None).mean(axis=0) == pytest.approx([0.5, 0.5])
