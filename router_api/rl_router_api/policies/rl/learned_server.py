"""Describes a decision to a router model whose server decides by a learned policy, and reads the server's reasons."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ...conversation.answer import Answer
from ...conversation.request import Request
from ...routing.decide import Candidate, Limits, PastCall, PolicySetup


def is_available() -> bool:
    """Returns whether the libraries are installed that a description of a decision needs."""
    return find_spec("numpy") is not None


def situation_of(
    conversation: Request,
    candidates: Sequence[Candidate],
    limits: Limits,
    calls: Sequence[PastCall],
    setup: PolicySetup,
) -> bytes:
    """Returns the field `rl_router` of a request to the router model, as JSON."""
    # The policy `learned`, which the same process may use later, must not use the threads of numpy's linear algebra.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # These modules import numpy, which uses 20 MB. Most router models do not need the field.
    from rl_router_policy.wire import as_json

    from .. import situation

    routing = setup.routing
    # No artefact can be proven yet.
    verdict: Literal["unproven", "off"] = "unproven" if routing.guard else "off"
    terms = situation.Terms(setup.unit, float(routing.second_price), verdict, routing.fallback)
    return msgspec.json.encode(as_json(situation.situation_of(conversation, candidates, limits, calls, terms)))


class _Estimate(Struct):
    tool: str
    quality: float
    preference: float
    cost: float | None = None


class _Reasons(Struct):
    artefact: str
    reason: str
    candidates: list[_Estimate] = []


def explanation_of(answer: Answer, functions: dict[str, str]) -> dict[str, Any] | None:
    """Returns the reasons in an answer of the router model, or None if the answer contains none.

    The keys of `functions` are the names of tools, and the values are the names of targets.
    """
    field = answer.fields.get("rl_router")
    if field is None:
        return None
    try:
        reasons = msgspec.json.decode(field, type=_Reasons)
    except (msgspec.DecodeError, RecursionError):
        return None
    known = [each for each in reasons.candidates if each.tool in functions]
    candidates = [
        {"target": functions[each.tool], "quality": each.quality, "preference": each.preference, "cost": each.cost}
        for each in known
    ]
    return {"policy": "rl", "artefact": reasons.artefact, "reason": reasons.reason, "candidates": candidates}
