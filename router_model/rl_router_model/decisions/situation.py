"""Builds the situation on which the policy decides, from the body of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rl_router_policy.errors import SituationError
from rl_router_policy.situation import Candidate, Situation
from rl_router_policy.wire import situation_from

from .conversation import Conversation
from .error import RequestError
from .learned_policy import LearnedPolicy
from .offer import Offer

FIELD = "rl_router"


def stated_situation(fields: Mapping[str, Any]) -> Situation | None:
    """Returns the situation that the field `rl_router` describes, or None without the field. Raises RequestError."""
    if fields.get(FIELD) is None:
        return None
    try:
        return situation_from(fields[FIELD])
    except SituationError as error:
        raise RequestError(f"{error}. Correct the field, or leave `{FIELD}` out", FIELD) from None


def offered_situation(situation: Situation, offer: Offer) -> Situation:
    """Returns the situation without the candidates and the answers that the request does not offer.

    Raises RequestError if the request offers targets, but none of them is a candidate.
    """
    candidates = tuple([candidate for candidate in situation.candidates if name_of(candidate, offer) is not None])
    if offer.names and not candidates:
        names = ", ".join(offer.names)
        message = f"`{FIELD}.candidates` has none of the offered targets. Describe at least one of {names}"
        raise RequestError(message, FIELD)
    calls = tuple([call for call in situation.calls if call.status != "ok" or offer.selects(call.call_id)])
    return replace(situation, candidates=candidates, calls=calls)


def name_of(candidate: Candidate, offer: Offer) -> str | None:
    """Returns the name by which the request offers a candidate, or None if the request does not offer it."""
    return next((name for name in (candidate.tool, candidate.target) if name in offer.names), None)


def read_situation(conversation: Conversation, offer: Offer, policy: LearnedPolicy) -> Situation:
    """Returns the situation of a request without the field `rl_router`.

    The policy counts as unproven. The candidates are the offered targets. Only the artefact and the catalogue describe
    the candidates. Costs and latencies do not count.
    """
    candidates = tuple([Candidate(tool=name, target=policy.target_of(name)) for name in offer.names])
    situation = Situation(conversation.text, candidates, context=conversation.context, calls=conversation.calls)
    return offered_situation(situation, offer)
