"""Decides which targets can serve a request, and gives the reason for each target that cannot serve the request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from ..accounting.money import has_output_price, worst_cost
from ..config import Target
from ..conversation.request import Request
from ..errors import ApiError, bad_request
from ..upstreams.fleet import Fleet
from ..upstreams.refused_additions import OUTPUT_LIMIT
from ..upstreams.upstream import Upstream
from .decide import Candidate, Limits
from .limits import min_output, output_limit

_TYPICAL_OUTPUT = 500
"""The number of output tokens of a typical choice in an answer. The estimated cost of a call assumes this number for
each choice, or the client's output limit if the output limit is lower."""

Obstacle = Literal["not_allowed", "no_key", "need", "context", "unpriced", "cost", "busy", "cooldown", "breaker"]


class Callee(Struct, frozen=True):
    """A target with its upstream, and the estimated numbers of input tokens and output tokens of a call."""

    target: Target
    upstream: Upstream
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def estimated_cost(self) -> Decimal | None:
        """The estimated cost of the call in US dollars, or None if the target's price is unknown."""
        price = self.target.price
        return None if price is None else worst_cost(price, self.input_tokens, self.output_tokens)

    def as_candidate(self) -> Candidate:
        """Returns the target as an object of the class `Candidate`, which policies receive."""
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
            profile=target.profile,
            model=target.upstream_model,
        )


def candidates_of(fleet: Fleet) -> list[Candidate]:
    """Returns every target of a fleet as an object of the class `Candidate`, without estimates for a request."""
    return [Callee(target, upstream).as_candidate() for target, upstream in fleet.targets]


class Verdict(Struct, frozen=True):
    """The result of checking whether a target can serve a request.

    The attribute `obstacle` is the kind of obstacle that prevents the target from serving the request. The attribute
    `reason` describes the obstacle in words. The attributes `obstacle` and `reason` are None if the target can serve
    the request.
    """

    callee: Callee
    obstacle: Obstacle | None = None
    reason: str | None = None

    @property
    def is_eligible(self) -> bool:
        return self.obstacle is None


def check_targets(request: Request, limits: Limits, targets: Iterable[tuple[Target, Upstream]]) -> list[Verdict]:
    """Returns a verdict on each of `targets`. A circuit breaker blocks calls only if another target is eligible."""
    verdicts = [check_target(request, limits, target, upstream) for target, upstream in targets]
    if not [verdict for verdict in verdicts if verdict.obstacle is None]:
        # No target is eligible. A call to a target with an open circuit breaker is better than an error.
        verdicts = [Verdict(verdict.callee) if verdict.obstacle == "breaker" else verdict for verdict in verdicts]
    return verdicts


def eligible_targets(request: Request, limits: Limits, verdicts: Sequence[Verdict]) -> list[Callee]:
    """Returns the targets that can serve a request according to the verdicts.

    If no target can serve the request, raises ApiError with a message that explains why.
    """
    callees = [verdict.callee for verdict in verdicts if verdict.obstacle is None]
    if not callees:
        raise _no_candidate(request, limits, verdicts)
    return callees


def check_target(request: Request, limits: Limits, target: Target, upstream: Upstream) -> Verdict:
    """Returns the verdict on one target. The verdict does not depend on the state of other targets."""
    output = request.max_output
    if not output or output > _TYPICAL_OUTPUT:
        output = _TYPICAL_OUTPUT
    callee = Callee(target, upstream, request.input_tokens, request.n * output)
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
    if request.needs and target.capabilities is not None and (missing := request.needs.difference(target.capabilities)):
        return "need", "lacks " + ", ".join(sorted(missing))
    tokens = request.input_tokens + (request.max_output or 0)
    if target.context_length is not None and tokens > target.context_length:
        return "context", f"about {tokens} tokens exceed the target's context length of {target.context_length}"
    return None


def _by_money(request: Request, limits: Limits, callee: Callee, left: Decimal) -> tuple[Obstacle, str] | None:
    target, upstream = callee.target, callee.upstream
    if target.price is None:
        return "unpriced", "the target's price is unknown, but `max_cost` requires a price. Set the target's `price`"
    if limits.unsized is not None:
        return "cost", f"a part of the request has no upper bound on its size: {limits.unsized}. Remove this part"
    if has_output_price(target.price) and not upstream.dialect.bounds_output(request, target.params):
        reason = "`max_cost` limits the output, but the target's `params` remove the output limit or set `n`"
        return "cost", f"{reason}. Change `params`"
    if costly := upstream.dialect.costly_setting(target.params):
        remedy = f"Remove `{costly}`, or add it to `params.allow` to accept its costs"
        return "cost", f"the target's `params.set.{costly}` may cost more than `max_cost` allows. {remedy}"
    bought, minimum = output_limit(request, target, upstream, left), min_output(request, target)
    if bought is not None and request.max_output is None and OUTPUT_LIMIT in upstream.refused_additions.current:
        reason = "the target rejected the output limit that the router adds for `max_cost`"
        return "cost", f"{reason}. Rename `max_tokens` with the target's `params.rename`"
    if bought is not None and bought < minimum:
        choices = f"{request.n} choices of " if request.n > 1 else ""
        return "cost", f"{left:f} USD do not pay for the input and {choices}{minimum} tokens of output"
    return None


