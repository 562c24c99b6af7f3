"""What the router would do and why: `POST /v1/route` and `GET /debug/tools`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..accounting.ledger import shortest
from ..dialects.chat.read_request import ChatRequest
from ..dialects.chat.write_answer import JSON, Reply, common_headers
from ..encoding import encode
from ..errors import ApiError
from ..policies.rl import answers_directly
from ..routing import prompt
from ..routing.candidates import Candidate, Verdict, fallback_order, judge, kept
from ..routing.decide import Decision
from ..routing.limits import limits_of
from ..runtime.runtime import Runtime
from ..timing import Until
from .exchange import Exchange


class Preview(Exchange):
    """A request for a decision: the policy is asked even where a completion would be pinned."""

    async def answer(self, request: ChatRequest) -> None:
        setup, ledger = self._setup, self._ledger
        limits = limits_of(request, setup.configuration.routing, ledger)
        setup.pinned_target(request)
        policy = setup.policy_for(request)
        verdicts = judge(request, limits, setup.fleet.targets)
        candidates = kept(request, limits, verdicts)
        ledger.turns = 1
        try:
            with Until(limits.deadline):
                decision = await policy.decide(request, candidates, limits, ())
        except TimeoutError:
            raise ApiError(504, "The deadline passed.", code="deadline_exceeded", retryable=False) from None
        ledger.strategy = "fallback" if decision.problem else None
        order = fallback_order(candidates, limits.prefer, setup.configuration.routing.fallback)
        body = encode(_as_json(decision, verdicts, order) | {"router_metadata": ledger.metadata("full")})
        await self._reply(Reply(200, common_headers(ledger, JSON), body))


def _as_json(decision: Decision, verdicts: Sequence[Verdict], order: Sequence[Candidate]) -> dict[str, Any]:
    calls = [{"target": call.target, "arguments": call.advice.as_arguments()} for call in decision.calls]
    if decision.problem:
        calls = [{"target": candidate.name, "arguments": {}} for candidate in order[:1]]
    return {
        "decided_by": "fallback" if decision.problem else "router",
        "calls": calls,
        "words": _words(decision),
        "candidates": [_candidate(verdict) for verdict in verdicts],
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
