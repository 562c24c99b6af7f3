"""Answers requests for decisions in OpenAI's schema. Every question must be a choice among targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rl_router_policy.probabilities import probabilities
from rl_router_policy.situation import Choice, Situation
from rl_router_policy.wire import choice_as_json

from .conversation import conversation_of
from .error import RequestError
from .learned_policy import LearnedPolicy
from .offer import Offer
from .situation import FIELD, name_of, offered_situation, read_situation, stated_situation

_REMEDY = "This server answers only choices among the names of targets. Send other questions to a language model"
_MIN_CHOICES, _MAX_QUESTIONS = 2, 400
_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}
"""The usage is 0, because no language model processes the request."""


def answer(fields: Mapping[str, Any], model: str, policy: LearnedPolicy) -> dict[str, Any]:
    """Returns the body of the answer. Raises RequestError.

    The field `rl_router` of the answer describes the choice for the first question.
    """
    questions = fields.get("questions")
    if not isinstance(questions, list) or not 1 <= len(questions) <= _MAX_QUESTIONS:
        raise RequestError(f"`questions` must be a list of 1 to {_MAX_QUESTIONS} questions", "questions")
    stated = stated_situation(fields)
    offers = [_offer(question, f"questions[{at}]") for at, question in enumerate(questions)]
    situations = [_situation(fields, stated, offer, at, policy) for at, offer in enumerate(offers)]
    choices = [policy.decide(situation) for situation in situations]
    decided = zip(questions, offers, situations, choices, strict=True)
    return {
        "answers": [_answer(*each) for each in decided],
        "model": model,
        "usage": _USAGE,
        FIELD: choice_as_json(choices[0]),
    }


def _offer(question: Any, path: str) -> Offer:
    kind = question.get("type") if isinstance(question, dict) else None
    if kind != "choice":
        raise RequestError(f"`{path}.type` is {kind!r}, not 'choice'. {_REMEDY}", path)
    choices = question.get("choices")
    listed = choices if isinstance(choices, list) else ()
    values = [each.get("value") if isinstance(each, dict) else None for each in listed]
    if len(values) < _MIN_CHOICES or len(set(map(str, values))) < len(values):
        raise RequestError(f"`{path}.choices` must list at least {_MIN_CHOICES} choices with different values", path)
    names = [value for value in values if isinstance(value, str)]
    if len(names) < len(values):
        raise RequestError(f"`{path}.choices` contains a value that is not a string. {_REMEDY}", path)
    return Offer("tools", dict.fromkeys(names, ""))


def _situation(
    fields: Mapping[str, Any], stated: Situation | None, offer: Offer, at: int, policy: LearnedPolicy
) -> Situation:
    """Returns the situation of a question.

    With the field `rl_router`, raises RequestError if the field does not describe each choice. Without the field,
    raises RequestError if no choice is a known target, or if the field `input` is wrong.
    """
    path = f"questions[{at}]"
    if stated is None:
        if not any(map(policy.knows, offer.names)):
            names = ", ".join(offer.names)
            message = f"no value of `{path}.choices` is a known target ({names}). {_REMEDY}, or add `{FIELD}`"
            raise RequestError(message, path)
        return read_situation(conversation_of({"messages": _messages(fields)}), offer, policy)
    situation = offered_situation(stated, offer)
    described = [name_of(candidate, offer) for candidate in situation.candidates]
    unknown = [name for name in offer.names if name not in described]
    if unknown:
        message = f"`{path}.choices` contains `{unknown[0]}`, which `{FIELD}.candidates` does not describe"
        raise RequestError(f"{message}. Add the candidate", path)
    return situation


def _messages(fields: Mapping[str, Any]) -> Any:
    value = fields.get("input")
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        raise RequestError("`input` must be a string or a list of objects. Send a text or the messages", "input")
    return value


def _answer(question: Mapping[str, Any], offer: Offer, situation: Situation, choice: Choice) -> dict[str, Any]:
    names = {candidate.tool: name_of(candidate, offer) for candidate in situation.candidates}
    chances = probabilities(situation, choice)
    if choice.tool is None:
        return {"type": "refusal", "name": question.get("name")}
    listed: Sequence[dict[str, Any]] = [
        {"value": name, "probability": chances.get(tool, 0.0)} for tool, name in names.items()
    ]
    return {
        "type": "choice",
        "name": question.get("name"),
        "choice": names[choice.tool],
        "confidence": chances[choice.tool],
        "probabilities": listed,
    }
