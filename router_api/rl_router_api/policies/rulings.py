"""What the guard allows the learned policy under a configuration, at each value of a good answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from rl_router_policy.claims import Claim, Claims, worth_of
from rl_router_policy.evidence import Identity
from rl_router_policy.guard import Judgement
from rl_router_policy.situation import Price

from ..config import Target
from ..health import GuardVerdict
from ..routing.decide import PolicySetup

_Prices = tuple[tuple[Identity, Price], ...]


@dataclass(frozen=True)
class Ruling:
    """What the guard allows at one value of a good answer.

    The attribute `ranking` contains the names of targets, of which the first candidate serves while the policy is not
    proven. If the policy may serve, `allowed` contains the names of the targets among which the policy may choose, or
    is None if the policy may choose among all targets.
    """

    guard: GuardVerdict
    ranking: tuple[str, ...] = ()
    allowed: frozenset[str] | None = None


@dataclass(frozen=True)
class Rulings:
    """The rulings by the value of a good answer in US dollars. The ruling `otherwise` holds for other values."""

    otherwise: Ruling
    by_value: Mapping[float | None, Ruling]

    def at(self, value: float | None) -> Ruling:
        """Returns the ruling for a value of a good answer, or for None if costs do not count."""
        return self.by_value.get(value, self.otherwise)


def rulings_of(setup: PolicySetup, claims: Claims | None) -> Rulings:
    """Returns the rulings on an artefact under a configuration.

    The argument `claims` contains the artefact's claims, if any. They prove nothing if seconds have a price, because
    their evidence contains no latencies.
    """
    routing = setup.routing
    if not routing.guard:
        return Rulings(Ruling(GuardVerdict(verdict="off"), routing.fallback), {})
    otherwise = Ruling(GuardVerdict(verdict="unproven"), routing.fallback)
    if claims is None or routing.second_price > 0:
        return Rulings(otherwise, {})
    # Without a unit, costs do not count, and only claims without units are about the utility of a request.
    relevant = [claim for claim in claims.claims if (claim.units is None) == (setup.unit is None)]
    by_value = {
        worth_of(claim.units, setup.unit): ruling
        for claim in relevant
        if (ruling := _ruling(setup, claim, claims.revision)) is not None
    }
    return Rulings(otherwise, by_value)


def _ruling(setup: PolicySetup, claim: Claim, revision: int) -> Ruling | None:
    """Returns the ruling of a claim, or None if fewer than two configured targets have evidence.

    The verdict is `unproven` if the first target of the configured fallback order has no evidence.
    """
    prices = _prices(setup)
    judgement = _judged(claim, prices, setup.unit, setup.routing.guard_margin)
    if judgement is None:
        return None
    bound = judgement.bound
    guard = GuardVerdict(
        verdict=judgement.verdict,
        revision=revision,
        bound=None if bound is None else round(bound, 6),
        events=judgement.prompts,
        missing=judgement.missing(),
    )
    names = frozenset([gain.constant for gain in judgement.gains])
    fallback = setup.routing.fallback
    if fallback and fallback[0] not in names:
        # Nothing says that the policy is better than the target that would serve instead.
        guard = guard.model_copy(update={"verdict": "unproven"})
    ranking = fallback or _ranking(claim, prices, setup.unit)
    return Ruling(guard, ranking, None if guard.verdict == "unproven" else names)


def _prices(setup: PolicySetup) -> _Prices:
    """Returns the configured targets with their prices. If a target has no price, the price is 0."""
    return tuple([(Identity(target.name, target.upstream_model), _price(target)) for target in setup.targets])


def _price(target: Target) -> Price:
    price = target.price
    if price is None:
        return Price(0.0, 0.0)
    return Price(float(price.input), float(price.output), float(price.request))


# A reload of the configuration without changes of prices gets the judgements that are already in memory.
@lru_cache(maxsize=64)
def _judged(claim: Claim, prices: _Prices, unit: float | None, margin: float) -> Judgement | None:
    return claim.judged(dict(prices), unit, margin)


def _ranking(claim: Claim, prices: _Prices, unit: float | None) -> tuple[str, ...]:
    by_target = dict(prices)
    evidence = claim.evidence.only(list(by_target))
    present = [by_target[target] for target in evidence.targets]
    return evidence.ranking(present, worth_of(claim.units, unit))
