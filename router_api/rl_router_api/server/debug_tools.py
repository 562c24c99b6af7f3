"""What the policy tells its router model, and what each target can do: `/debug/tools`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response

from ..routing.candidates import candidates_of
from ..routing.decide import Candidate, Explains
from ..runtime.runtime import Runtime
from ..runtime.setup import Setup
from .responses import json_response


def add_debug_tools(api: FastAPI, runtime: Runtime) -> None:
    """Adds the endpoint."""

    @api.get("/debug/tools", summary="What the router model is given, and what each target can do")
    async def tools() -> Response:
        return json_response(_tools_page(runtime.current))


def _tools_page(setup: Setup) -> dict[str, Any]:
    """Returns what the policy tells its router model, and what each target can do."""
    routing = setup.configuration.routing
    policy = setup.policy_named(None)
    candidates = candidates_of(setup.fleet)
    explained = policy.explain(candidates, routing.prefer) if isinstance(policy, Explains) else {}
    return {"policy": routing.policy, **explained, "targets": [_target(candidate) for candidate in candidates]}


def _target(candidate: Candidate) -> dict[str, Any]:
    return {
        "name": candidate.name,
        "function_name": candidate.tool_name,
        "description": candidate.description,
        "capabilities": candidate.capabilities or "all",
        "context_length": candidate.context_length,
        "price": candidate.price.model_dump() if candidate.price else None,
    }
