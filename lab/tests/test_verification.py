"""The measures of judgements of answers, with intervals over the prompts."""

from __future__ import annotations

import numpy as np
import pytest
from rl_router_lab.evaluation import auroc, brier
from rl_router_lab.verification import KnownAnswers, calibration_figures, figure, known_answers, order_figures

RANDOM = np.random.default_rng(0)
PROMPTS, MODELS = 200, 3
CHANCES = RANDOM.random(PROMPTS * MODELS).round(2)
SCORES = (RANDOM.random(PROMPTS * MODELS) < CHANCES).astype(np.float64)


@pytest.fixture(scope="module")
def answers() -> KnownAnswers:
    places = np.repeat(np.arange(PROMPTS), MODELS) * 7
    return known_answers(SCORES, places, np.tile(np.arange(MODELS), PROMPTS))


def test_the_auroc_is_the_same_as_for_predictions(answers: KnownAnswers) -> None:
    figures = order_figures(answers, CHANCES)
    models = [auroc(CHANCES[model::MODELS], SCORES[model::MODELS]) for model in range(MODELS)]
    assert figures["auroc_pooled"][0] == pytest.approx(auroc(CHANCES, SCORES))
    assert figures["auroc_within"][0] == pytest.approx(np.mean([each for each in models if each is not None]))


def test_small_groups_have_no_auroc(answers: KnownAnswers) -> None:
    few = np.where(np.arange(len(SCORES)) < 40, 5, answers.groups)
    grouped = KnownAnswers(SCORES, answers.prompts, few, answers.counts)
    rows = [few == model for model in range(MODELS)]
    expected = np.mean([auroc(CHANCES[each], SCORES[each]) or 0 for each in rows])
    assert order_figures(grouped, CHANCES)["auroc_within"][0] == pytest.approx(expected)


def test_true_chances_are_calibrated_and_extreme_ones_are_not(answers: KnownAnswers) -> None:
    true, extreme = [calibration_figures(answers, chances) for chances in (CHANCES, CHANCES.round())]
    assert true["brier"][0] == pytest.approx(brier(CHANCES, SCORES))
    assert true["calibration_error"][0] < 0.1 < 0.2 < extreme["calibration_error"][0]


def test_an_interval_contains_the_value(answers: KnownAnswers) -> None:
    found = figure(order_figures(answers, CHANCES)["auroc_pooled"])
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    assert found.low < found.value < found.high < found.low + 0.1


def test_equal_judgements_differ_by_nothing_in_every_resample(answers: KnownAnswers) -> None:
    one, other = [order_figures(answers, chances)["auroc_pooled"] for chances in (CHANCES, CHANCES / 2)]
    assert figure(one - other).as_json() == [0, 0, 0]
