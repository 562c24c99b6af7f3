"""Finding the final answer of an answer, in a form in which equal final answers are equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rl_router_policy.final_answer import NO_FINAL, Final, ToolCall, final_answer


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ('{"reasoning": "3 + 4", "answer": "7"}', "json", "7"),
        ('```json\n{"answer": 7.0}\n```', "json", "7"),
        ('{"answer": "1"} No: {"answer": "2"}', "json", "2"),
        ('{"reasoning": "a "quote" inside", "answer": "\'abc\'"}', "json", "abc"),
        ('{"answer": [1, 2]}', "json", "[1,2]"),
        ('{"answer": "\\\\frac{1}{2}"}', "json", "1/2"),
        ('{"answer": ""}', "json", "''"),
        ('{"answer": "unfinished', "json", "'unfinished"),
        ("So $x = \\boxed{\\frac{1}{2}}$.", "boxed", "1/2"),
        ("\\boxed{1,000.50}", "boxed", "1000.5"),
        ("The answer is (D).", "option", "d"),
        ("**Answer:** B", "option", "b"),
        ("(C)", "option", "c"),
        ("First 3 apples, then 12.", "number", "12"),
        ("-1,234 in the end", "number", "-1234"),
    ],
)
def test_the_final_answer_is_found(text: str, kind: str, value: str) -> None:
    found = final_answer(text)
    assert (found.kind, found.value) == (kind, value)


@pytest.mark.parametrize("text", ["", "I cannot help with that.", "The answer is a list", "\\boxed{never closed"])
def test_a_text_without_a_final_answer_has_none(text: str) -> None:
    assert final_answer(text) == NO_FINAL


def test_a_json_field_without_a_value_is_no_final_answer() -> None:
    assert final_answer('{"answer": ') == NO_FINAL


def test_calls_of_tools_are_the_final_answer_in_any_order_and_with_any_spaces() -> None:
    one = [ToolCall("find", '{"a": 1, "b": 2}'), ToolCall("add", "{}")]
    other = [ToolCall("add", "{ }"), ToolCall("find", '{"b":2,"a":1}')]
    assert final_answer("I look it up: 7", one) == final_answer("", other)
    assert final_answer("", one) != final_answer("", one[:1])


def test_arguments_that_are_not_json_are_compared_as_text() -> None:
    assert final_answer("", [ToolCall("find", "{a: 1")]) == Final("tools", "find {a:1")


@given(st.text() | st.text(alphabet='{}[]"\\answer:boxed 10.,-'))
def test_every_text_can_be_read(text: str) -> None:
    found = final_answer(text)
    assert (found.kind == "none") == (not found.value)
