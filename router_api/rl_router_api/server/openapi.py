"""Adds the endpoints that call models to the OpenAPI description, because FastAPI does not serve these endpoints."""

from __future__ import annotations

from typing import Any, get_args

from fastapi import FastAPI, Response

from ..conversation.request import Prefer, Review
from ..dialects.chat.read_request import MAX_CHOICES
from ..errors import ApiError

COMPLETIONS, ROUTE = "/v1/chat/completions", "/v1/route"
_COMPLETION_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model", "messages"],
                    "description": "A chat completion request in OpenAI's format. A called target also receives fields"
                    " that this schema does not list, unless a money limit or the target's `params` remove them.",
                    "properties": {
                        "model": {"type": "string", "minLength": 1},
                        "messages": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["role"],
                                "properties": {"role": {"type": "string"}, "content": {}},
                            },
                        },
                        "stream": {"type": "boolean"},
                        "n": {"type": "integer", "minimum": 1, "maximum": MAX_CHOICES},
                        "max_completion_tokens": {"type": "integer"},
                        "router": {
                            "type": "object",
                            "description": "Routing options, which are never sent to a target.",
                            "additionalProperties": False,
                            "properties": {
                                "max_cost": {"type": "number", "minimum": 0, "description": "US dollars"},
                                "deadline_ms": {"type": "integer", "minimum": 1},
                                "models": {"type": "array", "minItems": 1, "items": {"type": "string"}},
                                "policy": {"type": "string"},
                                "max_turns": {"type": "integer", "minimum": 1},
                                "review": {"enum": get_args(Review)},
                                "prefer": {
                                    "description": "the routing goal, or the worth of a good answer in US dollars",
                                    "anyOf": [{"enum": get_args(Prefer)}, {"type": "number", "exclusiveMinimum": 0}],
                                },
                            },
                        },
                    },
                }
            }
        },
    }
}


def document_paid_endpoints(api: FastAPI) -> None:
    """Adds the endpoints that call models to the OpenAPI description.

    FastAPI then knows the paths of these endpoints, and returns HTTP status 405 for requests to these paths with a
    method other than POST.
    """

    async def not_served_here() -> Response:
        raise ApiError(500, "FastAPI does not serve this endpoint. Serve the class `App` of `server/app.py` instead.")

    decision = "Returns the routing decision for a chat completion request, without a call to a target"
    completion = "Returns a chat completion in OpenAI's format, with the field `router_metadata`"
    for path, summary in ((ROUTE, decision), (COMPLETIONS, completion)):
        api.post(path, summary=summary, operation_id=path, openapi_extra=_COMPLETION_BODY)(not_served_here)
