"""Writes complete answers with the request's model name, affinity in tool call ids, and the field `router_metadata`."""

from __future__ import annotations

from typing import Any

from ...conversation.answer import Answer
from ...conversation.request import Request
from ...encoding import encode
from .affinity import put_on


def write_answer(answer: Answer, request: Request, target: str | None, metadata: dict[str, Any]) -> bytes:
    """Returns the response body for a complete answer.

    The parameter `target` is the name of the target that answered, or None if the router model answered. The parameter
    `metadata` is the value of the answer's field `router_metadata`.
    """
    fields: dict[str, Any] = dict(answer.fields)
    fields["model"] = request.model
    if target and [choice for choice in answer.choices if choice.message and choice.message.tool_calls]:
        fields["choices"] = put_on(fields["choices"], target)
    fields["router_metadata"] = metadata
    return encode(fields)
