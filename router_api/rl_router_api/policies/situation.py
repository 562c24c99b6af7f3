"""Describes a request to the learned policy: the policy decides on a `Situation`, not on a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw
from rl_router_policy.catalogue import parameters_of
from rl_router_policy.claims import Claims
from rl_router_policy.features import Context
from rl_router_policy.profile import Profile
from rl_router_policy.situation import Call, Price, Situation
from rl_router_policy.situation import Candidate as PolicyCandidate
from rl_router_policy.text import shortened
from rl_router_policy.value import worth

from ..conversation.request import Message, Request
from ..routing.decide import Candidate, Limits, PastCall, PolicySetup
from .rulings import Rulings, rulings_of

_TOOL_ROLES = ("tool", "function")
_LIST = msgspec.json.Decoder(list[Raw] | None)


@dataclass(frozen=True)
class Terms:
    """What the configuration and the guard contribute to each situation.

    The attribute `unit` is the unit of the worth of a good answer, in US dollars (None if unknown). The attribute
    `second_price` is the price of one second in US dollars.
    """

    unit: float | None
    second_price: float
    rulings: Rulings


def terms_of(setup: PolicySetup, claims: Claims | None) -> Terms:
    """Returns what a configuration and the claims of an artefact contribute to each situation."""
    return Terms(setup.unit, float(setup.routing.second_price), rulings_of(setup, claims))


def situation_of(
    conversation: Request, candidates: Sequence[Candidate], limits: Limits, calls: Sequence[PastCall], terms: Terms
) -> Situation:
    """Returns the situation in which the policy decides about a request.

    Unless the guard is off, a policy that may serve chooses only among the targets with evidence. If none of them is a
    candidate, the policy is unproven for this request.
    """
    at = _question(conversation.messages)
    value = worth(limits.value or limits.prefer, terms.unit)
    ruling = terms.rulings.at(value)
    allowed = ruling.allowed
    known = [candidate for candidate in candidates if allowed is None or candidate.name in allowed]
    return Situation(
        text=shortened(_text(conversation.messages[at])),
        candidates=tuple([_candidate(candidate) for candidate in known or candidates]),
        value=value,
        second_price=terms.second_price,
        guard=ruling.guard.verdict if known else "unproven",
        ranking=ruling.ranking,
        context=_context(conversation, at),
        turns_left=max(limits.max_turns - limits.ledger.turns, 0),
        calls=tuple([_call(call) for call in calls]),
    )


def _question(messages: Sequence[Message]) -> int:
    """Returns the position of the last user message, or of the last message if no message is from the user."""
    return next((at for at in range(len(messages) - 1, -1, -1) if messages[at].role == "user"), len(messages) - 1)


def _text(message: Message) -> str:
    content = message.content
    if isinstance(content, list):
        return "\n".join([part.text for part in content if part.text])
    return content or ""


def _context(conversation: Request, at: int) -> Context:
    others = [message for position, message in enumerate(conversation.messages) if position != at]
    return Context(
        messages=len(others),
        characters=sum([len(_text(message)) for message in others]),
        tools=sum([_length(conversation.fields.get(name)) for name in ("tools", "functions")]),
        tool_results=sum([message.role in _TOOL_ROLES for message in others]),
    )


def _length(raw: Raw | None) -> int:
    return len(_LIST.decode(raw) or ()) if raw else 0


def _candidate(candidate: Candidate) -> PolicyCandidate:
    price, cost = candidate.price, candidate.input_cost
    return PolicyCandidate(
        tool=candidate.tool_name,
        target=candidate.name,
        price=None if price is None else Price(float(price.input), float(price.output), float(price.request)),
        profile=_profile(candidate),
        cost=None if cost is None else float(cost),
        latency=candidate.latency,
        model=None if candidate.model in ("", candidate.name) else candidate.model,
    )


def _profile(candidate: Candidate) -> Profile | None:
    """Returns the configured profile, or None if nothing is known of the target.

    If no size is configured, the size that is known for the name of the model or of the target counts.
    """
    configured = candidate.profile
    size = configured.parameters_billion if configured else None
    if size is None:
        size = parameters_of(candidate.model) or parameters_of(candidate.name)
    benchmarks = configured.benchmarks if configured else {}
    return Profile(parameters=size, benchmarks=benchmarks) if size or benchmarks else None


def _call(call: PastCall) -> Call:
    return Call(
        call_id=call.call_id,
        tool=call.function_name,
        status="ok" if call.good else "failed",
        answer=shortened(call.text),
        cost=float(call.cost),
        seconds=call.latency,
    )
