"""What training learns, in a world whose best policy is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rl_router_lab.predictions import predictions
from rl_router_lab.training.adapt import adapt
from rl_router_lab.training.fit import Fitted, fit, fit_outcomes
from rl_router_policy import embedding

from fakes.outcomes.world import MODELS, World, world

EMBEDDING = embedding.load(embedding.BUNDLED)
VALUE = 0.02
"""The worth of a good answer in US dollars: about ten calls of the mean price."""


def trained(on: World, seed: int) -> Fitted:
    return fit(on.table, MODELS, EMBEDDING, seed, lambda *_: None)


def regret(fitted: Fitted, on: World) -> float:
    """Returns the regret of a trained policy on a world."""
    expected = predictions(fitted.predictor, on.table, MODELS)
    return on.regret((expected.preferences - expected.costs / VALUE).argmax(axis=1), VALUE)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_on_new_prompts_the_regret_is_at_most_a_third_of_the_best_constants(seed: int) -> None:
    new = world(600, seed + 100)
    assert regret(trained(world(1_500, seed), seed), new) <= new.constant_regret(VALUE) / 3


def test_training_learns_nothing_from_shuffled_scores() -> None:
    new = world(600, 101)
    assert regret(trained(world(1_500, 1, shuffled=True), 1), new) > new.constant_regret(VALUE) / 3


def test_the_same_seed_trains_the_same_policy() -> None:
    on = world(400, 7)
    first, second = [predictions(trained(on, 5).predictor, on.table, MODELS).preferences for _ in range(2)]
    assert np.array_equal(first, second)


def test_the_folders_of_the_tables_do_not_change_the_artefact() -> None:
    on = world(400, 7)
    fitted = []
    for first in ("a/first.jsonl", "z/first.jsonl"):
        files = [first] * 150 + ["m/second.jsonl"] * 250
        prompts = [replace(prompt, table=file) for prompt, file in zip(on.table.prompts, files, strict=True)]
        fitted.append(trained(replace(on, table=replace(on.table, prompts=tuple(prompts))), 5))
    assert fitted[0].interval == fitted[1].interval
    assert fitted[0].stages == fitted[1].stages
    assert np.array_equal(fitted[0].held_out, fitted[1].held_out)


def test_a_policy_that_is_adapted_to_one_new_model_predicts_which_prompts_the_model_answers_well() -> None:
    table, new = world(1_500, 1).table, world(600, 101)
    base = fit_outcomes(table.columns([name for name in table.models if name != "coder"]), MODELS, EMBEDDING, 1)
    adapted = adapt(base, table.rows(np.arange(60)).columns(["coder"]), MODELS, 1)
    predicted = predictions(adapted.predictor, new.table.columns(["coder"]), MODELS).qualities[:, 0]
    assert np.corrcoef(predicted, new.chances[:, new.table.models.index("coder")])[0, 1] > 0.5
