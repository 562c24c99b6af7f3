"""The upstreams of one configuration: the router model and the targets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import msgspec

from ..config import Configuration, RouterModelConfig, Routing, Target
from ..conversation.additions import FOREIGN_HISTORY, NO_ADVICE, Advice, MoneyGuard
from ..conversation.affinity import affinity_of
from ..conversation.request import Request
from ..dialects.upstream_dialect import Payload
from .in_flight import InFlight
from .transport import Transport
from .upstream import Upstream, upstream_of


@dataclass(frozen=True)
class Fleet:
    """The upstreams of one configuration: the router model and the targets.

    A reload of the configuration creates a new fleet, but each in-flight request keeps the fleet with which the request
    started.
    """

    configuration: Configuration
    router_model: Upstream
    targets: tuple[tuple[Target, Upstream], ...]
    transport: Transport

    @property
    def router(self) -> RouterModelConfig:
        return self.configuration.router

    @property
    def routing(self) -> Routing:
        return self.configuration.routing

    @cached_property
    def _by_name(self) -> dict[str, tuple[Target, Upstream]]:
        return {pair[0].name: pair for pair in self.targets}

    def target(self, name: str) -> tuple[Target, Upstream] | None:
        """Returns the target with the name `name` and the upstream of the target, or None if the name is unknown."""
        return self._by_name.get(name)

    @cached_property
    def _families(self) -> dict[str, frozenset[str]]:
        """A mapping from each target's name to the affinities of all targets of the same signing family."""
        families: dict[str, set[str]] = {}
        for target, _ in self.targets:
            families.setdefault(target.family, set()).add(affinity_of(target.name))
        return {target.name: frozenset(families[target.family]) for target, _ in self.targets}

    def payload(
        self,
        request: Request,
        target: Target,
        upstream: Upstream,
        advice: Advice = NO_ADVICE,
        guard: MoneyGuard | None = None,
        *,
        without: Collection[str] = (),
    ) -> Payload:
        """Returns the request body for a target, with the names of the removed parts and of the router's additions.

        The body contains neither the additions that the target has refused within the last hour nor the additions in
        the parameter `without`.
        """
        refused = upstream.refused_additions.current
        if without:
            refused = refused.union(without)
        family = self._families[target.name]
        return upstream.dialect.write_request(request, target, advice, guard, without=refused, family=family)

    def has_foreign_history(self, request: Request, target: Target, upstream: Upstream) -> bool:
        """Returns whether a request contains parts of other models' answers that the target may refuse."""
        family = self._families[target.name]
        sent, plain = [
            upstream.dialect.write_request(request, target, NO_ADVICE, without=without, family=family).body
            for without in ((), (FOREIGN_HISTORY,))
        ]
        # The bodies may also differ in white space, because adapted messages are written anew.
        return msgspec.json.format(sent, indent=-1) != msgspec.json.format(plain, indent=-1)

    def unsized_part(self, request: Request) -> str | None:
        """Returns the name of a request part whose size in tokens has no upper bound.

        Returns None if the size of every part has an upper bound.
        """
        dialects = dict.fromkeys(upstream.dialect for _, upstream in self.targets)
        return next((part for dialect in dialects if (part := dialect.unsized_part(request))), None)


def fleet_of(
    configuration: Configuration,
    targets: tuple[Target, ...],
    transport: Transport,
    in_flight: InFlight | None = None,
    previous: Fleet | None = None,
) -> Fleet:
    """Returns a fleet of the targets in the parameter `targets`.

    If the configuration contains no targets, these targets are models that the router model's server lists. If the
    configuration of a target did not change, the new fleet reuses the target's upstream from the fleet `previous`, and
    keeps the state of the cooldown and of the circuit breaker. If the configuration of the router model did not change,
    the new fleet reuses the router model's upstream from the fleet `previous`.
    """
    router = configuration.router
    kept = {pair[0].name: pair for pair in previous.targets} if previous else {}
    same_router = previous is not None and previous.router == router
    return Fleet(
        configuration=configuration,
        router_model=previous.router_model if previous and same_router else _router_model(router),
        targets=tuple((target, _unchanged(kept, target) or upstream_of(target, in_flight)) for target in targets),
        transport=transport,
    )


def _router_model(router: RouterModelConfig) -> Upstream:
    return Upstream("router model", router.base_url, router.timeout, router)


def _unchanged(kept: dict[str, tuple[Target, Upstream]], target: Target) -> Upstream | None:
    old, upstream = kept.get(target.name, (None, None))
    return upstream if old == target else None
