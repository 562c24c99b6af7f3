"""The features of a prompt describe the form of its text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rl_router_policy import features
from rl_router_policy.text import MAX_PART, normalised, shortened


def feature(text: str, name: str) -> float:
    return float(features.of_text(text)[features.TEXT_NAMES.index(name)])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("operators", "3 * (4 + 5) = 27"),
        ("brackets", "{'a': [1, 2]}; `x`"),
        ("formulas", r"$\frac{1}{2}$"),
        ("questions", "Why? How?"),
        ("options", "Which?\nA. one\nB) two\n(C) three"),
        ("other_scripts", "日本語"),
        ("numbers", "1 22 333"),
        ("code_words", "def f(): return 1"),
        ("digits", "2024"),
        ("capitals", "NASA"),
    ],
)
def test_a_feature_is_positive_for_texts_of_its_kind_only(name: str, text: str) -> None:
    assert feature(text, name) > 0
    assert feature("a plain sentence about nothing", name) == 0


@given(st.text())
def test_every_text_has_finite_features(text: str) -> None:
    vector = features.of_text(text)
    assert vector.shape == (len(features.TEXT_NAMES),)
    assert np.isfinite(vector).all()


def test_what_came_before_the_message_is_counted() -> None:
    nothing, much = features.of_context(features.NO_CONTEXT), features.of_context(features.Context(2, 100, 3, 1))
    assert nothing.tolist() == [0, 0, 0, 0]
    assert (much > nothing).all()


def test_a_long_text_is_shortened_to_its_beginning_and_its_end() -> None:
    assert shortened("a" * 2 * MAX_PART) == "a" * 2 * MAX_PART
    assert shortened("a" * MAX_PART + "b" * 10_000 + "c" * MAX_PART) == "a" * MAX_PART + "\n" + "c" * MAX_PART


def test_prompts_that_differ_in_case_and_spaces_are_the_same_prompt() -> None:
    assert normalised("  What\n is  THIS? ") == normalised("what is this?")
    assert normalised("cafe\u0301") == normalised("caf\u00e9")


def test_half_of_an_emoji_becomes_a_question_mark() -> None:
    assert shortened("a \ud83d b") == normalised("a \ud83d b") == "a ? b"
