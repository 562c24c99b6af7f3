"""Requests for decisions: random situations, and the requests to a router model that describe them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from rl_router_policy.features import Context
from rl_router_policy.profile import Profile
from rl_router_policy.situation import Call, Candidate, Price, Situation
from rl_router_policy.wire import as_json

TRAINED = ("alpha", "beta", "delta", "epsilon", "gamma", "zeta")
"""The names of the targets that the artefact for these requests knows."""
PRICES = {name: Price(0.1 * 2**at, 0.5 * 2**at) for at, name in enumerate(TRAINED)}
UNKNOWN = Candidate("call_new_8b", "new-8b", price=Price(0.2, 0.4), profile=Profile(parameters=8.0))
"""A candidate whose target the artefact does not know."""
RENAMED = Candidate("call_renamed", "renamed", price=PRICES["beta"], model="maker/Beta")
"""A candidate that the artefact knows as the target `beta`, by the name of the model."""
_WORDS = (
    "solve", "equation", "function", "python", "king", "war", "recipe", "butter", "contract", "court", "please", "why",
    "x = 3", "Was ist", "\n", "(A) yes", "1,024", "🙂", "{}", "proof", "translate", "the", "of", "a",
)  # fmt: skip


def recorded(count: int = 200, seed: int = 21) -> list[Situation]:
    """Returns random situations. A quarter have calls, and in half of all, the guard lets the policy choose targets."""
    draw = random.Random(seed)
    return [_situation(draw, at) for at in range(count)]


def completion_request(situation: Situation, way: str = "tools", **fields: Any) -> dict[str, Any]:
    """Returns the body of a chat completion request that offers a situation's candidates as tools or by a schema."""
    selectable = [call.call_id for call in situation.calls if call.status == "ok"]
    offer = _tools(situation, selectable) if way == "tools" else _schema(situation, selectable)
    messages = [{"role": "system", "content": "Decide."}, {"role": "user", "content": situation.text}]
    return {"messages": messages, **offer, "rl_router": as_json(situation), **fields}


def tool(name: str) -> dict[str, Any]:
    """Returns the tool definition of a function without parameters."""
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


def schema(forms: Mapping[str, list[str]], name: str = "decision") -> dict[str, Any]:
    """Returns the field `response_format` for an object that has one of the properties in `forms`."""
    objects = [
        {"type": "object", "properties": {key: {"type": "string", "enum": values}}, "required": [key]}
        for key, values in forms.items()
    ]
    whole = objects[0] if len(objects) == 1 else {"anyOf": objects}
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": whole}}


def _situation(draw: random.Random, at: int) -> Situation:
    names = sorted(draw.sample(TRAINED, draw.randint(2, len(TRAINED))))
    candidates = [Candidate(f"call_{name}", name, price=PRICES[name]) for name in names]
    if at % 5 == 0:
        candidates.append(UNKNOWN)
    if at % 7 == 0:
        candidates.append(RENAMED)
    return Situation(
        text=" ".join(draw.choices(_WORDS, k=draw.randint(1, 3_000 if at % 20 == 0 else 80))),
        candidates=tuple(candidates),
        value=draw.choice((None, 0.0001, 0.001, 0.01, 1.0)),
        guard=("off", "unproven", "proven", "unproven")[at % 4],
        ranking=tuple(draw.sample(TRAINED, at % 3)),
        context=Context(*[draw.randint(0, 9) for _ in range(4)]) if at % 2 else Context(),
        calls=_calls(draw, names) if at % 8 in (2, 3) else (),
    )


def _calls(draw: random.Random, names: list[str]) -> tuple[Call, ...]:
    """Returns a failed call to one candidate and, in half of the cases, a completed call to another candidate."""
    first, second = draw.sample(names, 2)
    failed = Call("call_1", f"call_{first}", "failed", "overloaded", 0.0, 0.5)
    answered = Call("call_2", f"call_{second}", "ok", "4", 0.001, 1.5)
    return (failed, answered) if draw.random() < 0.5 else (failed,)


def _tools(situation: Situation, selectable: list[str]) -> dict[str, Any]:
    names = [candidate.tool for candidate in situation.candidates]
    return {"tools": [tool(name) for name in [*names, *(["select_response"] if selectable else [])]]}


def _schema(situation: Situation, selectable: list[str]) -> dict[str, Any]:
    forms = {"ask": [candidate.target for candidate in situation.candidates]}
    return {"response_format": schema({**forms, **({"select": selectable} if selectable else {})})}
