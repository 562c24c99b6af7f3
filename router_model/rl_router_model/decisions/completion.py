"""Writes a choice of the policy as a chat completion."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from rl_router_policy.situation import Choice, Situation
from rl_router_policy.wire import choice_as_json

from .offer import SELECT, Offer
from .situation import FIELD, name_of

_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
"""The usage is 0, because no language model processes the request."""
_DONE = b"data: [DONE]\n\n"


def completion(choice: Choice, situation: Situation, offer: Offer, model: str) -> dict[str, Any]:
    """Returns the body of the answer to a request without streaming.

    The answer is a tool call if the request contains tools, and otherwise a JSON object. If the policy chooses neither
    a target nor an answer, the answer is a text with the reason.
    """
    message, reason = _message(choice, situation, offer)
    answer = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": reason}
    return {**_head(model, "chat.completion"), "choices": [answer], "usage": _USAGE, FIELD: choice_as_json(choice)}


def stream(choice: Choice, situation: Situation, offer: Offer, model: str, *, usage: bool) -> bytes:
    """Returns all chunks of the answer to a request with streaming. The first chunk contains the field `rl_router`.

    If `usage` is true, the last chunk contains the usage.
    """
    message, reason = _message(choice, situation, offer)
    calls = [{"index": at, **call} for at, call in enumerate(message.get("tool_calls", ()))]
    delta = {"role": "assistant", "content": message["content"], **({"tool_calls": calls} if calls else {})}
    head = _head(model, "chat.completion.chunk")
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [_change(delta, None)], FIELD: choice_as_json(choice)},
        {**head, "choices": [_change({}, reason)]},
    ]
    if usage:
        chunks.append({**head, "choices": [], "usage": _USAGE})
    return b"".join([f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]) + _DONE


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()), "model": model}


def _change(delta: Mapping[str, Any], reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _message(choice: Choice, situation: Situation, offer: Offer) -> tuple[dict[str, Any], str]:
    """Returns the content of the answer, the tool calls if there are any, and the finish reason."""
    candidate = next((each for each in situation.candidates if each.tool == choice.tool), None)
    name = None if candidate is None else name_of(candidate, offer)
    if name is None and choice.select is None:
        return {"content": choice.reason}, "stop"
    if offer.way == "json_schema":
        decision = {"select": choice.select} if name is None else {offer.names[name]: name}
        return {"content": json.dumps(decision, ensure_ascii=False, separators=(",", ":"))}, "stop"
    arguments = {"call_id": choice.select} if name is None else {}
    function = {"name": name or SELECT, "arguments": json.dumps(arguments)}
    call = {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
    return {"content": None, "tool_calls": [call]}, "tool_calls"
