"""What the OpenAPI description says of a completion's body, which no framework reads for us."""

from __future__ import annotations

from typing import Any

COMPLETION_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model", "messages"],
                    "description": "OpenAI's chat completion request; fields that are not named here go to the target.",
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
                        "n": {"type": "integer", "minimum": 1, "maximum": 128},
                        "max_completion_tokens": {"type": "integer"},
                        "router": {
                            "type": "object",
                            "description": "What the request asks of routing; never sent to a target.",
                            "additionalProperties": False,
                            "properties": {
                                "max_cost": {"type": "number", "minimum": 0, "description": "US dollars"},
                                "deadline_ms": {"type": "integer", "minimum": 1},
                                "models": {"type": "array", "minItems": 1, "items": {"type": "string"}},
                                "policy": {"type": "string"},
                                "max_turns": {"type": "integer", "minimum": 1},
                                "review": {"enum": ["buffered", "never", "always"]},
                                "prefer": {"enum": ["cost", "balanced", "quality"]},
                            },
                        },
                    },
                }
            }
        },
    }
}
