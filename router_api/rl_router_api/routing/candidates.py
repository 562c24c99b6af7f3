"""Which targets can serve a request, and for each of the others the reason why not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from ..accounting.ledger import worst_cost
from ..config import Prefer, Target
from ..dialects.chat.read_request import ChatRequest
from ..dialects.chat.write_request import bounds_output
from ..errors import ApiError, bad_request
from ..upstreams.upstream import Upstream
from .limits import Limits, least_output, output_limit

_USUAL_OUTPUT = 500
"""Tokens of a middling answer, for estimates where the client set no limit."""

Obstacle = Literal["not_allowed", "no_key", "need", "context", "unpriced", "cost", "busy", "aside", "breaker"]


class Candidate(Struct, frozen=True):
    """A target that can serve the request, which is thought to take so many tokens of input and of output."""

    target: Target
    upstream: Upstream
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def estimated_cost(self) -> Decimal | None:
        """US dollars; None where the target's price is unknown."""
        price = self.target.price
        return None if price is None else worst_cost(price, self.input_tokens, self.output_tokens)


class Verdict(Struct, frozen=True):
    """A target and what stands against it, if anything."""

    candidate: Candidate
    obstacle: Obstacle | None = None
    reason: str | None = None

    @property
    def kept(self) -> bool:
        return self.obstacle is None


def judge(request: ChatRequest, limits: Limits, targets: Iterable[tuple[Target, Upstream]]) -> list[Verdict]:
    """A verdict on every target, in the order of the configuration."""
    verdicts = [_judge(request, limits, target, upstream) for target, upstream in targets]
    if not [verdict for verdict in verdicts if verdict.obstacle is None]:
        # Every breaker is open: a call that may fail is better than a refusal.
        verdicts = [Verdict(verdict.candidate) if verdict.obstacle == "breaker" else verdict for verdict in verdicts]
    return verdicts


def kept(request: ChatRequest, limits: Limits, verdicts: Sequence[Verdict]) -> list[Candidate]:
    """The candidates. Raises ApiError where nobody is left: it names the need that nobody meets."""
    found = [verdict.candidate for verdict in verdicts if verdict.obstacle is None]
    if not found:
        raise _nobody(request, limits, verdicts)
    return found


