"""What the router would do and why: `POST /v1/route` and `GET /debug/tools`."""

from __future__ import annotations

import asyncio
from typing import Any

from . import prompt
from .access import ApiKey
from .candidates import Verdict, fallback_order, judge, kept
from .decide import Decision
from .errors import RouterError
from .ledger import Ledger, shortest
from .limits import limits_of
from .policies.rl import answers_directly
from .runtime import Runtime
from .wire import ChatRequest


async def preview(
    runtime: Runtime, request: ChatRequest, request_id: str, key: ApiKey | None = None
) -> dict[str, Any]:  # fmt: skip
    """The decision for a request, which the policy is asked for even where a request would be pinned.

    Raises RouterError.
    """
    if key is not None:
        runtime.access.begin(key)
    ledger = Ledger(request_id)
    limits = limits_of(request, runtime.configuration.routing, ledger)
    setup = runtime.current
    setup.pinned_target(request)
    verdicts = judge(request, limits, setup.fleet.targets)
    candidates = kept(request, limits, verdicts)
    ledger.turns = 1
    status = 500
    try:
        async with asyncio.timeout_at(limits.deadline):
            decision = await setup.policy_for(request).decide(request, candidates, limits, ())
        status, ledger.strategy = 200, "fallback" if decision.problem else None
    except TimeoutError:
        status = 504
        raise RouterError(504, "The deadline passed.", code="deadline_exceeded", retryable=False) from None
    finally:
        runtime.book(ledger, status, key)
    calls = [{"target": call.target, "arguments": call.advice.as_arguments()} for call in decision.calls]
    if decision.problem:
        order = fallback_order(candidates, limits.prefer, runtime.configuration.routing.fallback)
        calls = [{"target": candidate.name, "arguments": {}} for candidate in order[:1]]
    return {
        "decided_by": "fallback" if decision.problem else "router",
        "calls": calls,
        "words": _words(decision),
        "candidates": [_candidate(verdict) for verdict in verdicts],
        "router_metadata": ledger.metadata("full"),
    }


def tools_page(runtime: Runtime) -> dict[str, Any]:
    """The system prompt and the tools that the router model is given, and what each target can do."""
    fleet = runtime.fleet
    targets = [target for target, _ in fleet.targets]
    routing = fleet.routing
    direct = answers_directly(fleet.router, routing)
    return {
        "protocol": fleet.router.protocol,
        "system_prompt": prompt.system_prompt(targets, routing.prefer, "tools", direct=direct),
        "tools": prompt.tools(targets, select=True, system_prompts=routing.system_prompts),
        "json_schema": {
            "system_prompt": prompt.system_prompt(targets, routing.prefer, "json_schema", direct=False),
            "schema": prompt.decision_schema(targets, ()) if targets else None,
        },
        "targets": [
            {
                "name": target.name,
                "function_name": target.tool_name,
                "description": target.description,
                "capabilities": target.capabilities or "all",
                "context_length": target.context_length,
                "price": target.price.model_dump() if target.price else None,
            }
            for target in targets
        ],
    }


def _words(decision: Decision) -> str | None:
    """What stands in the way of a decision, or the router model's own answer."""
    if decision.direct is not None:
        content = decision.direct.first.content
        return content if isinstance(content, str) else None
    return decision.problem


def _candidate(verdict: Verdict) -> dict[str, Any]:
    cost = verdict.candidate.estimated_cost
    latency = verdict.candidate.upstream.latency
    return {
        "target": verdict.candidate.name,
        "kept": verdict.kept,
        "reason": verdict.reason,
        "estimated_cost": None if cost is None else shortest(cost),
        "estimated_latency": None if latency is None else round(latency, 3),
    }
