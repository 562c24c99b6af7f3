"""Any JSON in a request is answered, left to the language model, or rejected with an error that names a field."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from rl_router_model.decisions.endpoint import Decisions
from rl_router_model.decisions.error import RequestError
from rl_router_model.decisions.learned_policy import NewestPolicy

from fakes.policy.artefacts import write_artefact
from fakes.policy.requests import schema, tool

TOOLS = [tool("call_alpha"), tool("select_response")]
WORDS = some.sampled_from(["user", "assistant", "tool", "c1", "call_alpha", "ok", "\ud83d", '[{"model":"a"}]', ""])
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | WORDS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def objects(*names: str) -> Any:
    """Returns objects that have some of the fields `names`, with any values."""
    return some.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES))


FUNCTIONS = objects("name", "arguments") | some.just({"name": "call_alpha"})
CALLS = some.lists(some.fixed_dictionaries({"id": VALUES, "function": FUNCTIONS}), max_size=2) | VALUES
MESSAGES = some.lists(
    some.fixed_dictionaries({"role": WORDS, "content": VALUES}, optional={"tool_calls": CALLS, "tool_call_id": VALUES}),
    max_size=4,
)
CANDIDATES = some.lists(objects("target", "price", "profile", "cost", "latency").map({"tool": "call_alpha"}.__or__))
SITUATIONS = objects("text", "value", "guard", "ranking", "context", "turns_left", "calls").flatmap(
    lambda fields: CANDIDATES.map(lambda candidates: {"version": 1, "text": "x", "candidates": candidates, **fields})
)


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Decisions:
    folder: Path = write_artefact(tmp_path_factory.mktemp("a") / "a", {"alpha": 0.6})
    return Decisions(NewestPolicy(str(folder), print))


@given(
    messages=MESSAGES | VALUES,
    offer=some.sampled_from([{"tools": TOOLS}, {"response_format": schema({"ask": ["alpha"]})}]),
    fields=objects("tool_choice", "n", "stream", "stream_options"),
    situation=some.none() | SITUATIONS | VALUES,
)
def test_a_decision_never_fails_on_odd_fields(
    decisions: Decisions, messages: Any, offer: dict[str, Any], fields: dict[str, Any], situation: Any
) -> None:
    with suppress(RequestError):
        decisions.complete({"messages": messages, **offer, **fields, "rl_router": situation}, "router")


@given(tools=VALUES, form=VALUES, inner=VALUES)
def test_an_odd_offer_is_left_to_the_language_model(decisions: Decisions, tools: Any, form: Any, inner: Any) -> None:
    forms = [
        form,
        {"type": "json_schema", "json_schema": inner},
        {"type": "json_schema", "json_schema": {"schema": inner}},
    ]
    for response_format in forms:
        with suppress(RequestError):
            decisions.complete({"messages": [], "tools": tools, "response_format": response_format}, "router")


@given(text=VALUES, questions=VALUES | some.lists(objects("choices", "name").map({"type": "choice"}.__or__)))
def test_questions_never_fail_on_odd_fields(decisions: Decisions, text: Any, questions: Any) -> None:
    with suppress(RequestError):
        decisions.answer({"input": text, "questions": questions}, "router")
