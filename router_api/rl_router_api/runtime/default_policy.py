"""Chooses the policy for requests that name no policy, and searches for a router model if the policy depends on it."""

from __future__ import annotations

import time

from .. import policies
from ..config import Configuration
from ..errors import ListingError
from ..policies.artefact_folder import has_artefact
from ..upstreams.fleet import Fleet
from ..upstreams.listing import list_models

_INTERVAL = 30.0
"""The minimum number of seconds between two searches for the router model."""


def depends_on_router_model(configuration: Configuration) -> bool:
    """Returns whether the policy depends on whether a router model is found.

    If the field `routing.policy` is set, the policy is always the one in this field. Otherwise, the policy is always
    `rl` if a field of the section `router` is set, or if the targets are models of the router model's server.
    """
    is_known = configuration.routing.policy is not None or bool(configuration.router.model_fields_set)
    return configuration.targets is not None and not is_known


def policy_without_router_model(configuration: Configuration) -> str:
    """Returns the name of the policy for requests that name no policy if no router model answers.

    The name is the configured one, if any. Otherwise, the policy is `learned` if `depends_on_router_model` returns
    True, an artefact exists and the libraries of the policy `learned` are installed. In all other cases, the policy is
    `rl`, and the fallback order decides until a router model answers.
    """
    if configuration.routing.policy is not None:
        return configuration.routing.policy
    can_learn = policies.problem("learned") is None and has_artefact(configuration.routing)
    return "learned" if can_learn and depends_on_router_model(configuration) else "rl"


class RouterModelSearch:
    """The search for a router model that is not configured, at the default address of the router model."""

    def __init__(self) -> None:
        self._found: bool | None = None
        self._searched_at: float | None = None

    def policy_of(self, configuration: Configuration) -> str:
        """Returns the name of the policy for requests that name no policy.

        Until the first search, the method assumes that a router model answers.
        """
        if self._found is False:
            return policy_without_router_model(configuration)
        return configuration.routing.policy or "rl"

    async def run(self, fleet: Fleet) -> bool:
        """Searches for a router model if the policy depends on the result, at most every 30 seconds.

        Returns whether the method has searched. After a router model was found, the method never searches again, even
        if the router model fails later.
        """
        now = time.monotonic()
        is_due = self._searched_at is None or now >= self._searched_at + _INTERVAL
        if self._found or not is_due or not depends_on_router_model(fleet.configuration):
            return False
        self._searched_at = now
        self._found = await _lists_models(fleet)
        return True


async def _lists_models(fleet: Fleet) -> bool:
    try:
        await list_models(fleet.router_model, fleet.transport)
    except ListingError:
        return False
    return True
