"""What a policy of several turns learns on tables where the best behaviour is known."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rl_router_lab.benchmark.kept_out import Settings
from rl_router_lab.benchmark.turns import several_turns
from rl_router_lab.training.cascades import Agreeing, Thresholds, tuned_agreement, tuned_thresholds
from rl_router_lab.training.turns import (
    VALUES,
    Tree,
    expected_utility,
    gradient,
    layers_of,
    myopic,
    played,
    sets_of,
    train_turns,
)
from rl_router_policy import embedding
from rl_router_policy.agreement import Agreement
from rl_router_policy.situation import Price
from rl_router_policy.turns import FIRST_NAMES, NEXT_NAMES, Answers, Outlook, Turns

from fakes.outcomes.answers import with_answers
from fakes.outcomes.world import MODELS, world

ONE_CALL = Turns(np.zeros(len(FIRST_NAMES), np.float32), np.full(len(NEXT_NAMES), -100, np.float32))
STRONG = 3


def tree(prompts: int, seed: int, prices: tuple[float, ...] = (0.05, 0.05, 0.05, 1.0)) -> Tree:
    """Returns a table in which the verifier nearly knows whether an answer is right.

    The strong model is right for 90 % of the prompts, and the cheap models for 50 to 60 %, independently of each other.
    The verifier's probability is 0.98 for a right answer and 0.02 for a wrong one.
    """
    random = np.random.default_rng(seed)
    chances = np.tile([0.6, 0.55, 0.5, 0.9], (prompts, 1))
    right = random.random(chances.shape) < chances
    sets = sets_of(4)
    probabilities = np.where(right, 0.98, 0.02)[:, None].repeat(len(sets.members), axis=1)
    same = (right[:, :, None] & right[:, None, :]) | np.eye(4, dtype=bool)
    pairs = Agreement(same[:, None], np.ones_like(same)[:, None], np.zeros(same.shape)[:, None])
    answers = Answers(np.broadcast_to(sets.members, probabilities.shape), probabilities, pairs)
    scores = right[np.arange(prompts)[:, None], answers.best()].astype(np.float64)
    costs = np.tile(prices, (prompts, 1))
    return Tree(sets, answers, chances, chances, costs, costs, scores, costs @ sets.members.T)


def utility(found: Tree, at: np.ndarray, value: float) -> float:
    rows = np.arange(len(at))
    return float((found.scores[rows, at] - found.spent[rows, at] / value).mean())


@pytest.fixture(scope="module")
def trained() -> Turns:
    return train_turns(tree(400, 1))


def test_every_set_is_reached_from_each_of_its_smaller_sets() -> None:
    sets = sets_of(6)
    assert len(sets.members) == 1 + 6 + 15 + 20
    for at, children in enumerate(sets.children):
        for model, child in enumerate(children):
            if child >= 0:
                assert set(np.where(sets.members[child])[0]) == {*np.where(sets.members[at])[0], model}
    assert (sets.children[sets.of_size(3)] == -1).all()


def test_the_gradient_equals_a_finite_difference() -> None:
    found = layers_of(tree(50, 2), 3, 5)
    start = np.random.default_rng(0).normal(0, 0.1, len(FIRST_NAMES) + len(NEXT_NAMES))
    with jax.enable_x64(True):
        layers = jax.tree.map(lambda each: each.astype(float) if each.dtype == jnp.float32 else each, found)
        for at, slope in enumerate(gradient(jnp.asarray(start), layers)):
            step = np.eye(len(start))[at] * 1e-6
            above, below = [float(expected_utility(jnp.asarray(each), layers)) for each in (start + step, start - step)]
            assert (above - below) / 2e-6 == pytest.approx(float(slope), rel=1e-3, abs=1e-5)


def test_the_expected_utility_is_that_of_the_calls_if_the_weights_leave_no_doubt() -> None:
    found = tree(200, 3)
    weights = jnp.asarray(np.concatenate([ONE_CALL.first, ONE_CALL.following]))
    expected = float(expected_utility(weights, layers_of(found, 3, 1.0)))
    assert expected == pytest.approx(utility(found, played(ONE_CALL, found, 1.0, 3), 1.0), abs=0.02)


def test_the_policy_stops_after_a_right_answer_and_asks_again_after_a_wrong_one(trained: Turns) -> None:
    new = tree(400, 4)
    calls = new.sets.members[played(trained, new, 10, 3)].sum(axis=1)
    first = new.sets.children[0][trained.first_values(new.outlook(10), 3).argmax(axis=1)]
    right = new.scores[np.arange(400), first] == 1
    assert (calls[right] == 1).mean() > 0.95
    assert (calls[~right] > 1).mean() > 0.95


def test_the_policy_is_better_than_one_call_and_than_the_weights_that_its_training_began_with(trained: Turns) -> None:
    new = tree(400, 5)
    for value in (2, 5, 10, 20):
        one, three = [utility(new, played(trained, new, value, calls), value) for calls in (1, 3)]
        assert three > one + 0.02
    first = [utility(new, played(myopic(tree(400, 1)), new, value, 3), value) for value in VALUES]
    assert np.mean([utility(new, played(trained, new, value, 3), value) for value in VALUES]) >= np.mean(first) - 0.002


def test_the_policy_makes_one_call_if_a_call_costs_more_than_a_good_answer_is_worth() -> None:
    dear = tree(400, 6, (200.0, 200.0, 200.0, 200.0))
    policy = train_turns(dear)
    assert (dear.sets.members[played(policy, dear, 100, 3)].sum(axis=1) == 1).all()


def test_with_one_call_the_policy_chooses_what_a_single_decision_chooses(trained: Turns) -> None:
    new = tree(50, 7)
    for value in VALUES:
        best = (new.preferences - new.expected / value).argmax(axis=1)
        assert (played(trained, new, value, 1) == new.sets.children[0][best]).all()


def test_a_request_is_decided_like_the_prompts_of_a_table(trained: Turns) -> None:
    new = tree(60, 8)
    for at, expected in enumerate(played(trained, new, 5, 3)):
        assert walked(trained, new, at) == set(np.where(new.sets.members[expected])[0])


def walked(policy: Turns, found: Tree, at: int) -> set[int]:
    """Returns the models that are called for a prompt, one decision after the other."""
    outlook = Outlook(found.qualities[at], found.preferences[at], found.expected[at] / 5)
    pairs = Agreement(*[getattr(found.answers.pairs, name)[at, 0] for name in ("same", "comparable", "similar")])
    position = 0
    while True:
        called = found.sets.members[position]
        answers = Answers(called, found.answers.probabilities[at, position], pairs)
        model = policy.next_call(outlook, answers, called, 3 - int(called.sum()))
        if model is None:
            return set(np.where(called)[0])
        position = int(found.sets.children[position, model])


def test_the_tuned_rules_call_the_strong_model_only_if_the_cheap_ones_fail() -> None:
    found = tree(400, 9)
    agreement, thresholds = tuned_agreement(found, [0, 1, 2], [5])[0], tuned_thresholds(found, [5])[0]
    assert agreement.order[2] == STRONG
    assert thresholds.order[0] != STRONG
    assert thresholds.first > 0.02
    outcome = thresholds.outcome(found)
    assert utility(found, played(ONE_CALL, found, 5, 3), 5) < (outcome.scores - outcome.costs / 5).mean()


def test_rules_count_the_cost_of_each_call() -> None:
    found = tree(100, 10)
    always = Thresholds((0, 1, STRONG), 1.01, 1.01).outcome(found)
    assert always.costs == pytest.approx(np.full(100, 1.1))
    agreed = Agreeing((0, 1, STRONG)).outcome(found)
    same = found.answers.pairs.same[:, 0, 0, 1]
    assert agreed.costs == pytest.approx(np.where(same, 0.1, 1.1))
    assert (agreed.scores[same] == 1).all()


def test_the_benchmark_compares_several_turns_with_one_call_on_kept_out_prompts() -> None:
    table = with_answers(world(300, 7).table, 7)
    cheap = {name: replace(model, price=Price(0.1 + at, 0.5)) for at, (name, model) in enumerate(MODELS.items())}
    settings = Settings(cheap, embedding.load(embedding.BUNDLED), lambda _: None, 1)
    figures = next(several_turns(table, [1], settings))["seeds"]["1"]
    assert {"one", "two", "three", "agreement", "thresholds", "three_minus_one"} <= set(figures)
    low, value, high = [figures["three"]["aiq_gain"][at] for at in (1, 0, 2)]
    assert low <= value <= high
    assert figures["one"]["calls_by_value"] == [1.0] * len(VALUES)
