"""The upstreams of one configuration: the router model, and the targets with their state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..config import Configuration, RouterModelConfig, Routing, Target
from ..conversation.request import Request
from .in_flight import InFlight
from .transport import Transport
from .upstream import Upstream, of_target


@dataclass(frozen=True)
class Fleet:
    """What requests run against; a reload makes a new one, and a request ends on the one it began with."""

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
        """Returns a target by its name."""
        return self._by_name.get(name)

    def unsized_part(self, request: Request) -> str | None:
        """Returns the name of a part of the request whose size in tokens nothing bounds; None if there is none."""
        dialects = dict.fromkeys(upstream.dialect for _, upstream in self.targets)
        return next((part for dialect in dialects if (part := dialect.unsized_part(request))), None)


def fleet_of(
    configuration: Configuration,
    targets: tuple[Target, ...],
    transport: Transport,
    flight: InFlight | None = None,
    before: Fleet | None = None,
) -> Fleet:
    """A fleet of `targets`, which are the configuration's or those that the router model's server lists.

    What did not change keeps the upstream that the fleet `before` had for it: its connections, its breaker, its calls.
    """
    router = configuration.router
    kept = {pair[0].name: pair for pair in before.targets} if before else {}
    same_router = before is not None and before.router == router
    return Fleet(
        configuration=configuration,
        router_model=before.router_model if before and same_router else _router_model(router),
        targets=tuple((target, _find(kept, target) or of_target(target, flight)) for target in targets),
        transport=transport,
    )


def _router_model(router: RouterModelConfig) -> Upstream:
    return Upstream("router model", router.base_url, router.timeout, router)


def _find(kept: dict[str, tuple[Target, Upstream]], target: Target) -> Upstream | None:
    old, upstream = kept.get(target.name, (None, None))
    return upstream if old == target else None
