"""The policy decides equally in process, behind port 8000, and in the lab: 200 recorded requests, some with answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from rl_router_lab.models import Model
from rl_router_lab.predictions import Predictions, predictions
from rl_router_lab.table import Prompt, Table
from rl_router_policy.artefact import Artefact, load_artefact
from rl_router_policy.decide import decide
from rl_router_policy.profile import Profile
from rl_router_policy.situation import Choice, Situation
from rl_router_policy.wire import choice_as_json

from fakes.policy.artefacts import EMBEDDING
from fakes.policy.requests import PRICES, RENAMED, TRAINED, UNKNOWN, completion_request, recorded
from fakes.policy.varied import write_varied_artefact
from fakes.testbed.model_server import running_model_server

REQUESTS = recorded()
MODELS = {name: Model(PRICES[name], Profile(PRICES[name].input, PRICES[name].output)) for name in TRAINED}
assert UNKNOWN.price is not None
MODELS[UNKNOWN.target] = Model(UNKNOWN.price, Profile(UNKNOWN.price.input, UNKNOWN.price.output, 8.0))
NAMES = tuple(sorted(MODELS))
COLUMNS = {**{name: at for at, name in enumerate(NAMES)}, RENAMED.target: NAMES.index("beta")}
"""The columns of the table in which the lab predicts the targets."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_varied_artefact(tmp_path_factory.mktemp("artefacts") / "varied", TRAINED)


@pytest.fixture(scope="module")
def artefact(folder: Path) -> Artefact:
    return load_artefact(folder, EMBEDDING)


@pytest.fixture(scope="module")
def choices(artefact: Artefact) -> list[Choice]:
    """What the policy decides in process."""
    return [decide(artefact, situation) for situation in REQUESTS]


@pytest.fixture(scope="module")
def port_8000(folder: Path) -> Iterator[httpx.Client]:
    with (
        running_model_server("--artefact", str(folder)) as server,
        httpx.Client(base_url=f"{server.url}/v1", trust_env=False, timeout=60) as client,
    ):
        yield client


def asked(client: httpx.Client, body: dict[str, Any]) -> httpx.Response:
    response = client.post("/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return response


def called(message: dict[str, Any]) -> tuple[str | None, str | None]:
    """Returns the called function, or the id of the selected call."""
    (call,) = message.get("tool_calls") or [None]
    if call is None:
        return None, None
    name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
    return (None, arguments["call_id"]) if name == "select_response" else (name, None)


def test_the_recorded_requests_reach_at_least_four_targets_with_and_without_the_guard(choices: list[Choice]) -> None:
    guards = {situation.guard for situation in REQUESTS}
    assert guards >= {"off", "unproven"}
    for guard in ("off", "unproven"):
        chosen = {choice.tool for choice, situation in zip(choices, REQUESTS, strict=True) if situation.guard == guard}
        assert len(chosen - {None}) >= 4
    assert sum(choice.select is not None for choice in choices) >= 10


def test_port_8000_decides_equally_by_tools(port_8000: httpx.Client, choices: list[Choice]) -> None:
    for situation, choice in zip(REQUESTS, choices, strict=True):
        answer = asked(port_8000, completion_request(situation)).json()
        assert called(answer["choices"][0]["message"]) == (choice.tool, choice.select)
        assert answer["rl_router"] == json.loads(json.dumps(choice_as_json(choice)))


def test_port_8000_decides_equally_in_streams(port_8000: httpx.Client, choices: list[Choice]) -> None:
    for situation, choice in zip(REQUESTS, choices, strict=True):
        text = asked(port_8000, completion_request(situation, stream=True)).text
        first, *_, done = [line.removeprefix("data: ") for line in text.splitlines() if line]
        assert called(json.loads(first)["choices"][0]["delta"]) == (choice.tool, choice.select)
        assert done == "[DONE]"


def test_port_8000_decides_equally_by_json_schema(port_8000: httpx.Client, choices: list[Choice]) -> None:
    for situation, choice in zip(REQUESTS, choices, strict=True):
        answer = asked(port_8000, completion_request(situation, "json_schema")).json()
        decision = json.loads(answer["choices"][0]["message"]["content"])
        target = next((each.target for each in situation.candidates if each.tool == choice.tool), None)
        assert decision == ({"ask": target} if choice.select is None else {"select": choice.select})


def test_the_lab_decides_equally(artefact: Artefact, choices: list[Choice]) -> None:
    prompts = [Prompt(str(at), each.text, each.context, "", "") for at, each in enumerate(REQUESTS)]
    unknown = np.full((len(prompts), len(NAMES)), np.nan)
    expected = predictions(artefact.predictor, Table(tuple(prompts), NAMES, unknown, unknown, unknown), MODELS)
    for at, (situation, choice) in enumerate(zip(REQUESTS, choices, strict=True)):
        if choice.select is None:
            assert (choice.challenger or choice.tool) == replayed(expected, at, situation)
            check_estimates(expected, at, choice)


def replayed(expected: Predictions, at: int, situation: Situation) -> str:
    """Returns the function of the model that the lab chooses among the candidates that have not failed."""
    failed = {call.tool for call in situation.calls}
    left = [candidate for candidate in situation.candidates if candidate.tool not in failed]
    columns = [COLUMNS[candidate.target] for candidate in left]
    weight = 1 / situation.value if situation.value else 0.0
    utilities = expected.preferences[at, columns] - weight * expected.costs[at, columns]
    return left[int(utilities.argmax())].tool


def check_estimates(expected: Predictions, at: int, choice: Choice) -> None:
    tools = {f"call_{name.replace('-', '_')}": column for name, column in COLUMNS.items()}
    for estimate in choice.candidates:
        column = tools[estimate.tool]
        lab = (expected.qualities[at, column], expected.preferences[at, column], expected.costs[at, column])
        # The lab predicts for all models at once, so the last digits may differ.
        assert list(asdict(estimate).values())[1:] == pytest.approx(lab, rel=1e-5)
