"""Judging completed answers: alone, and by comparison with the answers of other targets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rl_router_policy.agreement import NAMES, agreement, compared_numbers
from rl_router_policy.final_answer import ToolCall
from rl_router_policy.reading import FORM_NAMES, Reading, question_of, read_answer
from rl_router_policy.verifier import Answer, Expected, verifier_from

from fakes.policy.verifiers import verifier

QUESTION = question_of("How many legs do 3 spiders have?")
RIGHT, WRONG = '{"answer": "24"}', '{"answer": "18"}'


def answer(text: str, quality: float = 0.5) -> Answer:
    return Answer(read_answer(QUESTION, text), Expected(quality, 0.5, 10.0))


def form(reading: Reading) -> dict[str, float]:
    return dict(zip(FORM_NAMES, reading.form.tolist(), strict=True))


def test_without_coefficients_every_answer_has_the_probability_one_half() -> None:
    assert verifier({}, {}).probabilities([answer(RIGHT), answer(WRONG)]).tolist() == [0.5, 0.5]


def test_no_answer_has_no_probability() -> None:
    assert verifier({}, {}).probabilities([]).size == 0


def test_a_single_answer_is_judged_without_a_comparison() -> None:
    judge = verifier({"quality": 1.0}, {"quality": -1.0})
    assert judge.probabilities([answer(RIGHT, 0.8)]).tolist() == pytest.approx([0.8])


def test_an_answer_that_others_agree_with_is_more_probable() -> None:
    judge = verifier({}, {"margin": 1.0})
    first, second, third = judge.probabilities([answer(RIGHT), answer("It is 24"), answer(WRONG)])
    assert first == second > 0.5 > third


def test_an_answer_is_the_more_probable_the_better_the_targets_that_agree() -> None:
    judge = verifier({}, {"margin": 1.0})
    weak, strong = [
        judge.probabilities([answer(RIGHT), answer(RIGHT, quality), answer(WRONG)])[0] for quality in (0.3, 0.9)
    ]
    assert strong > weak


def test_answers_without_final_answers_are_compared_by_their_words() -> None:
    texts = ["spiders have many legs", "spiders have many legs indeed", "no idea"]
    pairs = agreement([read_answer(QUESTION, text) for text in texts])
    assert not pairs.comparable.any()
    assert pairs.similar[0, 1] > 0.8 > 0.1 > pairs.similar[0, 2]


def test_an_answer_is_compared_only_with_the_answers_that_it_sees() -> None:
    pairs = agreement([read_answer(QUESTION, text) for text in (RIGHT, RIGHT, WRONG)])
    seen = np.zeros((3, 3), bool)
    seen[0, 1] = seen[1, 2] = True
    numbers = compared_numbers(np.zeros(3), np.full(3, 0.5), pairs, seen)
    found = {name: numbers[:, NAMES.index(name)].tolist() for name in ("agreeing", "opposing", "share")}
    assert found == {"agreeing": [1, 0, 0], "opposing": [0, 1, 0], "share": [0.5, -0.5, 0]}


def test_many_prompts_are_compared_at_once_as_one_by_one() -> None:
    random = np.random.default_rng(0)
    each = [agreement([read_answer(QUESTION, text) for text in texts]) for texts in ((RIGHT, WRONG), (RIGHT, RIGHT))]
    stacked = type(each[0])(*[np.stack([getattr(pairs, name) for pairs in each]) for name in vars(each[0])])
    logits, qualities, seen = random.normal(size=(2, 2)), random.random((2, 2)), np.ones((2, 2, 2), bool)
    together = compared_numbers(logits, qualities, stacked, seen)
    alone = [compared_numbers(logits[at], qualities[at], each[at], seen[at]) for at in range(2)]
    assert np.allclose(together, np.stack(alone))


def test_calls_of_tools_are_compared() -> None:
    call = [ToolCall("count", '{"legs": 8}')]
    pairs = agreement([read_answer(QUESTION, text, call) for text in ("I count.", "Let me count 3.")])
    assert pairs.same.all()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("I'm sorry, but I cannot answer that.", "refusal"),
        ('{"reasoning": "three spiders with', "cut"),
        ('{"reasoning": "3 * 8 = 24", "answer": "24"}', "is_json"),
        ('{"reasoning": "3 * 8 = 24", "answer": "24"}', "final_is_last_number"),
        ("24", "only_final"),
    ],
)
def test_the_form_of_an_answer_is_recognised(text: str, name: str) -> None:
    plain = "Each spider has 8 legs. So 3 spiders have 24 legs, which is the result that was asked for here."
    assert form(read_answer(QUESTION, text))[name] == 1
    assert form(read_answer(QUESTION, plain))[name] == (name == "final_is_last_number")


@given(st.lists(st.text(max_size=50), min_size=1, max_size=4), st.floats(0, 1), st.floats(0, 1e6))
def test_every_answer_has_a_finite_probability(texts: list[str], quality: float, tokens: float) -> None:
    judge = verifier(dict.fromkeys(FORM_NAMES, 0.1), dict.fromkeys(NAMES, 0.1))
    answers = [Answer(read_answer(question_of(texts[0]), text), Expected(quality, quality, tokens)) for text in texts]
    probabilities = judge.probabilities(answers)
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_a_saved_verifier_judges_as_before() -> None:
    judge = verifier({"quality": 0.7, "characters": -0.1}, {"share": 1.5})
    answers = [answer(RIGHT, 0.6), answer(WRONG, 0.7)]
    assert np.array_equal(verifier_from(judge.tensors()).probabilities(answers), judge.probabilities(answers))
