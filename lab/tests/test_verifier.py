"""What the verifier learns from answers, in a world in which right answers agree and wrong answers differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rl_router_lab.evaluation import auroc
from rl_router_lab.table import Table
from rl_router_lab.training.fit import FirstStage, fit_first_stage
from rl_router_lab.training.verifier import FittedVerifier, expected_tokens, read_answers, train_verifier
from rl_router_lab.training.verifier import Judged as Answers
from rl_router_policy import embedding
from rl_router_policy.logistic import probability
from rl_router_policy.reading import question_of, read_answer
from rl_router_policy.verifier import Answer, Expected

from fakes.outcomes.answers import with_answers
from fakes.outcomes.world import MODELS, world

EMBEDDING = embedding.load(embedding.BUNDLED)
TABLE = with_answers(world(400, 1).table, 1)
NEW = with_answers(world(300, 2).table, 2)


@pytest.fixture(scope="module")
def first() -> FirstStage:
    return fit_first_stage(TABLE, MODELS, EMBEDDING, 1)


@pytest.fixture(scope="module")
def fitted(first: FirstStage) -> FittedVerifier:
    return trained(TABLE, first)


def trained(table: Table, first: FirstStage) -> FittedVerifier:
    found = train_verifier(table, first, 1)
    assert found is not None
    return found


def expected(table: Table, first: FirstStage) -> tuple[np.ndarray, np.ndarray]:
    """Returns the qualities and the lengths that a predictor expects."""
    known = [(name, MODELS[name].profile) for name in table.models]
    rows = [first.predictor.predict(prompt.text, prompt.context, known) for prompt in table.prompts]
    tokens = expected_tokens(table, first.predictor, np.arange(len(table.models)))
    return np.array([[each.quality for each in row] for row in rows]), tokens


def judged(first: FirstStage, table: Table = NEW) -> Answers:
    qualities, tokens = expected(table, first)
    return read_answers(table, qualities, first.mean_qualities, tokens)


def area(predicted: np.ndarray, table: Table) -> float:
    found = auroc(predicted.ravel(), table.scores.ravel())
    assert found is not None
    return found


def test_other_answers_help_more_than_the_answer_and_the_answer_more_than_the_prompt(
    first: FirstStage, fitted: FittedVerifier
) -> None:
    answers = judged(first)
    logits = fitted.verifier.alone.logits(answers.numbers)
    seen = np.ones((1, len(NEW.models), len(NEW.models)), bool)
    compared = fitted.verifier.compared.logits(answers.compared(logits, seen))
    prompt, answer, others = [area(each, NEW) for each in (answers.qualities, logits, compared)]
    assert prompt + 0.02 < answer < others - 0.02
    assert np.abs(probability(compared) - NEW.scores).mean() < 0.3


def test_the_lab_and_the_policy_judge_equally(first: FirstStage, fitted: FittedVerifier) -> None:
    answers, table = judged(first, NEW.rows(np.arange(5))), NEW.rows(np.arange(5))
    assert table.answers is not None
    qualities, tokens = expected(table, first)
    seen = np.ones((1, len(table.models), len(table.models)), bool)
    logits = fitted.verifier.alone.logits(answers.numbers)
    together = probability(fitted.verifier.compared.logits(answers.compared(logits, seen)))
    for at, prompt in enumerate(table.prompts):
        question = question_of(prompt.text)
        each = [
            Answer(
                read_answer(question, text),
                Expected(qualities[at, model], first.mean_qualities[model], tokens[at, model]),
            )
            for model, text in enumerate(table.answers[at])
        ]
        assert np.allclose(fitted.verifier.probabilities(each), together[at], atol=1e-6)


def test_cross_fitted_probabilities_say_nothing_about_random_scores(first: FirstStage) -> None:
    random = np.random.default_rng(0)
    noise = replace(TABLE, scores=random.integers(0, 2, TABLE.scores.shape).astype(np.float64))
    unknowing = replace(first, qualities=random.random(TABLE.scores.shape))
    fitted = trained(noise, unknowing)
    seen = np.ones((1, len(TABLE.models), len(TABLE.models)), bool)
    assert area(fitted.probabilities(seen), noise) == pytest.approx(0.5, abs=0.05)


def test_an_answer_that_sees_no_other_answer_is_judged_alone(fitted: FittedVerifier) -> None:
    models = len(TABLE.models)
    alone = fitted.probabilities(np.eye(models, dtype=bool)[None])
    assert np.array_equal(alone, probability(fitted.logits))


def test_missing_answers_are_neither_judged_nor_compared(first: FirstStage) -> None:
    assert TABLE.answers is not None
    answers = TABLE.answers.copy()
    answers[:, 0] = None
    answers[:50, 1] = None
    fitted = trained(replace(TABLE, answers=answers), first)
    assert fitted.judged.present.shape == (400, 4)
    assert fitted.judged.present.sum() == 4 * 400 - 50
    assert not fitted.judged.pairs.comparable[:50, 0].any()


def test_the_same_seed_trains_the_same_verifier(first: FirstStage, fitted: FittedVerifier) -> None:
    again = trained(TABLE, first).verifier.tensors()
    assert all(np.array_equal(tensor, again[name]) for name, tensor in fitted.verifier.tensors().items())


def test_a_table_with_answers_to_few_prompts_trains_no_verifier(first: FirstStage) -> None:
    assert TABLE.answers is not None
    answers = TABLE.answers.copy()
    answers[99:] = None
    assert train_verifier(replace(TABLE, answers=answers), first, 1) is None
    assert train_verifier(replace(TABLE, answers=None), first, 1) is None


def test_the_manifest_says_how_good_the_cross_fitted_judgements_are(fitted: FittedVerifier) -> None:
    about = fitted.about()
    assert (about["prompts"], about["answers"]) == (400, 2_000)
    alone, compared = [about["cross_fitted"][name] for name in ("alone", "compared")]
    assert compared["auroc_pooled"] > alone["auroc_pooled"]
    assert compared["brier"] < alone["brier"]
