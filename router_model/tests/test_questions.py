"""Choices among targets are answered in OpenAI's schema of decisions, and all other questions are a 400."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rl_router_model.decisions.error import RequestError
from rl_router_model.decisions.learned_policy import LearnedPolicy, NewestPolicy
from rl_router_model.decisions.questions import answer
from rl_router_policy.situation import Call, Candidate, Situation
from rl_router_policy.wire import as_json as fields_of

from fakes.policy.artefacts import write_artefact

CANDIDATES = (Candidate("call_alpha", "alpha"), Candidate("call_beta", "beta"))


def as_json(situation: Situation) -> Any:
    """Returns the field `rl_router` as a server reads it."""
    return json.loads(json.dumps(fields_of(situation)))


SITUATION = Situation("Why?", CANDIDATES, guard="off")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LearnedPolicy:
    folder: Path = write_artefact(tmp_path_factory.mktemp("a") / "a", {"alpha": 0.6, "beta": 0.63})
    return NewestPolicy(str(folder), print).current


def choice(*values: Any, **fields: Any) -> dict[str, Any]:
    choices = [{"value": value} for value in values]
    return {"type": "choice", "instructions": "Which model?", "choices": choices, **fields}


def asked(policy: LearnedPolicy, *questions: Any, **fields: Any) -> dict[str, Any]:
    return answer({"input": "Why?", "questions": list(questions), **fields}, "router", policy)


@pytest.mark.parametrize("values", [("alpha", "beta"), ("call_alpha", "call_beta")])
def test_a_choice_among_candidates_has_probabilities(policy: LearnedPolicy, values: tuple[str, str]) -> None:
    response = asked(policy, choice(*values, name="model"), rl_router=as_json(SITUATION))
    (found,) = response["answers"]
    assert (found["type"], found["name"], found["choice"]) == ("choice", "model", values[1])
    chances = {each["value"]: each["probability"] for each in found["probabilities"]}
    # The qualities differ by the temperature of the policy.
    assert chances == {values[0]: pytest.approx(0.2689, abs=1e-3), values[1]: pytest.approx(0.7311, abs=1e-3)}
    assert found["confidence"] == chances[values[1]]
    assert response["model"] == "router"
    assert response["usage"]["total_tokens"] == 0
    assert "predicted quality 0.63" in response["rl_router"]["reason"]


def test_the_constant_of_an_unproven_policy_is_certain(policy: LearnedPolicy) -> None:
    (found,) = asked(policy, choice("alpha", "beta", "new-model"))["answers"]
    assert (found["choice"], found["confidence"]) == ("beta", 1.0)
    assert [each["probability"] for each in found["probabilities"]] == [0.0, 1.0, 0.0]


def test_each_question_has_its_own_choices(policy: LearnedPolicy) -> None:
    response = asked(policy, choice("alpha", "new"), choice("beta", "alpha"))
    assert [each["choice"] for each in response["answers"]] == ["alpha", "beta"]


def test_a_candidate_that_failed_is_not_chosen(policy: LearnedPolicy) -> None:
    situation = Situation("Why?", CANDIDATES, guard="off", calls=(Call("1", "call_beta", "failed"),))
    (found,) = asked(policy, choice("alpha", "beta"), rl_router=as_json(situation))["answers"]
    assert found["choice"] == "alpha"
    assert [each["probability"] for each in found["probabilities"]] == [1.0, 0.0]


def test_without_a_choice_the_question_is_refused(policy: LearnedPolicy) -> None:
    failed = tuple([Call(each.tool, each.tool, "failed") for each in CANDIDATES])
    field = as_json(Situation("Why?", CANDIDATES, calls=failed))
    assert asked(policy, choice("alpha", "beta"), rl_router=field)["answers"] == [{"type": "refusal", "name": None}]


def test_the_input_may_be_a_list_of_messages(policy: LearnedPolicy) -> None:
    messages = [{"role": "user", "content": [{"type": "input_text", "text": "Why?"}]}]
    assert asked(policy, choice("alpha", "beta"), input=messages)["answers"][0]["choice"] == "beta"


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"questions": []}, "questions", "`questions` must be a list of 1 to 400 questions"),
        ({"questions": "x"}, "questions", "`questions` must be a list of 1 to 400 questions"),
        ({"questions": [{"type": "predicate"}]}, "questions[0]", "`questions[0].type` is 'predicate', not 'choice'"),
        ({"questions": [5]}, "questions[0]", "`questions[0].type` is None, not 'choice'"),
        ({"questions": [{"type": "choice", "choices": 1}]}, "questions[0]", "at least 2 choices with different values"),
        ({"questions": [choice("alpha")]}, "questions[0]", "at least 2 choices with different values"),
        ({"questions": [choice("alpha", "alpha")]}, "questions[0]", "at least 2 choices with different values"),
        ({"questions": [choice("alpha", True)]}, "questions[0]", "contains a value that is not a string"),
        ({"questions": [choice("yes", "no")]}, "questions[0]", "is a known target (yes, no). This server answers only"),
        ({"rl_router": {"version": 3}}, "rl_router", "Use the version 1"),
        ({"questions": [choice("alpha", "x")], "rl_router": as_json(SITUATION)}, "questions[0]", "contains `x`, which"),
        ({"input": None}, "input", "`input` must be a string or a list of objects"),
        ({"input": ["Why?"]}, "input", "`input` must be a string or a list of objects"),
    ],
)
def test_anything_else_is_an_error_that_names_the_field(
    policy: LearnedPolicy, fields: dict[str, Any], param: str, words: str
) -> None:
    body = {"input": "Why?", "questions": [choice("alpha", "beta")], **fields}
    with pytest.raises(RequestError) as error:
        answer(body, "router", policy)
    assert error.value.param == param
    assert words in str(error.value)