def _by_state(upstream: Upstream) -> tuple[Obstacle, str] | None:
    if missing := upstream.key.missing:
        return "no_key", missing
    if upstream.free_slots < 1:
        return "busy", f"the target has no free slot (calls in flight: {upstream.in_flight})"
    if wait := upstream.cooldown.seconds:
        reason = "the target's quota is exhausted" if upstream.cooldown.is_quota else "the target is rate limited"
        return "cooldown", f"{reason}, and the router does not call the target for another {wait:.0f} s"
    if not upstream.breaker.ready:
        return "breaker", "the target's circuit breaker blocks calls after repeated failures"
    return None


def _no_candidate(request: Request, limits: Limits, verdicts: Sequence[Verdict]) -> ApiError:
    allowed = [verdict for verdict in verdicts if verdict.obstacle != "not_allowed"]
    if verdicts and not allowed:
        names = ", ".join(verdict.callee.name for verdict in verdicts)
        message = f"`router.models` contains no model that may answer. Add one of these models: {names}."
        return bad_request(message, "router.models")
    # A target without a key can never answer, so the obstacles of the other targets determine the error.
    keyed = [verdict for verdict in allowed if verdict.obstacle != "no_key"]
    obstacles = {verdict.obstacle for verdict in keyed}
    reasons = "; ".join(f"{verdict.callee.name}: {verdict.reason}" for verdict in allowed)
    if obstacles & {"busy", "cooldown"}:
        return _no_capacity(keyed, reasons)
    if obstacles & {"cost", "unpriced"}:
        return limits.spending.refusal(reasons)
    if allowed and not keyed:
        message = f"Every model that may answer lacks its API key ({reasons}). Set the keys."
        return ApiError(503, message, code="no_target")
    if not allowed:
        message = "No target model is known. Configure `targets`, or check that the router model's server is running."
        return ApiError(503, message, code="no_target")
    # A target with the obstacle `context` supports every need of the request.
    if "need" in obstacles and "context" not in obstacles:
        return _unmet(request, keyed, reasons)
    models = f"every model that supports {', '.join(sorted(request.needs))}" if "need" in obstacles else "every model"
    message = f"The request is too long for {models} ({reasons}). Shorten the request or lower `max_tokens`."
    return bad_request(message, "messages", "context_length_exceeded")


def _no_capacity(keyed: Sequence[Verdict], reasons: str) -> ApiError:
    """Returns the error for targets of which at least one is busy or in a cooldown.

    The error's code is `insufficient_quota` if no target is busy and exhausted quotas caused all cooldowns. Otherwise,
    the code is `rate_limit_exceeded`.
    """
    blocked = [verdict for verdict in keyed if verdict.obstacle in ("busy", "cooldown")]
    cooldowns = [verdict.callee.upstream.cooldown for verdict in blocked if verdict.obstacle == "cooldown"]
    wait = min((cooldown.seconds for cooldown in cooldowns), default=1.0)
    if len(cooldowns) == len(blocked) and all(cooldown.is_quota for cooldown in cooldowns):
        message = (
            f"The quota of every model that could serve this request is exhausted ({reasons})."
            " Raise the quota at the provider."
        )
        return ApiError(429, message, code="insufficient_quota", retry_after=wait, retryable=False)
    message = f"No model has capacity for this request ({reasons}). Retry later."
    return ApiError(429, message, code="rate_limit_exceeded", retry_after=wait)


def _unmet(request: Request, keyed: Sequence[Verdict], reasons: str) -> ApiError:
    supported = [
        request.needs if (names := verdict.callee.target.capabilities) is None else frozenset(names)
        for verdict in keyed
    ]
    unmet = sorted(need for need in request.needs if not any(need in names for names in supported))
    needs = ", ".join(unmet or sorted(request.needs))
    message = f"No model supports {needs}" if unmet else f"No model can serve this request, which needs {needs}"
    param = {"tools": "tools", "json_schema": "response_format", "n": "n", "logprobs": "logprobs"}
    at_fault = param.get(unmet[0], "messages") if unmet else None
    remedy = f"Change the request, or add a model that supports {needs}."
    return bad_request(f"{message} ({reasons}). {remedy}", at_fault, "unmet_need")
