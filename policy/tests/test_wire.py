"""The field `rl_router` of requests and responses."""

from __future__ import annotations

import json

import pytest
from rl_router_policy.errors import SituationError
from rl_router_policy.features import Context
from rl_router_policy.profile import Profile
from rl_router_policy.situation import Call, Candidate, Choice, Estimate, Price, Situation
from rl_router_policy.wire import as_json, choice_as_json, situation_from

WHOLE = Situation(
    text="What?",
    candidates=(
        Candidate("call_a", "a", "low", Price(1, 2), Profile(1, 2, 3, {"mmlu": 0.5}), 0.1, 0.2, False, "maker/a"),
        Candidate("call_b", "b"),
    ),
    value=0.01,
    second_price=0.001,
    guard="proven",
    ranking=("b", "a"),
    context=Context(1, 2, 3, 4),
    turns_left=2,
    calls=(Call("1", "call_a", "failed", "", 0.1, 2.0),),
)


@pytest.mark.parametrize("situation", [WHOLE, Situation(text="", candidates=())])
def test_a_situation_is_unchanged_after_conversion_to_json_and_back(situation: Situation) -> None:
    assert situation_from(json.loads(json.dumps(as_json(situation)))) == situation


def test_the_name_of_a_model_is_sent_only_if_it_differs_from_the_targets_name() -> None:
    described, other = as_json(WHOLE)["candidates"]
    assert described["model"] == "maker/a"
    assert "model" not in other


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "`rl_router.version` is 2"),
        ({"version": None}, "`rl_router.version` is missing. Use the version 1"),
        ({"text": 5}, "`rl_router.text` must be a string, not a number"),
        ({"value": -1}, "`rl_router.value` must be a number from 1e-15 to 1e+15, not -1"),
        ({"value": 0}, "`rl_router.value` must be a number from 1e-15 to 1e+15, not 0"),
        ({"value": True}, "`rl_router.value` must be a number"),
        ({"value": float("nan")}, "`rl_router.value` must be a number"),
        ({"second_price": 10**400}, "`rl_router.second_price` must be a number from 0 to 1e+15, not 1000"),
        ({"second_price": -1}, "`rl_router.second_price` must be a number from 0 to 1e+15, not -1"),
        ({"guard": "maybe"}, "`rl_router.guard` must be one of proven, safe, unproven, off"),
        ({"ranking": [1]}, "`rl_router.ranking` must contain only strings"),
        ({"candidates": {}}, "`rl_router.candidates` must be a list, not an object"),
        ({"candidates": [{}]}, "`rl_router.candidates[0].tool` must be a string, not null"),
        (
            {"candidates": [{"tool": "a", "target": "a", "price": 5}]},
            "`rl_router.candidates[0].price` must be an object",
        ),
        ({"context": "x"}, "`rl_router.context` must be an object"),
        ({"calls": [{"call_id": "1", "tool": "a", "status": "x"}]}, "`rl_router.calls[0].status` must be one of"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(SituationError) as error:
        situation_from(json.loads(json.dumps({**as_json(WHOLE), **change})))
    assert words in str(error.value)


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_a_field_that_is_not_an_object_is_rejected(value: object) -> None:
    with pytest.raises(SituationError, match="`rl_router` must be an object"):
        situation_from(value)


def test_a_choice_is_sent_with_the_estimates() -> None:
    choice = Choice("hash", "why", tool="call_a", challenger="call_b", candidates=(Estimate("call_a", 0.5, 0.4, None),))
    assert choice_as_json(choice) == {
        "artefact": "hash",
        "reason": "why",
        "challenger": "call_b",
        "candidates": ({"tool": "call_a", "quality": 0.5, "preference": 0.4, "cost": None},),
    }
