"""Handles requests to `POST /v1/route`: returns a routing decision with reasons, without a call to a target."""

from __future__ import annotations

from typing import Any

from ..accounting.ledger import Ledger
from ..accounting.money import shortest
from ..conversation.request import Request
from ..encoding import encode
from ..routing.answer import Preview
from ..routing.candidates import Verdict
from ..routing.decide import Decision
from ..routing.limits import limits_of
from .handler import RequestHandler
from .reply import JSON, Reply, common_headers


class RoutePreviewHandler(RequestHandler):
    """Handles one request for a routing decision. The policy decides even if the request is pinned to a target."""

    async def answer(self, request: Request) -> None:
        active, ledger = self._active, self._ledger
        limits = limits_of(request, active.fleet, active.unit, ledger, self._received_at)
        preview = await active.routing.preview(request, limits)
        ledger.strategy = "fallback" if preview.decision.reason else None
        policy = request.options.policy or active.policy_name
        body = encode(_as_json(preview, policy, ledger) | {"router_metadata": ledger.metadata("full")})
        await self._reply(Reply(200, common_headers(ledger, JSON), body))


def _as_json(preview: Preview, policy: str, ledger: Ledger) -> dict[str, Any]:
    decision = preview.decision
    calls = [{"target": call.target, "arguments": call.advice.as_arguments()} for call in decision.calls]
    if decision.reason:
        calls = [{"target": callee.name, "arguments": {}} for callee in preview.order[:1]]
    return {
        "decided_by": "fallback" if decision.reason else "router" if ledger.router_calls else "policy",
        "policy": policy,
        "calls": calls,
        "words": _words(decision),
        "candidates": [_candidate(verdict) for verdict in preview.verdicts],
    }


def _words(decision: Decision) -> str | None:
    """Returns the text of a direct answer or the reason for the fallback order, or None if the decision has neither."""
    if decision.direct is not None:
        content = decision.direct.first.content
        return content if isinstance(content, str) else None
    return decision.reason


def _candidate(verdict: Verdict) -> dict[str, Any]:
    cost = verdict.callee.estimated_cost
    latency = verdict.callee.upstream.latency
    return {
        "target": verdict.callee.name,
        "kept": verdict.is_eligible,
        "reason": verdict.reason,
        "estimated_cost": None if cost is None else shortest(cost),
        "estimated_latency": None if latency is None else round(latency, 3),
    }
