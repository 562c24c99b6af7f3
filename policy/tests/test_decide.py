"""Which candidate the policy calls, and which constant serves while the policy is not proven."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rl_router_policy.artefact import Artefact, load_artefact
from rl_router_policy.decide import decide
from rl_router_policy.profile import Profile
from rl_router_policy.situation import Call, Candidate, Price, Situation

from fakes.policy.artefacts import EMBEDDING, TOKENS, artefact, overflowing, write_artefact

CHEAP, DEAR = Price(1.0, 1.0), Price(10.0, 100.0)


@pytest.fixture
def policy(tmp_path: Path) -> Artefact:
    return artefact(tmp_path / "a", {"alpha": 0.9, "beta": 0.6, "gamma": 0.3})


def candidate(target: str, price: Price | None = CHEAP, **fields: object) -> Candidate:
    return Candidate(tool=f"call_{target}", target=target, price=price, **fields)  # type: ignore[arg-type]


def situation(*candidates: Candidate, **fields: object) -> Situation:
    return Situation(text="What is 2 + 2?", candidates=candidates, guard="off", **fields)  # type: ignore[arg-type]


def test_without_a_value_the_best_quality_is_chosen(policy: Artefact) -> None:
    choice = decide(policy, situation(candidate("beta"), candidate("alpha", DEAR)))
    assert choice.tool == "call_alpha"
    assert [round(each.quality, 3) for each in choice.candidates] == [0.6, 0.9]
    assert "0.90" in choice.reason


@pytest.mark.parametrize(("value", "tool"), [(0.01, "call_beta"), (0.1, "call_alpha")])
def test_a_better_answer_must_be_worth_its_cost(policy: Artefact, value: float, tool: str) -> None:
    # An answer of alpha costs about 0.01 USD, and is good more often by 0.3.
    assert decide(policy, situation(candidate("beta"), candidate("alpha", DEAR), value=value)).tool == tool


def test_the_cost_consists_of_the_input_and_the_expected_output(policy: Artefact) -> None:
    asked = situation(candidate("alpha", DEAR), candidate("beta", DEAR, cost=0.5), candidate("gamma", None))
    costs = [each.cost for each in decide(policy, asked).candidates]
    assert costs[0] == pytest.approx(asked.input_tokens * 10e-6 + TOKENS * 100e-6, rel=1e-4)
    assert costs[1] == pytest.approx(0.5 + TOKENS * 100e-6, rel=1e-4)
    assert costs[2] is None


def test_waiting_costs_if_seconds_have_a_price(policy: Artefact) -> None:
    slow, fast = candidate("alpha", latency=10.0), candidate("beta", latency=0.1)
    assert decide(policy, situation(slow, fast, value=1.0)).tool == "call_alpha"
    assert decide(policy, situation(slow, fast, value=1.0, second_price=0.1)).tool == "call_beta"


def test_a_prediction_that_is_not_a_number_is_an_error(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "a", {"alpha": 0.6}, tensors=overflowing(1))
    asked = replace(situation(candidate("alpha")), text="No digits.")
    broken = load_artefact(folder, EMBEDDING)
    assert decide(broken, asked).tool == "call_alpha"
    with pytest.raises(ArithmeticError, match="the target `alpha` is not a finite number"), np.errstate(all="ignore"):
        decide(broken, replace(asked, text="12"))


def test_of_equal_candidates_the_first_name_is_chosen(policy: Artefact) -> None:
    assert decide(policy, situation(candidate("zeta"), candidate("eta"))).tool == "call_eta"


def test_an_unproven_policy_only_challenges_the_first_of_the_ranking(policy: Artefact) -> None:
    asked = replace(situation(candidate("alpha"), candidate("beta")), guard="unproven", ranking=("gamma", "beta"))
    choice = decide(policy, asked)
    assert (choice.tool, choice.challenger) == ("call_beta", "call_alpha")


def test_without_a_ranking_the_constant_with_the_best_mean_serves(policy: Artefact) -> None:
    asked = replace(situation(candidate("beta"), candidate("alpha", DEAR)), guard="unproven")
    assert decide(policy, asked).tool == "call_alpha"
    assert decide(policy, replace(asked, value=0.01)).tool == "call_beta"


def test_the_constant_does_not_depend_on_the_length_of_the_request(policy: Artefact) -> None:
    short = situation(candidate("beta", cost=1e-6), candidate("alpha", Price(2.0, 2.0), cost=2e-6), value=0.01)
    long = situation(candidate("beta", cost=0.1), candidate("alpha", Price(2.0, 2.0), cost=0.2), value=0.01)
    assert [decide(policy, asked).tool for asked in (short, long)] == ["call_alpha", "call_beta"]
    constants = [decide(policy, replace(asked, guard="unproven")).tool for asked in (short, long)]
    assert constants == ["call_alpha", "call_alpha"]


def test_a_failed_candidate_is_not_called_again(policy: Artefact) -> None:
    failed = Call("1", "call_alpha", "failed")
    asked = situation(candidate("alpha"), candidate("beta"), calls=(failed,))
    assert decide(policy, asked).tool == "call_beta"
    nobody = decide(policy, situation(candidate("alpha"), calls=(failed,)))
    assert (nobody.tool, nobody.select) == (None, None)


def test_the_reason_counts_the_candidates(policy: Artefact) -> None:
    assert decide(policy, situation(candidate("beta"))).reason.startswith("the only candidate: predicted")
    assert "the best of 2 candidates" in decide(policy, situation(candidate("beta"), candidate("alpha"))).reason


def test_an_answer_is_selected(policy: Artefact) -> None:
    calls = (Call("1", "call_alpha", "failed"), Call("2", "call_beta", "ok", "4"))
    choice = decide(policy, situation(candidate("alpha"), candidate("beta"), calls=calls))
    assert (choice.tool, choice.select) == (None, "2")


@pytest.mark.parametrize(
    ("target", "model", "known_as"),
    [
        ("alpha", None, "alpha"),
        ("mine", "alpha", "alpha"),
        ("mine", "maker/alpha", "alpha"),
        ("mine", "Maker/ALPHA", "alpha"),
        ("maker/alpha", None, "alpha"),
        ("Alpha", None, "alpha"),
        ("mine", "Big/Model", "Big/Model"),
        ("mine", "big/model", "Big/Model"),
        ("mine", "router/Big/Model", "mine"),
        ("beta", "alpha", "beta"),
        ("mine", "Delta-7B", "Delta-7B"),
        ("mine", "delta-7b", "delta-7b"),
        ("mine", "DELTA-7b", "Delta-7B"),
        ("mine", "alphabet", "mine"),
        ("mine", "alpha/", "mine"),
        ("mine", "alpha/new", "mine"),
        ("alpha", "new", "alpha"),
        ("new", None, "new"),
    ],
)
def test_a_target_is_known_by_its_name_or_by_the_name_of_its_model(
    tmp_path: Path, target: str, model: str | None, known_as: str
) -> None:
    names = ("alpha", "beta", "Delta-7B", "delta-7b", "Big/Model")
    targets = artefact(tmp_path / "a", dict.fromkeys(names, 0.5)).targets
    assert targets.known_as(target, model) == known_as


def test_a_target_that_is_known_by_its_model_is_predicted_like_the_trained_target(policy: Artefact) -> None:
    renamed = candidate("mine", model="maker/Alpha")
    choice = decide(policy, situation(candidate("beta"), renamed))
    assert choice.tool == "call_mine"
    assert round(choice.candidates[1].quality, 3) == 0.9
    constant = decide(policy, replace(situation(candidate("beta"), renamed), guard="unproven"))
    assert constant.tool == "call_mine"


def test_the_catalogue_describes_an_unknown_target(policy: Artefact) -> None:
    asked = []

    def catalogue(name: str) -> Profile:
        asked.append(name)
        return Profile(1.0, 1.0, 8.0)

    decide(policy, situation(candidate("new"), candidate("known", profile=Profile())), catalogue)
    assert asked == ["new"]


def test_the_catalogue_knows_models_rather_than_targets(policy: Artefact) -> None:
    asked = []

    def catalogue(name: str) -> None:
        asked.append(name)

    decide(policy, situation(candidate("new", model="maker/new-8b")), catalogue)
    assert asked == ["maker/new-8b", "new"]
