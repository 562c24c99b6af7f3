"""Which targets can serve a request, and for each of the others the reason why not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from ..accounting.money import worst_cost
from ..config import Target
from ..conversation.request import Request
from ..errors import ApiError, bad_request
from ..upstreams.fleet import Fleet
from ..upstreams.upstream import Upstream
from .decide import Candidate, Limits
from .limits import min_output, output_limit

_USUAL_OUTPUT = 500
"""Tokens of a middling answer, for estimates where the client set no limit."""

Obstacle = Literal["not_allowed", "no_key", "need", "context", "unpriced", "cost", "busy", "cooldown", "breaker"]


class Callee(Struct, frozen=True):
    """A target that a request may be sent to, which is thought to take so many tokens of input and of output."""

    target: Target
    upstream: Upstream
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def estimated_cost(self) -> Decimal | None:
        """US dollars; None if the target's price is unknown."""
        price = self.target.price
        return None if price is None else worst_cost(price, self.input_tokens, self.output_tokens)

    def as_candidate(self) -> Candidate:
        """Returns what a policy sees of it."""
        target, upstream = self.target, self.upstream
        return Candidate(
            name=target.name,
            tool_name=target.tool_name,
            description=target.description,
            price=target.price,
            capabilities=target.capabilities,
            context_length=target.context_length,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            latency=upstream.latency,
            in_flight=upstream.in_flight,
        )


def candidates_of(fleet: Fleet) -> list[Candidate]:
    """Returns every target of a fleet as policies see it, without a request."""
    return [Callee(target, upstream).as_candidate() for target, upstream in fleet.targets]


class Verdict(Struct, frozen=True):
    """A target and what stands against it, if anything."""

    callee: Callee
    obstacle: Obstacle | None = None
    reason: str | None = None

    @property
    def kept(self) -> bool:
        return self.obstacle is None


def judge(request: Request, limits: Limits, targets: Iterable[tuple[Target, Upstream]]) -> list[Verdict]:
    """A verdict on every target, in the order of the configuration."""
    verdicts = [_judge(request, limits, target, upstream) for target, upstream in targets]
    if not [verdict for verdict in verdicts if verdict.obstacle is None]:
        # Every breaker is open: a call that may fail is better than a refusal.
        verdicts = [Verdict(verdict.callee) if verdict.obstacle == "breaker" else verdict for verdict in verdicts]
    return verdicts


def kept(request: Request, limits: Limits, verdicts: Sequence[Verdict]) -> list[Callee]:
    """The candidates. Raises ApiError where nobody is left: it names the need that nobody meets."""
    found = [verdict.callee for verdict in verdicts if verdict.obstacle is None]
    if not found:
        raise _nobody(request, limits, verdicts)
    return found


def _judge(request: Request, limits: Limits, target: Target, upstream: Upstream) -> Verdict:
    output = request.n * min(request.max_output or _USUAL_OUTPUT, _USUAL_OUTPUT)
    callee = Callee(target, upstream, request.input_tokens, output)
    obstacle = _by_request(request, target)
    left = limits.spending.left
    if obstacle is None and left is not None:
        obstacle = _by_money(request, limits, callee, left)
    obstacle = obstacle or _by_state(upstream)
    return Verdict(callee, *obstacle) if obstacle else Verdict(callee)


def _by_request(request: Request, target: Target) -> tuple[Obstacle, str] | None:
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


def _by_money(request: Request, limits: Limits, callee: Callee, left: Decimal) -> tuple[Obstacle, str] | None:
    target, upstream = callee.target, callee.upstream
    if target.price is None:
        return "unpriced", "its price is unknown, and `max_cost` is set: its `price` in the configuration is missing"
    if limits.unsized is not None:
        return "cost", f"nothing bounds the size of a {limits.unsized}"
    if target.price.output and not upstream.dialect.bounds_output(request, target.params):
        return "cost", "its `params` take away what bounds its output"
    bought, minimum = output_limit(request, target, upstream, left), min_output(request)
    if bought is not None and bought < minimum:
        choices = f"{request.n} choices of " if request.n > 1 else ""
        return "cost", f"{left:f} USD do not buy {choices}{minimum} tokens of output"
    return None


def _by_state(upstream: Upstream) -> tuple[Obstacle, str] | None:
    if missing := upstream.key.missing:
        return "no_key", missing
    if upstream.free_slots < 1:
        return "busy", f"{upstream.in_flight} calls are under way"
    if upstream.cooldown:
        return "cooldown", f"said 429; free in {upstream.cooldown:.0f} s"
    if not upstream.breaker.ready:
        return "breaker", "failed too often lately"
    return None


def _nobody(request: Request, limits: Limits, verdicts: Sequence[Verdict]) -> ApiError:
    able = [verdict for verdict in verdicts if verdict.obstacle != "not_allowed"]
    if verdicts and not able:
        return bad_request("`router.models` leaves no model that may answer.", "router.models")
    # A target without its key is as one that is not there: what stands against the others is what can be mended.
    keyed = [verdict for verdict in able if verdict.obstacle != "no_key"]
    obstacles = {verdict.obstacle for verdict in keyed}
    reasons = "; ".join(f"{verdict.callee.name}: {verdict.reason}" for verdict in able)
    if obstacles & {"busy", "cooldown"}:
        waits = [verdict.callee.upstream.cooldown for verdict in able if verdict.obstacle == "cooldown"]
        message = f"No model has room for this request ({reasons})."
        return ApiError(429, message, code="rate_limit_exceeded", retry_after=min(waits, default=1.0))
    if obstacles & {"cost", "unpriced"}:
        return limits.spending.refusal(reasons)
    if able and not keyed:
        return ApiError(503, f"No model can be asked ({reasons}).", code="no_target")
    if not able:
        return ApiError(503, "No target model is known yet; is the router model up?", code="no_target")
    if "need" in obstacles:
        return _unmet(request, keyed, reasons)
    return bad_request(f"The request is too long for every model ({reasons}).", "messages", "context_length_exceeded")


def _unmet(request: Request, keyed: Sequence[Verdict], reasons: str) -> ApiError:
    having = [
        request.needs if (has := verdict.callee.target.capabilities) is None else frozenset(has) for verdict in keyed
    ]
    unmet = sorted(need for need in request.needs if not any(need in has for has in having))
    named = ", ".join(unmet or sorted(request.needs))
    what = f"no model has it: {named}" if unmet else f"no model has all of it: {named}"
    param = {"tools": "tools", "json_schema": "response_format", "n": "n", "logprobs": "logprobs"}
    at_fault = param.get(unmet[0], "messages") if unmet else None
    return bad_request(f"The request has a need that cannot be met; {what} ({reasons}).", at_fault, "unmet_need")
