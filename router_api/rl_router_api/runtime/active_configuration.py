"""Defines the active configuration: the configuration in use, with its targets, its policies and its health probe.

After each change of the configuration and after the discovery of targets, the server creates a new object of the class
`ActiveConfiguration`.
"""

from __future__ import annotations

from .. import policies
from ..config import Configuration, Target
from ..errors import ConfigurationError, bad_request
from ..routing.answer import Answerer
from ..routing.ask import RouterModel
from ..routing.decide import Policy, PolicySetup
from ..upstreams.fleet import Fleet, fleet_of
from ..upstreams.in_flight import InFlight
from ..upstreams.key import Key
from ..upstreams.transport import Transport
from .probe import Probe


class ActiveConfiguration:
    """A configuration that the server uses, with its targets, its policies and its health probe.

    An in-flight request keeps the configuration with which the request started, even after a reload.
    """

    def __init__(
        self,
        configuration: Configuration,
        targets: tuple[Target, ...],
        transport: Transport,
        in_flight: InFlight,
        before: Fleet | None,
    ) -> None:
        self.configuration = configuration
        self.fleet = fleet_of(configuration, targets, transport, in_flight, before)
        self._policy_setup = PolicySetup(configuration.router, configuration.routing, RouterModel(self.fleet).ask)
        self._policies: dict[str, Policy] = {}
        self.routing = Answerer(self.fleet, self.policy_named)
        self.probe = Probe(self.fleet, self.policy_named(None))

    def policy_named(self, name: str | None) -> Policy:
        """Returns the policy that is called `name`, or the configured policy if `name` is None.

        Raises ApiError with status 400 if the policy is unknown.
        """
        name = name or self.configuration.routing.policy
        if name not in self._policies:
            if not policies.exists(name):
                known = ", ".join(policies.names())
                raise bad_request(f"`router.policy`: unknown policy `{name}`. Use one of: {known}.", "router.policy")
            self._policies[name] = policies.create(name, self._policy_setup)
        return self._policies[name]


def check_keys(configuration: Configuration) -> None:
    """Raises ConfigurationError if the API key of every target is missing.

    A target with an `api_key_file` prevents the error, because a missing key file may appear later.
    """
    missing = [Key(target).missing for target in configuration.targets or () if target.api_key_file is None]
    if missing and all(missing) and len(missing) == len(configuration.targets or ()):
        raise ConfigurationError(
            f"targets: no target has its API key: {'; '.join(map(str, missing))}. Set at least one of these API keys."
        )
