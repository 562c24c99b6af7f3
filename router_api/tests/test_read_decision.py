"""Reading decisions: which answers of the router model are decisions, and which are not."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_router_api.conversation.additions import MAX_ADVICE, Advice
from rl_router_api.conversation.answer import AnswerMessage, Function, ToolCall
from rl_router_api.policies.rl.reading import (
    UNREADABLE,
    ReadDecision,
    read_schema,
    read_tools,
    without_thoughts,
)

from fakes.testbed.json_values import json_values

CORPUS = json.loads(Path(__file__).with_name("corpus").joinpath("decisions.json").read_text())
OFFERED = {"call_alpha": "alpha", "call_gpt_5_1_mini": "gpt-5.1/mini"}
ALPHA = '{"name": "call_alpha", "arguments": {}}'
PIECES = st.sampled_from([
    "<tool_call>", "</tool_call>", "<think>", "</think>", "```json\n", "\n```", ALPHA, '{"ask":"alpha"}', "[", "]", "{",
    "}", '"', "\\", " ", "\n", "call_alpha", "select_response",
    '{"name":"select_response","arguments":{"call_id":"a"}}',
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=10), max_size=12).map("".join) | st.sampled_from(CORPUS)
JSON = json_values(non_finite=True)


def called(*calls: tuple[str | None, Any]) -> AnswerMessage:
    return AnswerMessage(tool_calls=[ToolCall(0, "x", Function(name, arguments)) for name, arguments in calls])


def tools(message: AnswerMessage | str, selectable: bool = False) -> ReadDecision:
    return read_tools(
        message if isinstance(message, AnswerMessage) else AnswerMessage(content=message),
        OFFERED,
        selectable=selectable,
    )


def schema(text: str, selectable: bool = False) -> ReadDecision:
    return read_schema(AnswerMessage(content=text), OFFERED, selectable=selectable)


def targets(read: ReadDecision) -> list[str]:
    return [call.target for call in read.calls]


def test_the_offered_functions_map_to_their_targets() -> None:
    assert OFFERED == {"call_alpha": "alpha", "call_gpt_5_1_mini": "gpt-5.1/mini"}


def test_tool_calls_are_read_in_order() -> None:
    read = tools(called(("call_gpt_5_1_mini", "{}"), ("call_alpha", '{"temperature": 0.5}')))
    assert targets(read) == ["gpt-5.1/mini", "alpha"]
    assert read.calls[1].advice == Advice(temperature=0.5)
    assert read.readable


@pytest.mark.parametrize("arguments", [None, "", "{}", {}])
def test_a_call_needs_no_arguments(arguments: object) -> None:
    assert targets(tools(called(("call_alpha", arguments)))) == ["alpha"]


@pytest.mark.parametrize("arguments", ["{", "null", "[]", '"x"', "7", [], 7, True, "{} {}"])
def test_a_call_whose_arguments_are_not_a_json_object_is_unreadable(arguments: object) -> None:
    assert tools(called(("call_alpha", arguments))) == UNREADABLE
    assert targets(tools(called(("call_alpha", arguments), ("call_gpt_5_1_mini", None)))) == ["gpt-5.1/mini"]


@pytest.mark.parametrize("name", [None, "", "call_nobody", "alpha", "CALL_ALPHA", "select_response", "__class__"])
def test_a_call_of_a_function_that_was_not_offered_is_unreadable(name: str | None) -> None:
    assert tools(called((name, '{"call_id": "call_1"}'))) == UNREADABLE


def test_a_tool_call_without_a_function_is_unreadable() -> None:
    assert not tools(AnswerMessage(tool_calls=[ToolCall()])).readable


@pytest.mark.parametrize("text", [
    ALPHA, f" {ALPHA}\n", f"[{ALPHA}]", f"```json\n{ALPHA}\n```", f"```\n{ALPHA}```", f"```json \r\n{ALPHA}\r\n```",
    f"<tool_call>{ALPHA}</tool_call>", f"<tool_call>\n{ALPHA}\n</tool_call>\n", f"<think>hm</think>{ALPHA}",
    f"<think>a</think> <think>b </think>\n<tool_call>{ALPHA}</tool_call>", f"no tag at first</think>{ALPHA}",
    '{"name": "call_alpha"}', '{"name": "call_alpha", "parameters": {}}', '{"name": "call_alpha", "arguments": "{}"}',
])  # fmt: skip
def test_calls_written_as_text_are_read(text: str) -> None:
    assert targets(tools(text)) == ["alpha"]


def test_several_calls_written_as_text_are_all_read() -> None:
    mini = '{"name": "call_gpt_5_1_mini", "arguments": {"optimized_system_prompt": "Think."}}'
    for text in (f"<tool_call>{ALPHA}</tool_call>\n<tool_call>{mini}</tool_call>", f"[{ALPHA}, {mini}]"):
        read = tools(text)
        assert targets(read) == ["alpha", "gpt-5.1/mini"]
        assert read.calls[1].advice.system_prompt == "Think."


def test_content_in_parts_is_read_as_its_text() -> None:
    assert targets(tools(AnswerMessage(content=[{"type": "text", "text": ALPHA}]))) == ["alpha"]


@pytest.mark.parametrize("text", [
    f"Sure! <tool_call>{ALPHA}</tool_call>", f"<tool_call>{ALPHA}</tool_call> Done.", f"<tool_call>{ALPHA}",
    f"{ALPHA}</tool_call>", "<tool_call></tool_call>", "<tool_call>nonsense</tool_call>", "", "   ",
    "<think>never ends", f"<think>{ALPHA}</think>",
])  # fmt: skip
def test_broken_calls_and_calls_mixed_with_text_are_unreadable(text: str) -> None:
    assert tools(text) == UNREADABLE


@pytest.mark.parametrize("text", ["Hello!", f"I would say {ALPHA}", f"{ALPHA} {ALPHA}", "[]", '{"name": 7}'])
def test_a_text_without_a_call_is_returned_as_text(text: str) -> None:
    read = tools(text)
    assert (read.readable, read.text) == (False, text)


def test_thoughts_are_removed_from_a_text() -> None:
    assert tools("<think>They greet me.</think> Hello!").text == "Hello!"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("plain", "plain"), ("<think>a</think>b", "b"), ("a</think>b</think>c", "c"), ("a<think>b", "a"),
        ("<THINK>a</THINK>b", "b"), ("<think>a<think>b</think>c<think>d", "c"), ("<think>\n\n</think>\n", ""),
    ],
)  # fmt: skip
def test_thoughts_end_at_the_last_closing_tag(text: str, left: str) -> None:
    assert without_thoughts(text) == left


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_no_thought_is_left_in_any_text(text: str) -> None:
    left = without_thoughts(text).lower()
    assert "</think>" not in left
    assert "<think>" not in left


@pytest.mark.parametrize("call_id", ["call_1", "call_alpha", "gpt-5.1/mini"])
def test_a_selection_is_read_only_if_there_is_an_answer_to_select(call_id: str) -> None:
    message = called(("select_response", json.dumps({"call_id": call_id})))
    assert tools(message, selectable=True).select == call_id
    assert tools(message) == UNREADABLE
    assert schema(json.dumps({"select": call_id}), selectable=True).select == call_id
    assert schema(json.dumps({"select": call_id})) == UNREADABLE


@pytest.mark.parametrize("arguments", ["{}", '{"call_id": 7}', '{"call_id": " "}', '{"id": "call_1"}', "[]"])
def test_a_selection_without_a_call_id_is_unreadable(arguments: str) -> None:
    assert tools(called(("select_response", arguments)), selectable=True) == UNREADABLE


def test_a_selection_takes_precedence_over_calls() -> None:
    message = called(("call_alpha", "{}"), ("select_response", '{"call_id": "call_1"}'))
    assert tools(message, selectable=True) == ReadDecision(select="call_1")


@pytest.mark.parametrize(
    "text", ['{"ask":"alpha"}', '```json\n{"ask": "alpha"}\n```', '<think>x</think>{"ask":"alpha"}']
)
def test_a_decision_by_schema_is_read(text: str) -> None:
    assert targets(schema(text)) == ["alpha"]
    assert targets(schema(text, selectable=True)) == ["alpha"]


@pytest.mark.parametrize(
    "text", ['{"ask":"nobody"}', '{"ask":"call_alpha"}', '{"ask":["alpha"]}', "[]", "alpha", "", "{}"]
)
def test_a_text_that_the_schema_does_not_allow_is_unreadable(text: str) -> None:
    assert schema(text) == UNREADABLE


@pytest.mark.parametrize("value", [-0.1, 2.1, 1e300, 10**30, True, "0.5", None, [0.5]])
def test_an_invalid_temperature_is_ignored(value: object) -> None:
    assert tools(called(("call_alpha", {"temperature": value}))).calls[0].advice == Advice()


@pytest.mark.parametrize("value", [0, 0.0, 1, 2])
def test_a_valid_temperature_is_advice(value: float) -> None:
    assert tools(called(("call_alpha", {"temperature": value}))).calls[0].advice == Advice(temperature=float(value))


@pytest.mark.parametrize("value", ["", "  \n", 7, None, ["Think."], {"x": 1}])
def test_an_empty_or_invalid_system_prompt_is_ignored(value: object) -> None:
    assert tools(called(("call_alpha", {"optimized_system_prompt": value}))).calls[0].advice == Advice()


def test_advice_is_cut_to_two_thousand_characters() -> None:
    advice = tools(called(("call_alpha", {"optimized_system_prompt": "x" * 9_000}))).calls[0].advice
    assert advice.system_prompt == "x" * MAX_ADVICE


def test_other_arguments_are_ignored() -> None:
    arguments = {"max_cost": 1e9, "model": "beta", "base_url": "http://evil", "temperature": 1}
    assert tools(called(("call_alpha", arguments))).calls[0].advice.as_arguments() == {"temperature": 1.0}


@pytest.mark.parametrize("text", [
    "<tool_call>" + " " * 20_000 + "x", "<tool_call>" + "\n" * 20_000 + "x</tool_call", "```" + "\n" * 20_000 + "x",
    "```json" + " \n" * 20_000 + "x", "<tool_call>" * 2_000, "<think>" * 20_000 + "x", "[" * 100_000, "```" * 20_000,
    "</think" * 20_000,
])  # fmt: skip
def test_endless_repetitions_are_unreadable(text: str) -> None:
    for read in (tools(text, selectable=True), schema(text, selectable=True)):
        assert not read.readable


@pytest.mark.parametrize("text", CORPUS)
def test_every_text_of_the_corpus_is_unreadable(text: str) -> None:
    assert not tools(text, selectable=True).readable
    assert not schema(text, selectable=True).readable


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.booleans())
def test_any_text_calls_only_offered_targets(text: str, selectable: bool) -> None:
    for read in (tools(text, selectable), schema(text, selectable)):
        assert set(targets(read)) <= {"alpha", "gpt-5.1/mini"}
        assert selectable or read.select is None
        assert not (read.calls and read.select)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*OFFERED, "select_response"]) | st.none() | st.text(max_size=9),
                          JSON | TEXTS | st.dictionaries(st.sampled_from(["call_id", "temperature",
                                                                         "optimized_system_prompt"]), JSON)),
                max_size=5), st.booleans())  # fmt: skip
def test_the_advice_in_any_tool_calls_is_within_its_limits(calls: Any, selectable: bool) -> None:
    read = tools(called(*calls), selectable)
    for call in read.calls:
        assert call.target in OFFERED.values()
        assert call.advice.temperature is None or 0 <= call.advice.temperature <= 2
        assert call.advice.system_prompt is None or 0 < len(call.advice.system_prompt) <= MAX_ADVICE
