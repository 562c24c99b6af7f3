"""Writes the request body for a target: the client's fields, with the few changes that the router makes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from ...config import History, Params, Target
from ...conversation.additions import NO_ADVICE, Advice, MoneyGuard
from ...conversation.raw import LIST, OBJECT, OBJECTS, encoded
from ...conversation.request import Request
from ..upstream_dialect import Payload
from .affinity import take_off
from .fields import OUTPUT_LIMITS
from .free_fields import drop_costly_fields
from .history import adapt, history_for, is_affected

_ADVICE = "optimized_system_prompt"
_CACHE_OPTIONS = "prompt_cache_options"
_LONG_LIFETIME = b'"12h"'
"""The longer lifetime (`ttl`) that a request can choose for OpenAI's prompt cache, as JSON."""


def write_request(
    request: Request,
    target: Target,
    advice: Advice,
    guard: MoneyGuard | None = None,
    *,
    without: Collection[str] = (),
    family: Collection[str] = (),
) -> Payload:
    """Returns the request body for a target.

    The parameter `guard` contains the rules of a money limit, or is None if the request has no money limit. The
    parameter `without` contains the names of the additions that the body must not contain, because the target may
    refuse these additions, and `FOREIGN_HISTORY` if the target refuses the answers of other models. The parameter
    `family` contains the affinities (hashes of the names) of all targets in the signing family of the called target.
    """
    fields: dict[str, Any] = {"model": target.upstream_model, **request.fields}
    costly = drop_costly_fields(fields, target.params.allow) if guard else ()
    additions = _additions(request, advice, without)
    fields["messages"], removed = _messages(
        request, fields["messages"], advice if _ADVICE in additions else NO_ADVICE, history_for(target, without), family
    )
    if "temperature" in additions:
        fields["temperature"] = advice.temperature
    if guard and guard.output_limit is not None:
        _limit_output(fields, guard.output_limit)
    if "stream_options" in additions:
        fields["stream_options"] = _with_usage(request.fields.get("stream_options"))
    params = target.params
    dropped = _apply_params(fields, params) if params.rename or params.drop or params.set else []
    if guard and guard.output_limit is not None:
        # The configured `params.set` may have set a higher output limit.
        fields.update({name: _lower(fields[name], guard.output_limit) for name in OUTPUT_LIMITS if name in fields})
    return Payload(
        msgspec.json.encode(fields),
        (*costly, *removed, *[name for name in dropped if name in request.fields]),
        tuple([name for name in additions if name == _ADVICE or name in fields]) if additions else (),
        _CACHE_OPTIONS in fields and _LONG_LIFETIME in msgspec.json.encode(fields[_CACHE_OPTIONS]),
    )


def _additions(request: Request, advice: Advice, without: Collection[str]) -> list[str]:
    """Returns the names of the router's additions to a request, except the names in `without`."""
    names = []
    if advice.text and _advised_message(request) is not None:
        names.append(_ADVICE)
    if advice.temperature is not None and "temperature" not in request.fields and "top_p" not in request.fields:
        # Some models refuse a temperature beside `top_p`.
        names.append("temperature")
    if request.stream and not request.include_usage:
        names.append("stream_options")
    return [name for name in names if name not in without] if without else names


def bounds_output(request: Request, params: Params) -> bool:
    """Returns whether a request keeps an output limit and gets no more choices when a target's `params` are applied to
    the request."""
    if "n" in params.set or "n" in params.rename.values():
        return False
    our_limit: Any = object()
    fields = dict[str, Any].fromkeys(request.fields)
    _limit_output(fields, our_limit)
    _apply_params(fields, params)
    return our_limit in fields.values() or any(name in fields for name in OUTPUT_LIMITS)


def _limit_output(fields: dict[str, Any], limit: int) -> None:
    """Sets the output limit in every field of the request that is in `OUTPUT_LIMITS`.

    The target may read any of these fields. The function also sets the field `max_tokens` if the request does not have
    the field `max_completion_tokens`.
    """
    if "max_completion_tokens" not in fields:
        fields["max_tokens"] = limit
    fields.update({name: limit for name in OUTPUT_LIMITS if name in fields})


def _lower(value: Any, limit: int) -> int:
    return min(value, limit) if isinstance(value, int) and value > 0 else limit


def _with_usage(raw: Raw | None) -> dict[str, Any]:
    options = {} if raw is None or _is_null(raw) else OBJECT.decode(raw)
    return {**options, "include_usage": True}


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, Raw) and bytes(value).strip() == b"null")


def _apply_params(fields: dict[str, Any], params: Params) -> list[str]:
    dropped = []
    for old, new in params.rename.items():
        if old in fields:
            value = fields.pop(old)
            if _is_null(fields.get(new)):
                fields[new] = value
            else:
                dropped.append(old)
    dropped += [name for name in params.drop if fields.pop(name, None) is not None]
    fields.update(params.set)
    return dropped


def _messages(
    request: Request, raw: Raw, advice: Advice, history: History | None, family: Collection[str]
) -> tuple[Any, Sequence[str]]:
    """Returns the messages for the target, and the names of the fields and parts that were removed from them."""
    text = advice.text
    if history is not None and not is_affected(request, raw, history):
        history = None
    if not text and not request.may_hold_affinity and history is None:
        return raw, ()
    messages, removed = OBJECTS.decode(raw), list[str]()
    if history is not None:
        removed = adapt(request, messages, history, family)
    elif request.may_hold_affinity:
        for message in messages:
            take_off(message)
    place = _advised_message(request) if text else None
    if text and place is not None:
        message = messages[place]
        message["content"] = _with_text(request.messages[place].content, message.get("content"), text)
    return messages, removed


def _advised_message(request: Request) -> int | None:
    """Returns the position of the newest user message, to which the router adds the policy's advice.

    The advice does not change the messages before the newest user message, so the provider can still read these
    messages from the prompt cache. Returns None if no message has the role `user`, or if the conversation ends with a
    tool result.
    """
    if request.messages and request.messages[-1].role in ("tool", "function"):
        return None
    positions = range(len(request.messages) - 1, -1, -1)
    return next((place for place in positions if request.messages[place].role == "user"), None)


def _with_text(content: object, raw: Raw | None, text: str) -> Raw:
    if isinstance(content, list):
        return encoded([*LIST.decode(raw or b"[]"), {"type": "text", "text": text}])
    return encoded(f"{content}\n\n{text}" if content else text)
