"""Defines the endpoint `GET /debug/tools`.

The endpoint returns the name of the configured policy, and each target's name, function name, description,
capabilities, context length and price.
If the policy has the method `explain`, the endpoint also returns the policy's prompts and tools for the router model.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response

from ..routing.candidates import candidates_of
from ..routing.decide import Candidate, Explains
from ..runtime.active_configuration import ActiveConfiguration
from ..runtime.runtime import Runtime
from .responses import json_response


def add_debug_tools(api: FastAPI, runtime: Runtime) -> None:
    """Adds the endpoint `GET /debug/tools` to the FastAPI application `api`."""

    @api.get(
        "/debug/tools", summary="Returns the router model's prompts and tools, if any, and each target's capabilities"
    )
    async def tools() -> Response:
        return json_response(_tools_page(runtime.active))


def _tools_page(active: ActiveConfiguration) -> dict[str, Any]:
    policy = active.policy_named(None)
    candidates = candidates_of(active.fleet)
    explanation = policy.explain(candidates, active.prefer) if isinstance(policy, Explains) else {}
    return {"policy": active.policy_name, **explanation, "targets": [_target(candidate) for candidate in candidates]}


def _target(candidate: Candidate) -> dict[str, Any]:
    return {
        "name": candidate.name,
        "function_name": candidate.tool_name,
        "description": candidate.description,
        "capabilities": candidate.capabilities or "all",
        "context_length": candidate.context_length,
        "price": candidate.price.model_dump() if candidate.price else None,
    }