def fallback_order(candidates: Sequence[Candidate], prefer: Prefer, configured: Sequence[str]) -> list[Candidate]:
    """Whom to ask where no decision leads to an answer: as configured, else by price for this request."""
    if configured:
        by_name = {candidate.name: candidate for candidate in candidates}
        return [by_name[name] for name in configured if name in by_name]
    priced = [float(candidate.estimated_cost) for candidate in candidates if candidate.estimated_cost is not None]
    median = sorted(priced)[len(priced) // 2] if priced else 0.0

    def rank(candidate: Candidate) -> float:
        if candidate.estimated_cost is None:
            return math.inf
        cost = float(candidate.estimated_cost)
        return {"cost": cost, "quality": -cost, "balanced": abs(cost - median)}[prefer]

    return sorted(candidates, key=rank)


def _judge(request: ChatRequest, limits: Limits, target: Target, upstream: Upstream) -> Verdict:
    output = request.n * min(request.max_output or _USUAL_OUTPUT, _USUAL_OUTPUT)
    candidate = Candidate(target, upstream, request.input_tokens, output)
    obstacle = _by_request(request, target)
    if obstacle is None and limits.max_cost is not None:
        obstacle = _by_money(request, limits, target)
    obstacle = obstacle or _by_state(upstream)
    return Verdict(candidate, *obstacle) if obstacle else Verdict(candidate)


def _by_request(request: ChatRequest, target: Target) -> tuple[Obstacle, str] | None:
    allowed = request.options.models
    if allowed is not None and target.name not in allowed:
        return "not_allowed", "not among `router.models`"
    missing = request.needs - set(target.capabilities) if target.capabilities is not None else frozenset()
    if missing:
        return "need", "lacks " + ", ".join(sorted(missing))
    tokens = request.input_tokens + (request.max_output or 0)
    if target.context_length is not None and tokens > target.context_length:
        return "context", f"about {tokens} tokens do not fit its context of {target.context_length}"
    return None


def _by_money(request: ChatRequest, limits: Limits, target: Target) -> tuple[Obstacle, str] | None:
    left = limits.left
    if left is None:
        return None
    if target.price is None:
        return "unpriced", "its price is unknown, and `max_cost` is set: its `price` in the configuration is missing"
    if limits.unsized is not None:
        return "cost", f"nothing bounds the size of a {limits.unsized}"
    if target.price.output and not bounds_output(request, target.params):
        return "cost", "its `params` take away what bounds its output"
    bought, least = output_limit(request, target, left), least_output(request)
    if bought is not None and bought < least:
        choices = f"{request.n} choices of " if request.n > 1 else ""
        return "cost", f"{left:f} USD do not buy {choices}{least} tokens of output"
    return None


def _by_state(upstream: Upstream) -> tuple[Obstacle, str] | None:
    if missing := upstream.key.missing:
        return "no_key", missing
    if upstream.places < 1:
        return "busy", f"{upstream.in_flight} calls are under way"
    if upstream.set_aside:
        return "aside", f"said 429; free in {upstream.set_aside:.0f} s"
    if not upstream.breaker.ready:
        return "breaker", "failed too often lately"
    return None


def _nobody(request: ChatRequest, limits: Limits, verdicts: Sequence[Verdict]) -> ApiError:
    able = [verdict for verdict in verdicts if verdict.obstacle != "not_allowed"]
    if verdicts and not able:
        return bad_request("`router.models` leaves no model that may answer.", "router.models")
    # A target without its key is as one that is not there: what stands against the others is what can be mended.
    keyed = [verdict for verdict in able if verdict.obstacle != "no_key"]
    obstacles = {verdict.obstacle for verdict in keyed}
    reasons = "; ".join(f"{verdict.candidate.name}: {verdict.reason}" for verdict in able)
    if obstacles & {"busy", "aside"}:
        waits = [verdict.candidate.upstream.set_aside for verdict in able if verdict.obstacle == "aside"]
        message = f"No model has room for this request ({reasons})."
        return ApiError(429, message, code="rate_limit_exceeded", retry_after=min(waits, default=1.0))
    if obstacles & {"cost", "unpriced"}:
        return _too_dear(limits, reasons)
    if able and not keyed:
        return ApiError(503, f"No model can be asked ({reasons}).", code="no_target")
    if not able:
        return ApiError(503, "No target model is known yet; is the router model up?", code="no_target")
    if "need" in obstacles:
        return _unmet(request, keyed, reasons)
    return bad_request(f"The request is too long for every model ({reasons}).", "messages", "context_length_exceeded")


def _too_dear(limits: Limits, reasons: str) -> ApiError:
    message = f"No model can be kept within the `max_cost` of {limits.max_cost:f} USD ({reasons})."
    return ApiError(400, message, param="router.max_cost", code="max_cost_too_low", retryable=False)


def _unmet(request: ChatRequest, keyed: Sequence[Verdict], reasons: str) -> ApiError:
    having = [
        request.needs if (has := verdict.candidate.target.capabilities) is None else frozenset(has) for verdict in keyed
    ]
    unmet = sorted(need for need in request.needs if not any(need in has for has in having))
    named = ", ".join(unmet or sorted(request.needs))
    what = f"no model has it: {named}" if unmet else f"no model has all of it: {named}"
    param = {"tools": "tools", "json_schema": "response_format", "n": "n", "logprobs": "logprobs"}
    at_fault = param.get(unmet[0], "messages") if unmet else None
    return bad_request(f"The request has a need that cannot be met; {what} ({reasons}).", at_fault, "unmet_need")
